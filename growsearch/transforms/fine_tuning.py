"""Which few weights, added or removed, bring a network's MACs closest to a target?"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from growsearch.transforms.mac_profile import MacProfile


def tune_zeros(
    profile: MacProfile, zeros: Mapping[str, int], target_macs: int, sparse: Sequence[str]
) -> dict[str, int]:
    """Return ``zeros`` with single weights of ``sparse`` layers added or removed.

    Large steps come first. What is left is met by the shortest mix of steps in both directions, so
    that layers of 49 and 36 positions reach every whole number. A layer keeps one weight at least.
    """
    tuned = dict(zeros)
    missing = target_macs - profile.macs(tuned)
    for name in sorted(sparse, key=lambda n: -profile.per_weight[n]):
        step = profile.per_weight[name]
        # int() truncates towards zero: never past the target.
        moved = _move(profile, tuned, name, int(missing / step)) if step else 0
        missing -= moved * step
    for name, count in _shortest_mix(profile, tuned, missing, sparse).items():
        _move(profile, tuned, name, count)
    return tuned


def _room(profile: MacProfile, zeros: Mapping[str, int], name: str) -> tuple[int, int]:
    """Return how many weights may be removed and added."""
    return profile.weights[name] - zeros[name] - 1, zeros[name]


def _move(profile: MacProfile, zeros: dict[str, int], name: str, added: int) -> int:
    """Add that many weights to a layer (remove them if negative) as far as there is room."""
    removable, addable = _room(profile, zeros, name)
    added = max(-removable, min(addable, added))
    zeros[name] -= added
    return added


def _shortest_mix(
    profile: MacProfile, zeros: Mapping[str, int], missing: int, sparse: Sequence[str]
) -> dict[str, int]:
    """Return weights to add by layer (negative: remove) that leave the least MACs missing.

    A breadth-first search over what is missing. One layer stands for all of the same step: the
    one with the most weights, whose density changes least.
    """
    layer_of = {profile.per_weight[n]: n for n in sorted(sparse, key=lambda n: profile.weights[n])}
    layer_of.pop(0, None)
    bound = max([abs(missing), *layer_of])
    came_from: dict[int, int] = {missing: 0}
    queue, best = deque([missing]), missing
    while queue and best != 0:
        here = queue.popleft()
        for step in (sign * size for size in layer_of for sign in (1, -1)):
            there = here - step
            if abs(there) > bound or there in came_from:
                continue
            mix = _steps_to(here, came_from)
            mix[step] = mix.get(step, 0) + 1
            if not _fits(profile, zeros, layer_of, mix):
                continue
            came_from[there] = step
            queue.append(there)
            best = min(best, there, key=abs)
    mix = _steps_to(best, came_from)
    return {name: mix.get(size, 0) - mix.get(-size, 0) for size, name in layer_of.items()}


def _steps_to(value: int, came_from: Mapping[int, int]) -> dict[int, int]:
    mix: dict[int, int] = {}
    while step := came_from[value]:
        mix[step] = mix.get(step, 0) + 1
        value += step
    return mix


def _fits(
    profile: MacProfile,
    zeros: Mapping[str, int],
    layer_of: Mapping[int, str],
    mix: Mapping[int, int],
) -> bool:
    for size, name in layer_of.items():
        removable, addable = _room(profile, zeros, name)
        if mix.get(size, 0) > addable or mix.get(-size, 0) > removable:
            return False
    return True
