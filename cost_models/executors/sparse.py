"""Sparse execution on a processor: which layers gain by skipping their zeros, and by how much?

Every linear layer and ungrouped convolution that has zeros is timed dense and in each CSR form, on
the inputs that it meets in this network, and runs as the fastest of them; a tie goes to dense.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from cost_models.counting.module_state import untouched
from cost_models.errors import CostModelError
from cost_models.executors.agreement import check_same, torch_outputs
from cost_models.executors.choosing import fastest
from cost_models.executors.csr_layers import (
    CsrIm2colConv2d,
    CsrLinear,
    CsrPointwiseConv2d,
    CsrTapsConv2d,
)
from cost_models.executors.executor import Prepared

DENSE = "dense"
_TOLERANCE = 1e-5
# A CSR form must gain more than the noise of these short timings, or the layer stays dense.
WORTHWHILE = 0.9
# Calls of one layer that it is timed on; a layer used more often is used alike.
_MAX_CALLS = 4

_OWN_METHODS = frozenset({"forward", "_conv_forward", "_call_impl"})

Kernel = Callable[[nn.Module], nn.Module]
Calls = list[Tensor]

LINEAR_KERNELS: dict[str, Kernel] = {"csr": CsrLinear}  # type: ignore[dict-item]
CONV_KERNELS: dict[str, Kernel] = {
    "csr-im2col": CsrIm2colConv2d,  # type: ignore[dict-item]
    "csr-taps": CsrTapsConv2d,  # type: ignore[dict-item]
}
POINTWISE_KERNELS: dict[str, Kernel] = {"csr-pointwise": CsrPointwiseConv2d}  # type: ignore[dict-item]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChoice:
    """How one layer is run: "dense" or a CSR kernel, and the seconds of each by name."""

    name: str
    sparsity: float
    chosen: str
    seconds: Mapping[str, float]

    @property
    def speed_up(self) -> float:
        """How many times faster than dense the layer runs as chosen; 1 when it stays dense."""
        return self.seconds[DENSE] / self.seconds[self.chosen]


class SparseNetwork(nn.Module):
    """A network whose layers run as chosen; `choices` lists those that had one.

    `difference` is the largest deviation from torch's outputs, relative to the largest output.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.choices: tuple[LayerChoice, ...] = ()
        self.difference = 0.0

    def forward(self, *inputs: Tensor) -> object:
        """Compute what the network that was compiled computes."""
        return self.network(*inputs)


