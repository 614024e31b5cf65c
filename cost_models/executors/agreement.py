"""Agreement check: does a translated network still compute what torch computes?"""

import dataclasses
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from cost_models.errors import CostModelError


def torch_outputs(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Run a module once in inference mode and give the tensors it returns, in order."""
    with torch.inference_mode():
        return flat_tensors(module(*(tensor.detach().clone() for tensor in example_inputs)))


def flat_tensors(outputs: object) -> list[Tensor]:
    """Give the tensors of a (nested) tuple, list or mapping, in order.

    Raises `CostModelError` for anything else: it cannot be compared.
    """
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, Mapping):
        return flat_tensors(list(outputs.values()))
    if isinstance(outputs, list | tuple):
        return [tensor for each in outputs for tensor in flat_tensors(each)]
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, type):
        return flat_tensors([getattr(outputs, f.name) for f in dataclasses.fields(outputs)])
    raise CostModelError(
        f"the module returns {type(outputs).__name__}: must be tensors, to be compared with torch's"
    )


def difference(expected: Tensor, found: Tensor) -> float:
    """Largest deviation, relative to the largest magnitude that was expected."""
    if expected.numel() == 0:
        return 0.0
    deviation = (found.double() - expected.double()).abs().max()
    # An output that is all zeros has no scale of its own.
    scale = expected.double().abs().max()
    return float(deviation / scale if scale > 0 else deviation)


def check_same(
    expected: Iterable[Tensor], found: Iterable[Tensor], *, tolerance: float, runtime: str
) -> float:
    """Give the largest `difference` of paired outputs.

    Raises `CostModelError` when it is above `tolerance` (or not a number), or the shapes differ.
    """
    pairs = list(zip(expected, found, strict=True))
    shapes = [(tuple(a.shape), tuple(b.shape)) for a, b in pairs if a.shape != b.shape]
    if shapes:
        raise CostModelError(
            f"{runtime} gives outputs of shape {shapes[0][1]}, torch {shapes[0][0]}"
        )
    worst = max((difference(a, b) for a, b in pairs), default=0.0)
    if not worst <= tolerance:
        raise CostModelError(
            f"{runtime} differs from torch by {worst:.2g} of the largest output, above "
            f"{tolerance:g}: its time would be that of another network"
        )
    return worst
