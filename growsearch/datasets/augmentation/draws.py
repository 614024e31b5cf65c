"""Random draws of augmentations, and the rules for their values.

All is drawn where the generator lives, on the processor as a rule, and moved: the same seed gives
the same images on every device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from growsearch.errors import UsageError

_SEEDS = 2**31


def uniform(
    shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Return numbers in [low, high), on the processor."""
    low, high = bounds
    drawn = torch.rand(shape, generator=generator, device=generator.device).cpu()
    return low + (high - low) * drawn


def whole(below: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return whole numbers from 0 to ``below`` - 1, on the processor."""
    return torch.randint(below, shape, generator=generator, device=generator.device).cpu()


def chosen(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return (count,) bool: is this one taken?"""
    return uniform((count,), (0.0, 1.0), generator) < probability


def beta(alpha: float, generator: torch.Generator) -> float:
    """Return one number of the distribution Beta(alpha, alpha).

    NumPy keeps RandomState's stream forever (NEP 19), and torch's own sampler takes no generator.
    """
    seed = int(whole(_SEEDS, (1,), generator))
    return float(np.random.RandomState(seed).beta(alpha, alpha))


def check_share(name: str, key: str, value: float) -> None:
    """Refuse what is not in [0, 1].

    Raises:
        UsageError: naming augmentation, key, value and rule.
    """
    if not 0 <= value <= 1:
        raise UsageError(f"{name}.{key} = {value!r} is not from 0 to 1; give a share such as 0.5")


def check_whole(name: str, key: str, value: int, bounds: tuple[int, int]) -> None:
    """Refuse what is no whole number within ``bounds``, both included.

    Raises:
        UsageError: naming augmentation, key, value and rule.
    """
    low, high = bounds
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"{name}.{key} = {value!r} is no whole number from {low} to {high:,}")


def check_range(name: str, key: str, value: tuple[float, float], *, most: float) -> None:
    """Refuse what is no (low, high) with 0 < low <= high <= ``most``.

    Raises:
        UsageError: naming augmentation, key, value and rule.
    """
    if not (0 < value[0] <= value[1] <= most):
        raise UsageError(
            f"{name}.{key} = {list(value)}: give [low, high] with 0 < low <= high <= {most:g}"
        )


def check_above(name: str, key: str, value: float, *, most: float, usual: float) -> None:
    """Refuse what is not in (0, most].

    Raises:
        UsageError: naming augmentation, key, value and rule.
    """
    if not 0 < value <= most:
        raise UsageError(
            f"{name}.{key} = {value!r} is not above 0 and at most {most:g}; {usual:g} is usual"
        )
