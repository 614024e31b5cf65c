"""Budget projection: which channels and units fit into the budget? One a group stays alive."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from growsearch.growth.budget.cost_terms import CostFunction
from growsearch.growth.budget.structures import Structures

# A structure's penalty is at most 4 times or at least a quarter of its kind's typical one: beyond
# that, the cheap ones would be all awake before the others have moved.
_MAX_LOG_FACTOR = math.log(4)
_MIN_MEAN, _MIN_FREE_SHARE = 1e-6, 0.1

# A network that costs so much of its limit has landed.
NEAR = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetProjection:
    """Brings any choice of channels and units to one whose cost is within ``limit``.

    All methods take and return flat masks (total,) and rank structures by ``scores`` (total,); none
    changes its arguments. What they return runs as it is: channels inside a unit that is not live
    are not live either. The cost of the least network must be within ``limit``. ``marginals`` says
    what one more structure of each name costs, where that is to weigh on its indicator. ``fixed``
    is the part of the cost that no choice of structures can save, such as the time of starting
    layers: shares are those of the rest.
    """

    structures: Structures
    terms: CostFunction
    limit: float
    marginals: Callable[[Sequence[float]], npt.NDArray[np.float64]] | None = None
    fixed: float = 0.0

    def cost(self, live: Tensor) -> float:
        """Return the cost of the network with these live channels."""
        return self.terms.exact(self.structures.counts(live))

    def expected_share(self, probabilities: Tensor) -> float:
        """Return the cost at mean widths divided by the limit, both without the fixed part.

        A mean is at least one channel for a group, and at least 0 for a unit.
        """
        return (self.terms.expected(self._means(probabilities)) - self.fixed) / self._free

    def pressure(self, probabilities: Tensor, *, over: bool) -> Tensor | float:
        """Return the factor (total,) on the penalty of every structure.

        Without ``marginals`` it is 1 everywhere, as in arXiv 2007.15353. With them, what is dear on
        the device goes first when the expected cost is ``over`` the limit, and what is cheap comes
        first otherwise. Channels are weighed against channels and units against units, and the
        cost of each kind is pushed as hard as it would be without.
        """
        if self.marginals is None:
            return 1.0
        sizes = [max(_MIN_MEAN, mean) for mean in self._means(probabilities)]
        each = torch.from_numpy(self.marginals(sizes)).clamp(min=torch.finfo(torch.float32).tiny)
        dear = each.log().repeat_interleave(torch.tensor(self.structures.sizes)).float()
        factors, units = torch.empty_like(dear), self.structures.are_units()
        for kind in (units, ~units):
            if kind.any():
                relative = dear[kind] - dear[kind].mean()
                factor = (
                    (relative if over else -relative).clamp(-_MAX_LOG_FACTOR, _MAX_LOG_FACTOR).exp()
                )
                shares = torch.softmax(dear[kind], dim=0)
                factors[kind] = factor / (shares * factor).sum()
        return factors

    def limit_at(self, share: float) -> float:
        """Return the cost at which ``share`` of what there is to spend is spent."""
        return self.limit - (1 - share) * self._free

    @property
    def _free(self) -> float:
        """What there is to spend; not so little that a share of it would be all noise."""
        return max(self.limit - self.fixed, _MIN_FREE_SHARE * self.limit)

    def _means(self, probabilities: Tensor) -> list[float]:
        return list(map(max, self.structures.floors, self.structures.sums(probabilities)))

    def with_one_each(self, live: Tensor, scores: Tensor) -> Tensor:
        """Wake the best channel of every group that could run and has no live one."""
        live, structures = live.clone(), self.structures
        masks, values = structures.split(live), structures.split(scores)
        for name in structures.names:
            if name not in structures.inside and not masks[name].any():
                masks[name][values[name].argmax()] = True
        return structures.running(live)

    def cap(self, live: Tensor, scores: Tensor) -> Tensor:
        """Drop the lowest scores until the cost is within the limit, one a group staying."""
        live = self.with_one_each(live, scores)
        left = _LiveCounts(self, live)
        for structure in scores.argsort(stable=True).tolist():
            if left.cost() <= self.limit:
                break
            if left.may_go(structure):
                left.drop(structure)
        return left.live()

    def fill(self, live: Tensor, scores: Tensor, *, share: float = 1.0) -> Tensor:
        """Wake structures from the highest score down, each if ``share`` of the limit allows it.

        A unit wakes with the best channel of every group inside it; its other channels have their
        turn after it.
        """
        live = self.structures.running(live)
        bound = self.limit_at(share)
        held, ranks = _LiveCounts(self, live), scores.tolist()
        # Highest score first, and the first of equals.
        waiting = [(-ranks[structure], structure) for structure in held.could_wake()]
        heapq.heapify(waiting)
        while waiting:
            _, structure = heapq.heappop(waiting)
            if held.is_live(structure):
                continue
            wakes = [structure, *held.best_inside(structure, ranks)]
            held.wake(wakes)
            if held.cost() > bound:
                held.put_back(wakes)
                continue
            for channel in held.inside(structure):
                heapq.heappush(waiting, (-ranks[channel], channel))
        return held.live()

    def spend(self, live: Tensor, scores: Tensor) -> Tensor:
        """Cap, then fill: not one more structure fits.

        Small networks of few channels may still be more than 1 % below the limit. There a channel
        of one group is exchanged for one of another, as long as that comes nearer.
        """
        filled = self.fill(self.cap(live, scores), scores)
        while self.cost(filled) < NEAR * self.limit:
            nearer = self._exchanged(filled, scores)
            if nearer is None:
                break
            filled = self.fill(nearer, scores)
        return filled

    def _exchanged(self, live: Tensor, scores: Tensor) -> Tensor | None:
        """Return the network of one exchange that costs most within the limit, None if less."""
        structures, best = self.structures, self.cost(live)
        masks, ranks = structures.split(live), structures.split(scores)
        channels = [n for n in structures.names if n not in structures.inside and masks[n].any()]
        gives = [name for name in channels if masks[name].sum() > 1]
        takes = [name for name in channels if not masks[name].all()]
        widths, found = structures.widths(live), None
        for give, take in itertools.product(gives, takes):
            changed = {**widths, give: widths[give] - 1, take: widths[take] + 1}
            cost = self.terms.exact(list(changed.values()))
            if give != take and best < cost <= self.limit:
                best, found = cost, (give, take)
        if found is None:
            return None
        result = live.clone()
        giving, taking = (structures.split(result)[name] for name in found)
        giving[ranks[found[0]].masked_fill(~giving, math.inf).argmin()] = False
        taking[ranks[found[1]].masked_fill(taking, -math.inf).argmax()] = True
        return result


class _LiveCounts:
    """Which structures live while some are dropped or woken, and the counts that they add up to."""

    def __init__(self, projection: BudgetProjection, live: Tensor) -> None:
        structures = projection.structures
        self._terms = projection.terms
        self._live: list[bool] = live.tolist()
        self._counts = structures.counts(live)
        self._floors = structures.floors
        self._group_of = structures.group_of()
        starts = structures.starts()
        self._members = [range(s, s + n) for s, n in zip(starts, structures.sizes, strict=True)]
        self._inside = structures.groups_inside()
        self._cost: float | None = None

    def live(self) -> Tensor:
        return torch.tensor(self._live)

    def is_live(self, structure: int) -> bool:
        return self._live[structure]

    def cost(self) -> float:
        if self._cost is None:
            self._cost = self._terms.exact(self._counts)
        return self._cost

    def inside(self, structure: int) -> Iterable[int]:
        """Return the channels inside ``structure`` if it is a unit."""
        groups = self._inside.get(self._group_of[structure], ())
        return (channel for group in groups for channel in self._members[group])

    def could_wake(self) -> list[int]:
        """Return what is not live, without channels that wait for their unit."""
        asleep = {
            channel
            for unit in self._inside
            if not self._counts[unit]
            for channel in self.inside(self._members[unit][0])
        }
        return [s for s, on in enumerate(self._live) if not on and s not in asleep]

    def may_go(self, structure: int) -> bool:
        group = self._group_of[structure]
        return self._live[structure] and self._counts[group] > self._floors[group]

    def drop(self, structure: int) -> None:
        """Drop ``structure``, and with a unit what is inside it."""
        self.put_back([structure, *(c for c in self.inside(structure) if self._live[c])])

    def best_inside(self, structure: int, ranks: list[float]) -> list[int]:
        """Return the channel of the highest rank of every group inside ``structure``."""
        groups = self._inside.get(self._group_of[structure], ())
        return [max(self._members[group], key=ranks.__getitem__) for group in groups]

    def wake(self, structures: list[int]) -> None:
        self._change(structures, live=True)

    def put_back(self, structures: list[int]) -> None:
        self._change(structures, live=False)

    def _change(self, structures: list[int], *, live: bool) -> None:
        for structure in structures:
            self._live[structure] = live
            self._counts[self._group_of[structure]] += 1 if live else -1
        self._cost = None
