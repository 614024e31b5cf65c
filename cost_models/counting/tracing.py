"""Tracing a module on an example input: the work that it does, layer by layer."""

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cost_models.counting.counter import OperatorVisitor, prepares_a_weight, scope_of
from cost_models.counting.graph_values import Folded, GraphValues
from cost_models.counting.module_state import untouched
from cost_models.counting.operators import (
    COUNTED,
    FREE,
    Reader,
    Values,
    Work,
    may_hide_macs,
    shape_of,
)
from cost_models.counting.plain_calls import call_plainly, no_checkpointing
from cost_models.counting.plain_signature import ExampleInputs, call_by_position
from cost_models.counting.recording import OperatorLog
from cost_models.counting.sparsity_pattern import SparsityPattern, pattern_of, pattern_of_weight
from cost_models.counting.workload import LayerWork, Workload
from cost_models.errors import CostModelError, UnsupportedLayerError

_BATCH_SECOND = (
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightWork:
    """The work of a module, and which of its parameters do it.

    ``macs_per_element`` has, by every name of a parameter, the MACs of one example that one of its
    elements does in operators that read it element by element: transposed, scaled or masked at
    most. It is 0 of a parameter that none reads so. ``computed`` names the parameters that a weight
    is made of in other ways, with the module that does it: sums of parameters, and weights that are
    not zero where the parameter is. Of a parameter without zeros the latter cannot be told.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from cost_models import trace_weights
        >>> work = trace_weights(nn.Linear(8, 4), (torch.zeros(1, 8),))
        >>> work.workload.dense_macs, work.macs_per_element["weight"]
        (32, 1)
    """

    workload: Workload
    macs_per_element: Mapping[str, int]
    computed: Mapping[str, str]


def trace(module: nn.Module, example_inputs: ExampleInputs) -> Workload:
    """Count a module's work on an example; zeros are read off its weights.

    `example_inputs` is the tuple of tensors for `module(*example_inputs)`, or a mapping for
    `module(**example_inputs)`. Outputs may be dataclasses, mappings and sequences. Axis 0 of the
    first input is the batch (axis 1 for torch's own recurrent and attention modules with
    batch_first=False), and the MACs of the workload are those of **one example**. Work that the
    batch shares is rounded up. What only prepares a weight (`torch.nn.utils.parametrize`, a
    spectral norm) is no work of an example. `DataParallel`, `torch.compile` and checkpointing are
    looked through.
    The module is run once in eval mode without gradients and is left as it was: modes, attributes,
    parameters, buffers, hooks, gradients and the random state.

    Raises:
        UnsupportedLayerError: an operator may do MACs but has no count, a weight is not strided, or
            a module is scripted.
        CostModelError: the inputs are no tensors, or the module cannot be traced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from cost_models import trace
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> work = trace(module, (torch.zeros(1, 8),))
        >>> work.dense_macs, work.parameters
        (40, 46)
        >>> [(layer.name, layer.dense_macs) for layer in work.layers]
        [('0', 32), ('2', 8)]
    """
    return trace_weights(module, example_inputs).workload


def trace_weights(module: nn.Module, example_inputs: ExampleInputs) -> WeightWork:
    """Count a module's work as `trace` does, and say which parameters do it; errors are its own.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from cost_models import trace_weights
        >>> work = trace_weights(nn.Linear(8, 4), (torch.zeros(1, 8),))
        >>> work.workload.dense_macs, work.macs_per_element["weight"]
        (32, 1)
    """
    _check(module, example_inputs)
    with untouched(module), no_checkpointing(), _quiet():
        call_plainly(module)
        inputs = call_by_position(module, example_inputs)
        graph = GraphValues(module, len(inputs))
        recorder = _Recorder(
            batch=_batch_size(module, inputs[0]), graph=graph, log=OperatorLog(graph=graph)
        )
        counter = OperatorVisitor(module, tuple(each.detach().clone() for each in inputs))
        recorder.attach(counter)
        total = _count(counter)
    uncounted = recorder.uncounted(counter)
    if int(total) != recorder.macs:
        raise CostModelError(f"fvcore counts {total} MACs, the layers {recorder.macs}: a bug here")
    return recorder.result(module, uncounted)


def _check(module: nn.Module, example_inputs: ExampleInputs) -> None:
    given = example_inputs
    values = tuple(given.values()) if isinstance(given, Mapping) else given
    tensors = isinstance(values, tuple) and all(isinstance(each, Tensor) for each in values)
    if not tensors or not values:
        raise CostModelError(
            f"example_inputs is {type(given).__name__}: must be a non-empty tuple of tensors, or a "
            "mapping from names of arguments to tensors; write (x,) for one input"
        )
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise UnsupportedLayerError(
                f"{name or type(part).__name__} is scripted by torch.jit: its operators cannot be "
                "counted; give the module that it was made from"
            )
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.layout != torch.strided:
            raise UnsupportedLayerError(
                f"{name} has layout {tensor.layout}: only strided tensors can be traced; pass "
                "tensor.to_dense(), its zeros are counted all the same"
            )
        if nn.parameter.is_lazy(tensor):
            raise CostModelError(f"{name} has no shape yet; run the lazy module once, then trace")


def _batch_size(module: nn.Module, example: Tensor) -> int:
    axis = 0
    if isinstance(module, _BATCH_SECOND):
        flags = [part.batch_first for part in module.modules() if hasattr(part, "batch_first")]
        if example.dim() == 2:
            return 1  # one sequence without a batch axis
        axis = 0 if flags[0] else 1
    return max(1, example.shape[axis]) if example.dim() > axis else 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.jit's and fvcore's messages, and the uncountable attention kernel, away."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    level = logger.level
    torch.backends.mha.set_fastpath_enabled(False)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        logger.setLevel(level)


def _count(counter: OperatorVisitor) -> float:
    try:
        return float(counter.total())
    except CostModelError:
        raise
    except Exception as error:  # whatever the module or torch.jit raises, the cause is kept
        raise CostModelError(
            f"the module cannot be traced: {type(error).__name__}: {error}. It must run on "
            "the example inputs, return tensors, and call no function that torch.jit or "
            "torch.compile has made"
        ) from error


@dataclass(slots=True, kw_only=True)
class _Recorder:
    """Turns each operator that fvcore visits into a LayerWork."""

    batch: int
    graph: GraphValues
    log: OperatorLog
    macs: int = 0
    layers: list[LayerWork] = field(default_factory=list)
    charged: dict[int, int] = field(default_factory=dict)  # parameter id -> its non-zeros
    per_element: Counter[int] = field(default_factory=Counter)  # parameter id -> MACs of the batch
    computed: dict[int, str] = field(default_factory=dict)  # parameter id -> a module's path
    places: dict[str, str] = field(default_factory=dict)  # operator without a count -> a path

    def attach(self, counter: OperatorVisitor) -> None:
        counter.visit = self._visit
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counter.set_op_handle(**{name: self._handle(read) for name, read in COUNTED.items()})
        for name in FREE:
            counter._op_handles.pop(name, None)
            counter.set_op_handle(name, None)

    def _visit(self, node: Any) -> None:
        self.log.add(node)
        self.places.setdefault(_operator_of(node), scope_of(node))

    def uncounted(self, counter: OperatorVisitor) -> dict[str, int]:
        """Give the operators without a count by name, with their calls; none may do MACs.

        Raises:
            UnsupportedLayerError: naming those that may, and where they are.
        """
        found = {name: int(calls) for name, calls in sorted(counter.unsupported_ops().items())}
        hidden = [name for name in found if may_hide_macs(name)]
        if hidden:
            where = self.places.get(hidden[0])
            raise UnsupportedLayerError(
                f"operator {', '.join(hidden)}{f' in {where}' if where else ''} may do MACs that "
                "nothing counts: write a reader for it in cost_models/counting/operators.py, or "
                "replace the layer"
            )
        return found

    def _handle(self, read: Reader) -> Callable[[Values, Values], int]:
        def handle(inputs: Values, outputs: Values) -> int:
            if prepares_a_weight(outputs[0].node()):
                self.log.add(outputs[0].node())
                return 0
            work = read(inputs, outputs, self.graph)
            self.macs += work.macs
            nonzeros = None
            if work.macs:
                layer = self._layer(work, outputs[0])
                self.layers.append(layer)
                zeros = layer.weight_elements > layer.weight_nonzeros
                nonzeros = layer.weight_nonzeros if zeros else None
            self.log.add(outputs[0].node(), work.macs, nonzeros)
            return work.macs

        return handle

    def _layer(self, work: Work, output: object) -> LayerWork:
        weights = [folded for each in work.weights if (folded := self.graph.tensor(each))]
        elements = sum(weight.tensor.numel() for weight in weights)
        nonzeros = sum(int(weight.tensor.count_nonzero()) for weight in weights)
        if len(weights) < len(work.weights):
            elements = nonzeros = 0  # the weight is computed from the input: nothing to read off
        effective = work.macs * nonzeros // elements if elements else work.macs
        self._attribute(weights, work, scope_of(output.node()))  # type: ignore[attr-defined]
        parameters, nonzero_parameters = self._charge(weights, work)
        input_shape, output_shape = shape_of(work.data), shape_of(output)
        kernel = shape_of(work.weights[0])[2:] if work.kind == "conv" else None
        return LayerWork(
            name=scope_of(output.node()),  # type: ignore[attr-defined]
            kind=work.kind,
            dense_macs=_share(work.macs, self.batch),
            effective_macs=_share(effective, self.batch),
            input_shape=input_shape,
            output_shape=output_shape,
            kernel=kernel,
            stride=work.stride,
            groups=work.groups,
            weight_elements=elements,
            weight_nonzeros=nonzeros,
            parameters=parameters,
            nonzero_parameters=nonzero_parameters,
            weight_bytes=sum(each.tensor.numel() * each.tensor.element_size() for each in weights),
            activation_bytes=_share(_bytes(output), self.batch),
            pattern=_pattern(work, weights, elements, nonzeros),
        )

    def _attribute(self, weights: list[Folded], work: Work, where: str) -> None:
        """Note which parameter does the MACs element by element, or which a weight is made of."""
        if len(weights) != 1:
            return
        (folded,) = weights
        size = folded.tensor.numel()
        whole = [each for each in folded.parameters if each.numel() == size]
        if len(whole) == 1 and _keeps_zeros(folded.tensor, whole[0]):
            self.per_element[id(whole[0])] += work.macs // size
        else:
            self.computed |= {id(each): where for each in folded.parameters}

    def _charge(self, weights: list[Folded], work: Work) -> tuple[int, int]:
        """Count the parameters that no earlier layer used: how many, and how many not zero."""
        biases = [folded for each in work.biases if (folded := self.graph.tensor(each))]
        total = nonzero = 0
        for folded in weights + biases:
            for parameter in folded.parameters:
                if id(parameter) in self.charged:
                    continue
                # A mask applied in the forward pass zeroes the parameter as surely as a stored 0.
                same = len(folded.parameters) == 1 and folded.tensor.numel() == parameter.numel()
                alive = int((folded.tensor if same else parameter.detach()).count_nonzero())
                self.charged[id(parameter)] = alive
                total, nonzero = total + parameter.numel(), nonzero + alive
        return total, nonzero

    def result(self, module: nn.Module, uncounted: dict[str, int]) -> WeightWork:
        """Give what was recorded, by the names of the module's parameters."""
        names = dict(module.named_parameters(remove_duplicate=False))
        return WeightWork(
            workload=self._workload(module, uncounted),
            macs_per_element={n: self.per_element[id(p)] // self.batch for n, p in names.items()},
            computed={n: self.computed[id(p)] for n, p in names.items() if id(p) in self.computed},
        )

    def _workload(self, module: nn.Module, uncounted: dict[str, int]) -> Workload:
        parameters = list(module.parameters())
        alive = [
            self.charged.get(id(each), int(each.detach().count_nonzero())) for each in parameters
        ]
        return Workload(
            layers=tuple(self.layers),
            parameters=sum(each.numel() for each in parameters),
            nonzero_parameters=sum(alive),
            batch=self.batch,
            uncounted=uncounted,
            operators=self.log.result(),
        )


def _operator_of(node: Any) -> str:
    """Give an operator's name as fvcore counts it."""
    kind = str(node.kind())
    return f"{kind}.{node.pyname()}" if kind == "prim::PythonOp" else kind


def _keeps_zeros(weight: Tensor, parameter: nn.Parameter) -> bool:
    """Say whether the weight is the parameter moved about, scaled or masked: no zero comes back."""
    if weight.data_ptr() == parameter.data_ptr():
        return True  # seen from another side at most
    return int(weight.count_nonzero()) <= int(parameter.detach().count_nonzero())


def _pattern(work: Work, weights: list[Folded], elements: int, nonzeros: int) -> SparsityPattern:
    if elements and work.rows_are_outputs and len(weights) == 1:
        return pattern_of_weight(weights[0].tensor)
    return pattern_of(elements, nonzeros)


def _share(total: int, batch: int) -> int:
    return -(-total // batch)


def _bytes(output: object) -> int:
    dtype = output.type().dtype()  # type: ignore[attr-defined]
    return math.prod(shape_of(output)) * (dtype.itemsize if dtype is not None else 4)