@dataclass(frozen=True, slots=True)
class SparseExecutor:
    """Runs sparse layers over their non-zeros where that is faster, with torch's own kernels.

    Example:
        >>> import torch
        >>> from cost_models import SparseExecutor
        >>> layer = torch.nn.Linear(8, 4)
        >>> _ = layer.weight.data[:, 1:].zero_()
        >>> compiled = SparseExecutor().compile(torch.nn.Sequential(layer), (torch.ones(1, 8),))
        >>> [(choice.name, choice.sparsity) for choice in compiled.choices]
        [('0', 0.875)]
    """

    @property
    def accepts(self) -> tuple[str, ...]:
        """Tensors on the processor only."""
        return ("cpu",)

    def compile(self, module: nn.Module, example_inputs: tuple[Tensor, ...]) -> SparseNetwork:
        """Build a network that computes the same in eval mode, each layer as fast as it can.

        The choices are timed on the examples' batch size and on torch's number of threads as it is;
        the result takes any batch size. Grouped and depthwise convolutions, layers in other than
        float32, with padding other than zeros or with hooks of their own, and weights that are not
        used through their layer's call stay dense. The module is left as it was.

        Raises:
            CostModelError: the module cannot be copied, or the result differs by more than 1e-5.
        """
        with untouched(module):
            expected = torch_outputs(module, example_inputs)
            compiled = SparseNetwork(_copy(module)).eval()
        calls = _recorded_calls(compiled.network, example_inputs)
        with torch.inference_mode():
            for name, layer in _candidates(compiled.network):
                if layer in calls:
                    choice, form = _choose(name, layer, calls[layer])
                    compiled.choices += (choice,)
                    _replace(compiled, layer, form)
        compiled.difference = _check(compiled, example_inputs, expected)
        return compiled

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Compile the module; the choices by layer come with it."""
        del threads
        compiled = self.compile(module, example_inputs)
        copies = tuple(tensor.detach().clone() for tensor in example_inputs)

        def call() -> object:
            return compiled.network(*copies)

        return Prepared(
            call=call,
            runtime=f"torch {torch.__version__} CSR",
            choices={choice.name: choice.chosen for choice in compiled.choices},
        )


def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a module of somebody else's cannot copy
        raise CostModelError(f"the module cannot be copied to be compiled: {error}") from error


def _candidates(network: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, layer) for name, layer in network.named_modules() if csr_kernels(layer)]


def csr_kernels(layer: nn.Module) -> Mapping[str, Kernel]:
    """Give the CSR forms that a layer may take, by name: none unless it is plain and has zeros."""
    kind = type(layer)
    if parametrize.is_parametrized(layer):
        kind = kind.__bases__[0]
    if kind not in (nn.Linear, nn.Conv2d) or _has_foreign_hooks(layer):
        return {}
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if weight.dtype != torch.float32 or weight.layout != torch.strided:
        return {}
    if not bool((weight == 0).any()):
        return {}
    return LINEAR_KERNELS if isinstance(layer, nn.Linear) else _conv_kernels(layer)


def _conv_kernels(layer: nn.Module) -> Mapping[str, Kernel]:
    assert isinstance(layer, nn.Conv2d)
    if layer.groups > 1 or layer.padding_mode != "zeros" or layer.padding == "same":
        return {}
    pointwise = layer.kernel_size == (1, 1) and layer.padding in ("valid", (0, 0))
    return POINTWISE_KERNELS if pointwise else CONV_KERNELS


def _has_foreign_hooks(layer: nn.Module) -> bool:
    if _OWN_METHODS & vars(layer).keys():
        return True  # set on the object: it computes something else
    # torch's pruning computes the weight in a hook; the weight is then a plain tensor, up to date.
    before = [
        hook
        for hook in layer._forward_pre_hooks.values()
        if not isinstance(hook, prune.BasePruningMethod)
    ]
    return bool(before or layer._forward_hooks)


@dataclass(slots=True)
class _Recorder:
    """Keeps what each layer is given; a layer used in a way that no kernel knows is unfit."""

    calls: dict[nn.Module, Calls]
    unfit: set[nn.Module]

    def record(self, layer: nn.Module, inputs: tuple[object, ...], named: object) -> None:
        first = inputs[0] if inputs else None
        batched = not isinstance(layer, nn.Conv2d) or (
            isinstance(first, Tensor) and first.dim() == 4
        )
        if named or len(inputs) != 1 or not isinstance(first, Tensor) or not batched:
            self.unfit.add(layer)
        elif len(self.calls[layer]) < _MAX_CALLS:
            self.calls[layer].append(first.detach().clone())


def _recorded_calls(
    network: nn.Module, example_inputs: tuple[Tensor, ...]
) -> dict[nn.Module, Calls]:
    """Run the network once; give what each layer that may be replaced was given."""
    recorder = _Recorder(defaultdict(list), set())
    with untouched(network), torch.inference_mode():
        for _, layer in _candidates(network):
            layer.register_forward_pre_hook(recorder.record, with_kwargs=True)
        network(*(tensor.detach().clone() for tensor in example_inputs))
    return {layer: found for layer, found in recorder.calls.items() if layer not in recorder.unfit}


def _choose(name: str, layer: nn.Module, calls: Calls) -> tuple[LayerChoice, nn.Module]:
    forms = {DENSE: layer} | {label: build(layer) for label, build in csr_kernels(layer).items()}
    seconds = fastest({label: _repeating(form, calls) for label, form in forms.items()})
    best = min(seconds, key=lambda label: seconds[label])
    chosen = best if seconds[best] < WORTHWHILE * seconds[DENSE] else DENSE
    weight = layer.weight
    assert isinstance(weight, Tensor)
    choice = LayerChoice(
        name=name,
        sparsity=1 - int(weight.count_nonzero()) / weight.numel(),
        chosen=chosen,
        seconds=seconds,
    )
    return choice, forms[chosen]


def _repeating(form: nn.Module, calls: Calls) -> Callable[[], object]:
    return lambda: [form(x) for x in calls]


def _check(
    compiled: SparseNetwork, example_inputs: tuple[Tensor, ...], expected: list[Tensor]
) -> float:
    try:
        with untouched(compiled):
            found = torch_outputs(compiled, example_inputs)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise CostModelError(
            f"the network does not run with CSR layers: {error}. It must use its layers by calling "
            "them; measure it on device 'cpu'"
        ) from error
    return check_same(expected, found, tolerance=_TOLERANCE, runtime="the network with CSR layers")


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
