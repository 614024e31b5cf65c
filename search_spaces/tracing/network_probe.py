"""Probe of a network: a copy in which every channel matters, and inputs on which it shows.

Its training twin is the same copy where it trains, if it computes something else there.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.own_networks.keyword_inputs import tensors_given
from search_spaces.own_networks.whole_networks import copied
from search_spaces.randomness import random_state_kept
from search_spaces.tracing.operator_record import tensors_of

_SEED = 0


@contextmanager
def module_by_module() -> Iterator[None]:
    """Have torch's transformer layers run their modules one by one, also where nothing trains.

    Their fused kernel reads weights of modules that may be replaced meanwhile.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@torch.no_grad()
def network_probe(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    generator: torch.Generator,
    *,
    double: bool = False,
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a copy in which every channel matters, and inputs with values that differ.

    Args:
        module: any network; it stays as it is.
        inputs: batch first. Values of floating inputs are drawn afresh.
        generator: draws them, and small changes of all weights.
        double: in double precision, where the network can be run so.
    """
    drawn = tuple(
        torch.randn(each.shape, generator=generator).to(each) if each.is_floating_point() else each
        for each in inputs
    )
    plain = copied(module).eval()
    expected = _finite(plain, drawn)
    probe = copied(plain)
    _stir(probe, drawn, generator)
    candidates = [(probe, drawn), (plain, drawn)]
    if double:
        doubled = tuple(each.double() if each.is_floating_point() else each for each in drawn)
        candidates.insert(0, (copied(probe).double(), doubled))
    for candidate, given in candidates:
        try:
            if _finite(candidate, given) >= expected:
                return candidate, given
        except (RuntimeError, TypeError, ValueError):
            continue  # its code asks for single precision
    return plain, drawn


@torch.no_grad()
def training_twin(probe: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module | None:
    """Return a copy of ``probe`` that trains, None if it computes the same as the probe.

    Torch's own layers are as in evaluation: their statistics and their dropout bind no channels.
    What the code draws are means (see `steady`). None too where it does not run so.
    """
    twin = copied(probe).train()
    for layer in twin.modules():
        own = type(layer).__module__.startswith("torch.nn.") and not any(layer.children())
        if own or isinstance(layer, nn.modules.batchnorm._NormBase):
            layer.training = False
    try:
        with steady(twin):
            found = tensors_of(twin(*inputs))
    except Exception:  # whatever the module or torch raises; training tells the person
        return None
    expected = tensors_of(probe(*inputs))
    same = len(found) == len(expected) and all(map(_equal, found, expected))
    return None if same else twin


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, equal_nan=True)


@contextmanager
def steady(module: nn.Module) -> Iterator[None]:
    """Have a network that trains put out the same at every call, whatever widths it has.

    Torch's random numbers are their means, and draw nothing: a mask of dropout keeps all, noise
    adds nothing. Others (whole numbers, orders), those of Python and of NumPy are the same at every
    call. What the network writes into its buffers in place is taken back. In evaluation nothing is
    changed.
    """
    if not any(layer.training for layer in module.modules()):
        yield
        return
    before = [(each, each._version, each.clone()) for each in module.buffers()]
    draws = random.getstate()
    # Only where the network has loaded it.
    numpy: Any = sys.modules.get("numpy")
    drawn = None if numpy is None else numpy.random.get_state()
    random.seed(_SEED)
    if numpy is not None:
        numpy.random.seed(_SEED)
    try:
        with random_state_kept():
            torch.manual_seed(_SEED)
            with _Means():
                yield
    finally:
        random.setstate(draws)
        if numpy is not None:
            numpy.random.set_state(drawn)
        with torch.no_grad():
            for buffer, version, value in before:
                if buffer._version != version:
                    buffer.copy_(value)


class _Means(TorchDispatchMode):
    """Gives the means of random numbers in the place of those that operators draw."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return no: to wrap the mode, torch would import its whole compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.partition("::")[2]
        if name == "native_dropout":
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        mean = _MEANS.get(name)
        if mean is None:
            return func(*args, **kwargs)
        named = {each.name: each.default_value for each in func._schema.arguments}
        names = [each.name for each in func._schema.arguments]
        named |= dict(zip(names, args, strict=False)) | kwargs
        # Nothing is drawn for good: what else is drawn must not depend on how wide this was.
        generator = named.get("generator")
        before = None if generator is None else generator.get_state()
        with random_state_kept():
            found = func(*args, **kwargs)
        if generator is not None:
            generator.set_state(before)
        return _filled(found, mean(named))


def _filled(drawn: Tensor, mean: Tensor | float) -> Tensor:
    with torch.no_grad():
        return drawn.copy_(mean) if isinstance(mean, Tensor) else drawn.fill_(mean)


# By the name of the operator, from its arguments by name.
_MEANS: Mapping[str, Callable[[Mapping[str, Any]], Tensor | float]] = {
    "rand": lambda _: 0.5,
    "rand_like": lambda _: 0.5,
    "randn": lambda _: 0.0,
    "randn_like": lambda _: 0.0,
    "uniform_": lambda given: (given["from"] + given["to"]) / 2,
    "normal_": lambda given: given["mean"],
    "normal": lambda given: given["mean"],
    "exponential_": lambda given: 1 / given["lambd"],
    "bernoulli": lambda given: given["self"] if given.get("p") is None else given["p"],
    "bernoulli_": lambda given: given["p"],
}


@torch.no_grad()
def computes_in_single(module: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Tell whether a network rounds to single precision or below anywhere, whatever it is given.

    Norms and scores often are computed so: in double precision such a network says no more.
    """
    seen = _Types()
    with steady(module), seen:
        module(*inputs)
    return bool(seen.found & {torch.float32, torch.bfloat16, torch.float16})


class _Types(TorchDispatchMode):
    """Notes which types of numbers come out of operators."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[torch.dtype] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return no: to wrap the mode, torch would import its whole compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.found.update(tensor.dtype for tensor in tensors_of(out))
        return out


def _finite(module: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    return all(bool(each.isfinite().all()) for each in tensors_of(module(*inputs)))


def _stir(module: nn.Module, inputs: tuple[Tensor, ...], generator: torch.Generator) -> None:
    """Shift all values a little, so that no weight is 0 and no two channels are alike.

    BatchNorms get statistics near those of what comes in: behind others all might be negative, and
    a ReLU closed.
    """
    for parameter in module.parameters():
        if parameter.is_floating_point():
            size = float(parameter.detach().float().square().mean().sqrt()) or 1.0
            drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
            # Biases more, so that a layer that was silent on one probe is heard on another.
            parameter.add_((0.3 * size + (0.2 if parameter.ndim == 1 else 0)) * drawn)

    def match(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert isinstance(layer, nn.modules.batchnorm._NormBase)
        x = tensors_given(args, kwargs)[0]
        variance, mean = torch.var_mean(x, dim=[a for a in range(x.ndim) if a != 1], correction=0)
        if layer.running_mean is not None and layer.running_var is not None:
            drawn = torch.rand(mean.shape, generator=generator).to(mean)
            layer.running_mean.copy_(mean + (drawn - 0.5) * variance.sqrt())
            layer.running_var.copy_(variance * (0.5 + drawn) + layer.eps)

    handles = [
        layer.register_forward_pre_hook(match, with_kwargs=True)
        for layer in module.modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase)
    ]
    try:
        module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
