"""How large may the grown network be? A bound on parameters or MACs, absolute or relative."""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.errors import UsageError
from growsearch.growth.cost_terms import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An upper bound; exactly one of the two is given.

    A float in (0, 1] is the share of the full configuration; an integer is an absolute count. MACs
    are those of one example in convolutions and linear layers.

    Raises:
        UsageError: if none or both are given, or a value is out of range.
    """

    parameters: float | int | None = None
    macs: float | int | None = None

    def __post_init__(self) -> None:
        if (self.parameters is None) == (self.macs is None):
            raise UsageError("budget: give exactly one of parameters and macs")
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"budget.{self.metric}: {value!r} is no number; give 0.36 or 100000")
        if isinstance(value, float) and not 0 < value <= 1:
            raise UsageError(
                f"budget.{self.metric}: the share {value} is not in (0, 1]; "
                "a share is a float such as 0.36, an absolute count an integer such as 100000"
            )
        if isinstance(value, int) and value < 1:
            raise UsageError(f"budget.{self.metric}: {value} is below 1; give a positive count")

    @property
    def metric(self) -> Metric:
        """What is bounded: "parameters" or "macs"."""
        return "macs" if self.parameters is None else "parameters"

    @property
    def value(self) -> float | int:
        """The bound as it was given."""
        value = self.macs if self.parameters is None else self.parameters
        assert value is not None
        return value

    def limit(self, *, full: int, least: int) -> int:
        """Return the bound as a count: never above ``full``, the full configuration's cost.

        Raises:
            UsageError: if the bound is below ``least``, the cost of one channel a group.
        """
        value = self.value
        amount = int(value * full) if isinstance(value, float) else min(value, full)
        if amount < least:
            share = "" if isinstance(value, int) else f" of {full:,} = {amount:,}"
            raise UsageError(
                f"budget.{self.metric}: {value}{share} is below the smallest network "
                f"({least:,} with one channel a group); give at least {least:,} "
                f"or {_ceil(least / full)}"
            )
        return amount


def _ceil(share: float) -> float:
    """Round a share up to three decimals, so that the advice is itself accepted."""
    return min(1.0, int(share * 1000 + 1) / 1000)
