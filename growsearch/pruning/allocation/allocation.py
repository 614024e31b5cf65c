"""Contract of an allocation, and the widths of groups while blocks of channels come and go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from growsearch.errors import UsageError
from growsearch.growth.budget.projection import BudgetProjection


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A network that is to become smaller.

    Attributes:
        projection: the structures, what they cost, and the limit that is to be kept.
        scores: how much each structure (total,) matters, from 0 up.
        live: which structures (total,) there are; none comes back that is not.
        multiples: widths are multiples of it, by group; what is not named has any.
        least: the width below which no group goes, by group; 1 where it is not named.
        given: widths that are decided already, by group.
    """

    projection: BudgetProjection
    scores: Tensor
    live: Tensor
    multiples: Mapping[str, int]
    least: Mapping[str, int]
    given: Mapping[str, int]


# Returns the structures (total,) that stay, within the limit.
Allocation = Callable[[Request], Tensor]


class Widths:
    """The number of live structures by group or unit, moved one block at a time.

    Within a group the channels of the lowest scores go first. A unit is a block of its own, with
    all that is inside it.
    """

    def __init__(self, request: Request) -> None:
        structures = self._structures = request.projection.structures
        self._request = request
        live, scores = structures.split(request.live), structures.split(request.scores)
        self.names = structures.names
        self.sizes = list(structures.sizes)
        self.counts: list[int] = structures.counts(structures.running(request.live))
        self._ran = [group for group, count in enumerate(self.counts) if count]
        self._inside = structures.groups_inside()
        self._units = set(self._inside)
        # Live channels of every name, the most important first.
        self._order = [_ranked(scores[name], live[name]) for name in self.names]
        self._scores = [scores[name].tolist() for name in self.names]
        self.multiples = [max(1, request.multiples.get(name, 1)) for name in self.names]
        self._least = [request.least.get(name, 1) for name in self.names]
        for group in self.movable():
            wanted = request.given.get(self.names[group])
            if wanted is not None and not self.is_unit(group):
                self.counts[group] = min(self.counts[group], self._allowed(group, wanted))

    def is_unit(self, group: int) -> bool:
        """Tell whether the name at this place is a unit's."""
        return group in self._units

    def movable(self) -> list[int]:
        """Return the places of what runs."""
        return [group for group, count in enumerate(self.counts) if count]

    def fillable(self) -> list[int]:
        """Return the places of what ran at first and has no given width."""
        return [group for group in self._ran if not self.is_given(group)]

    def is_given(self, group: int) -> bool:
        """Tell whether its width is decided already."""
        return self.names[group] in self._request.given

    def cost(self, counts: list[int] | None = None) -> float:
        """Return the cost at these counts, or at the present ones."""
        return self._request.projection.terms.exact(counts or self.counts)

    @property
    def limit(self) -> float:
        """What the cost may be."""
        return self._request.projection.limit

    def below(self, group: int) -> int | None:
        """Return the next smaller width, None if there is none."""
        count, least = self.counts[group], self.least(group)
        if self.is_unit(group):
            return 0 if count else None
        smaller = (count - 1) // self.multiples[group] * self.multiples[group]
        return smaller if smaller >= least and count else None

    def above(self, group: int) -> int | None:
        """Return the next larger width that there is, None if there is none.

        A unit that has gone comes back with the least widths inside.
        """
        if self.is_unit(group):
            return None if self.counts[group] else 1
        most = len(self._order[group])
        if self.counts[group] >= most or not self.counts[group]:
            return None
        multiple = self.multiples[group]
        return min(most, (self.counts[group] // multiple + 1) * multiple)

    def least(self, group: int) -> int:
        """Return the smallest width that the group may have."""
        return 0 if self.is_unit(group) else self._allowed(group, self._least[group])

    def without(self, group: int, width: int) -> list[int]:
        """Return the counts with another width of ``group``; a unit takes along what is inside."""
        changed = list(self.counts)
        changed[group] = width
        if self.is_unit(group):
            for inner in self._inside[group]:
                changed[inner] = self._first(inner) if width else 0
        return changed

    def lost(self, counts: list[int]) -> float:
        """Return how much more matters now than at ``counts``, of which one group or unit differs.

        With a unit goes what is inside it: it matters as much as that, or as itself if more.
        """
        differs = [g for g, count in enumerate(counts) if count != self.counts[g]]
        by_group = {g: self._score(g, self.counts[g]) - self._score(g, counts[g]) for g in differs}
        unit = [by_group.pop(g) for g in differs if self.is_unit(g)]
        inside = math.fsum(by_group.values())
        return max([inside, *unit], key=abs)

    def _score(self, group: int, count: int) -> float:
        """Return the sum of the scores of so many of the best channels."""
        return math.fsum(self._scores[group][c] for c in self._order[group][:count])

    def _first(self, group: int) -> int:
        """Return the width with which a group comes back."""
        given = self._request.given.get(self.names[group])
        return self.least(group) if given is None else self._allowed(group, given)

    def share(self, group: int, width: int) -> float:
        """Return the share of the full group that ``width`` is."""
        return width / self.sizes[group]

    def live(self) -> Tensor:
        """Return the structures that stay (total,)."""
        result = self._request.live.clone()
        parts = self._structures.split(result)
        for group, name in enumerate(self.names):
            parts[name][:] = False
            parts[name][self._order[group][: self.counts[group]]] = True
        return self._structures.running(result)

    def check(self) -> None:
        """Raise UsageError if the limit is not kept, and no block is left that could go."""
        if self.cost() > self.limit:
            raise UsageError(
                f"budget: {self.limit:,.6g} is below what is left, {self.cost():,.6g}, when all "
                "groups are as narrow as least_share, shares and width_multiple let them; give "
                "more, or lower these"
            )

    def _allowed(self, group: int, width: int) -> int:
        """Return the width rounded up to a multiple, at most what there is."""
        multiple = self.multiples[group]
        return min(len(self._order[group]), max(1, -(-width // multiple)) * multiple)


def _ranked(scores: Tensor, live: Tensor) -> list[int]:
    found: list[int] = (
        scores.masked_fill(~live, -math.inf).argsort(descending=True, stable=True).tolist()
    )
    return found[: int(live.sum())]
