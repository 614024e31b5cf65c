"""Allocation: in which proportions do the groups of a network that grows by plan widen?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from growsearch.growth.budget.projection import BudgetProjection

# One change moves a group's share of the width by the root of what its channels are worth beside
# the others', and by no more than this factor: the signal is a local one.
_POWER, _MOST = 0.5, 1.5
_TINY = 1e-30


class Allocation(Protocol):
    """Gives every group a weight; widths follow the weights as far as groups are that wide."""

    def learn(self, gate_gradients: Tensor) -> None:
        """Take in dL/dgate (total,) of one step; those that are not live have exactly 0."""
        ...

    def weights(self, live: Tensor) -> list[float]:
        """Return the weight of every group and unit for the change that comes."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return all that changes over a run, for a checkpoint."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        ...


class UniformAllocation:
    """The proportions of the full network: every group keeps one share of its channels."""

    def __init__(self, projection: BudgetProjection) -> None:
        self._sizes = projection.structures.sizes

    def learn(self, gate_gradients: Tensor) -> None:
        """Learn nothing."""

    def weights(self, live: Tensor) -> list[float]:  # noqa: ARG002
        """Return the full widths."""
        return [float(size) for size in self._sizes]

    def state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing back."""


class FisherAllocation:
    """More width where a channel is worth more for what it costs.

    A channel's worth is the mean of (dL/dgate)^2 over the steps since the last change: the
    empirical Fisher information of its gate (Theis et al. 2018, arXiv 1801.05787, eq. 6, whose
    saliency of a channel it is up to a factor), of batches in the place of examples. Divided by
    what one more channel of the group costs in the budget's unit, and by the geometric mean of all
    groups, it moves the group's present share of the width.
    """

    def __init__(self, projection: BudgetProjection) -> None:
        self._projection = projection
        self._squares = torch.zeros(projection.structures.total, dtype=torch.float64)
        self._steps = 0

    def learn(self, gate_gradients: Tensor) -> None:
        """Add up the squares."""
        self._squares += gate_gradients.double().square()
        self._steps += 1

    def weights(self, live: Tensor) -> list[float]:
        """Return the present widths, moved; and forget what was learned so far."""
        structures = self._projection.structures
        counts, sizes = structures.counts(live), structures.sizes
        worth = self._worth(counts, live)
        self._squares.zero_()
        self._steps = 0
        known = [value for value in worth if value is not None]
        if not known:
            return [float(count or size) for count, size in zip(counts, sizes, strict=True)]
        typical = math.fsum(map(math.log, known)) / len(known)
        return [
            float(count or size) if value is None else count * _moved(math.log(value) - typical)
            for count, size, value in zip(counts, sizes, worth, strict=True)
        ]

    def _worth(self, counts: Sequence[int], live: Tensor) -> list[float | None]:
        """Return a live channel's worth by its cost, None of units and of what does not run."""
        structures = self._projection.structures
        sums = structures.sums(torch.where(live, self._squares, torch.zeros(()).double()))
        found: list[float | None] = []
        for place, (name, count, total) in enumerate(
            zip(structures.names, counts, sums, strict=True)
        ):
            if name in structures.inside or not count or not self._steps:
                found.append(None)
                continue
            cost = self._marginal(counts, place)
            found.append(max(_TINY, total / count / self._steps) / max(_TINY, cost))
        return found

    def _marginal(self, counts: Sequence[int], place: int) -> float:
        """Return what one more channel costs, or of a whole group the last one."""
        wider = counts[place] < self._projection.structures.sizes[place]
        more, fewer = list(counts), list(counts)
        if wider:
            more[place] += 1
        else:
            fewer[place] -= 1
        exact = self._projection.terms.exact
        return exact(more) - exact(fewer)

    def state(self) -> dict[str, Tensor]:
        """Return the sums and their number."""
        return {"squares": self._squares, "steps": torch.tensor(self._steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._squares = state["squares"].clone()
        self._steps = int(state["steps"])


def _moved(logarithm: float) -> float:
    return min(_MOST, max(1 / _MOST, math.exp(_POWER * logarithm)))


ALLOCATIONS: dict[str, Callable[[BudgetProjection], Allocation]] = {
    "uniform": UniformAllocation,
    "fisher": FisherAllocation,
}
