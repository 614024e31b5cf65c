"""Choice of operators to time, of all that the networks of a space call."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from cost_models.counting.operator_call import Operator
from cost_models.profiling.features import bytes_moved, kind_of

# Of each kind at least so many, where there are: sums, activations and pooling vary little.
_MIN_A_KIND = 8
# MAC operators take most of the time and vary in more ways.
_MAC_WEIGHT = 3.0


def choose_operators(
    networks: Iterable[Sequence[Operator]], count: int, seed: int
) -> tuple[Operator, ...]:
    """Choose about `count` operators, each once, from the calls of many networks.

    Every kind is there, with its smallest and its largest operator, so that no network of the
    space lies outside; the others are drawn at random, those that are called often more often.
    """
    calls = Counter(operator for network in networks for operator in network)
    kinds: dict[str, list[Operator]] = {}
    for operator in sorted(calls, key=repr):
        kinds.setdefault(kind_of(operator), []).append(operator)
    draw = random.Random(seed)
    chosen: list[Operator] = []
    for kind, share in _shares(kinds, count).items():
        chosen += _of_kind(kinds[kind], share, calls, draw)
    return tuple(chosen)


def _shares(kinds: dict[str, list[Operator]], count: int) -> dict[str, int]:
    """Share out `count` by how many different operators a kind has, MACs counting three times."""
    shares = {kind: min(_MIN_A_KIND, len(found)) for kind, found in kinds.items()}
    left = count - sum(shares.values())
    weights = {
        kind: (len(found) - shares[kind]) * (_MAC_WEIGHT if found[0].macs else 1.0)
        for kind, found in kinds.items()
    }
    # The heaviest first: what a kind cannot use is left for those after it.
    for kind in sorted(kinds, key=lambda name: -weights[name]):
        total = sum(weights.values())
        if left <= 0 or total <= 0:
            break
        extra = min(round(left * weights[kind] / total), len(kinds[kind]) - shares[kind], left)
        shares[kind] += extra
        left -= extra
        weights[kind] = 0.0
    return shares


def _of_kind(
    found: list[Operator], share: int, calls: Counter[Operator], draw: random.Random
) -> list[Operator]:
    size = {operator: (operator.macs, bytes_moved(operator)) for operator in found}
    ends = [min(found, key=size.__getitem__), max(found, key=size.__getitem__)]
    chosen = list(dict.fromkeys(ends))[:share]
    # Drawing by the key u ** (1 / weight) is drawing without replacement in proportion to weight.
    keys = {each: draw.random() ** (1 / calls[each]) for each in found if each not in chosen}
    return chosen + sorted(keys, key=lambda each: -keys[each])[: share - len(chosen)]
