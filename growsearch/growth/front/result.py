"""Result of a front: a network at each budget, and what all of them took together."""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.growth.result import GrowthResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontResult:
    """The branches of one trunk, in the order of their budgets.

    ``training_macs`` of a branch are its own and those of the trunk that led to it;
    ``training_macs`` of the front those of the trunk, once, and of all declines.

    Example:
        >>> from growsearch.growth import FrontResult
        >>> FrontResult(branches=(), training_macs=0).training_macs
        0
    """

    branches: tuple[GrowthResult, ...]
    training_macs: int
