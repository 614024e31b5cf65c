"""Probe of a network: a copy in which every channel matters, and inputs on which it shows."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.tracing.operator_record import tensors_of


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
    plain = copy.deepcopy(module).eval()
    expected = _finite(plain, drawn)
    probe = copy.deepcopy(plain)
    _stir(probe, drawn, generator)
    candidates = [(probe, drawn), (plain, drawn)]
    if double:
        doubled = tuple(each.double() if each.is_floating_point() else each for each in drawn)
        candidates.insert(0, (copy.deepcopy(probe).double(), doubled))
    for candidate, given in candidates:
        try:
            if _finite(candidate, given) >= expected:
                return candidate, given
        except (RuntimeError, TypeError, ValueError):
            continue  # its code asks for single precision
    return plain, drawn


@torch.no_grad()
def computes_in_single(module: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Tell whether a network rounds to single precision or below anywhere, whatever it is given.

    Norms and scores often are computed so: in double precision such a network says no more.
    """
    seen = _Types()
    with seen:
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

    def match(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.modules.batchnorm._NormBase)
        (x, *_) = given
        variance, mean = torch.var_mean(x, dim=[a for a in range(x.ndim) if a != 1], correction=0)
        if layer.running_mean is not None and layer.running_var is not None:
            drawn = torch.rand(mean.shape, generator=generator).to(mean)
            layer.running_mean.copy_(mean + (drawn - 0.5) * variance.sqrt())
            layer.running_var.copy_(variance * (0.5 + drawn) + layer.eps)

    handles = [
        layer.register_forward_pre_hook(match)
        for layer in module.modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase)
    ]
    try:
        module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
