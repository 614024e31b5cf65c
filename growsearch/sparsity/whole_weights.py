"""Tuning of whole weights: which few, added or removed, bring a cost closest to its target?"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

# A search that has seen this many sums settles for the nearest one.
_MAX_SUMS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Countable:
    """Something there is a whole number of, such as the active weights of a layer.

    ``count`` may move between ``least`` and ``most``; each one more costs ``cost``.
    """

    count: int
    least: int
    most: int
    cost: int


def tune_counts(items: Mapping[str, Countable], missing: int) -> dict[str, int]:
    """Return counts whose cost is ``missing`` above the present one, or as near as can be.

    Large steps come first. What is left is met by the shortest mix of steps in both directions, so
    that steps of 49 and 36 reach every whole number. ``missing`` may be negative.
    """
    counts = {name: item.count for name, item in items.items()}
    for name in sorted(items, key=lambda n: -items[n].cost):
        step = items[name].cost
        # int() truncates towards zero: never past the target.
        moved = _move(items[name], counts, name, int(missing / step)) if step else 0
        missing -= moved * step
    for cost, number in _shortest_mix(items, counts, missing).items():
        _spread(items, counts, cost, number)
    return counts


def _move(item: Countable, counts: dict[str, int], name: str, added: int) -> int:
    """Add that many (take them away if negative) as far as there is room."""
    before = counts[name]
    counts[name] = max(item.least, min(item.most, before + added))
    return counts[name] - before


def _spread(items: Mapping[str, Countable], counts: dict[str, int], cost: int, added: int) -> None:
    """Add that many to the items of one cost, the largest first, whose share changes least."""
    for name in sorted(items, key=lambda n: -items[n].most):
        if items[name].cost == cost:
            added -= _move(items[name], counts, name, added)


def _shortest_mix(
    items: Mapping[str, Countable], counts: Mapping[str, int], missing: int
) -> dict[int, int]:
    """Return how many to add by cost (negative: take away) so that the least is missing.

    A breadth-first search over what is missing.
    """
    room = _room(items, counts)
    bound = max([abs(missing), *room])
    came_from: dict[int, int] = {missing: 0}
    queue, best = deque([missing]), missing
    while queue and best != 0 and len(came_from) < _MAX_SUMS:
        here = queue.popleft()
        mix = _steps_to(here, came_from)
        for step in (sign * cost for cost in room for sign in (1, -1)):
            there = here - step
            if abs(there) > bound or there in came_from:
                continue
            up, down = room[abs(step)]
            if mix.get(step, 0) + 1 > (up if step > 0 else down):
                continue
            came_from[there] = step
            queue.append(there)
            best = min(best, there, key=abs)
    mix = _steps_to(best, came_from)
    return {cost: mix.get(cost, 0) - mix.get(-cost, 0) for cost in room}


def _room(items: Mapping[str, Countable], counts: Mapping[str, int]) -> dict[int, tuple[int, int]]:
    """Return by cost how many may be added and taken away."""
    room: dict[int, tuple[int, int]] = {}
    for name, item in items.items():
        if item.cost:
            up, down = room.get(item.cost, (0, 0))
            up, down = up + item.most - counts[name], down + counts[name] - item.least
            room[item.cost] = up, down
    return room


def _steps_to(value: int, came_from: Mapping[int, int]) -> dict[int, int]:
    mix: dict[int, int] = {}
    while step := came_from[value]:
        mix[step] = mix.get(step, 0) + 1
        value += step
    return mix
