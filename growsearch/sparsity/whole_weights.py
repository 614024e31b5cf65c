"""Which few weights, added or removed, bring a cost closest to its target?"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

# A search that has seen this many sums settles for the nearest one.
_MOST_SUMS = 100_000


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
    for name, number in _shortest_mix(items, counts, missing).items():
        _move(items[name], counts, name, number)
    return counts


def _move(item: Countable, counts: dict[str, int], name: str, added: int) -> int:
    """Add that many (take them away if negative) as far as there is room."""
    before = counts[name]
    counts[name] = max(item.least, min(item.most, before + added))
    return counts[name] - before


def _shortest_mix(
    items: Mapping[str, Countable], counts: Mapping[str, int], missing: int
) -> dict[str, int]:
    """Return what to add by name (negative: take away) so that the least is missing.

    A breadth-first search over what is missing. One item stands for all of the same cost: the
    one that has the most, whose share changes least.
    """
    name_of = {items[n].cost: n for n in sorted(items, key=lambda n: items[n].most)}
    name_of.pop(0, None)
    bound = max([abs(missing), *name_of])
    came_from: dict[int, int] = {missing: 0}
    queue, best = deque([missing]), missing
    while queue and best != 0 and len(came_from) < _MOST_SUMS:
        here = queue.popleft()
        for step in (sign * size for size in name_of for sign in (1, -1)):
            there = here - step
            if abs(there) > bound or there in came_from:
                continue
            mix = _steps_to(here, came_from)
            mix[step] = mix.get(step, 0) + 1
            if not _fits(items, counts, name_of, mix):
                continue
            came_from[there] = step
            queue.append(there)
            best = min(best, there, key=abs)
    mix = _steps_to(best, came_from)
    return {name: mix.get(size, 0) - mix.get(-size, 0) for size, name in name_of.items()}


def _steps_to(value: int, came_from: Mapping[int, int]) -> dict[int, int]:
    mix: dict[int, int] = {}
    while step := came_from[value]:
        mix[step] = mix.get(step, 0) + 1
        value += step
    return mix


def _fits(
    items: Mapping[str, Countable],
    counts: Mapping[str, int],
    name_of: Mapping[int, str],
    mix: Mapping[int, int],
) -> bool:
    for size, name in name_of.items():
        if mix.get(size, 0) > items[name].most - counts[name]:
            return False
        if mix.get(-size, 0) > counts[name] - items[name].least:
            return False
    return True
