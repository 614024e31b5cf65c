"""Knapsack allocation: what matters least for what it costs goes first, whatever group it is in."""

from __future__ import annotations

import heapq
import math

from torch import Tensor

from growsearch.pruning.allocation.allocation import Request, Widths


def knapsack(request: Request) -> Tensor:
    """Return the structures (total,) of the highest importance that the limit pays for, greedily.

    Shen, Yin, Molchanov, Mao, Liu and Alvarez, "Structural Pruning via Latency-Saliency Knapsack"
    (HALP), NeurIPS 2022, eq. 2: maximise the sum of importances under the sum of costs. A block of
    channels costs what the network is dearer with it now, which falls with the widths of what it
    meets; so costs are asked again before a block goes. At last blocks come back by importance for
    cost as long as they fit, a unit with the least widths inside.

    Raises:
        UsageError: if the limit is below the least widths.
    """
    widths = Widths(request)
    _shrink(widths)
    widths.check()
    _fill(widths)
    return widths.live()


def _shrink(widths: Widths) -> None:
    waiting = [(_loss(widths, group), group) for group in _open(widths)]
    heapq.heapify(waiting)
    while waiting and widths.cost() > widths.limit:
        _, group = heapq.heappop(waiting)
        now = _loss(widths, group)
        if waiting and now > waiting[0][0]:
            # Dearer for its cost than it was: another one may go first.
            if now < math.inf:
                heapq.heappush(waiting, (now, group))
            continue
        width = widths.below(group)
        if width is None or not widths.counts[group]:
            continue
        widths.counts = widths.without(group, width)
        if widths.below(group) is not None:
            heapq.heappush(waiting, (_loss(widths, group), group))


def _open(widths: Widths) -> list[int]:
    return [g for g in widths.movable() if not widths.is_given(g) and widths.below(g) is not None]


def _loss(widths: Widths, group: int) -> float:
    """Return the importance that goes with the group's next block, for each unit of cost saved."""
    width = widths.below(group)
    if width is None:
        return math.inf
    changed = widths.without(group, width)
    saved = widths.cost() - widths.cost(changed)
    return widths.lost(changed) / saved if saved > 0 else math.inf


def _fill(widths: Widths) -> None:
    too_dear: set[int] = set()
    while True:
        waiting = [group for group in widths.fillable() if group not in too_dear]
        gains = {group: gain for group in waiting if (gain := _gain(widths, group)) is not None}
        if not gains:
            return
        best = max(gains, key=lambda group: gains[group])
        width = widths.above(best)
        assert width is not None
        changed = widths.without(best, width)
        if widths.cost(changed) > widths.limit:
            too_dear.add(best)
        else:
            widths.counts = changed


def _gain(widths: Widths, group: int) -> float | None:
    width = widths.above(group)
    if width is None:
        return None
    changed = widths.without(group, width)
    return -widths.lost(changed) / max(widths.cost(changed) - widths.cost(), 1e-30)
