"""Channel relays: sums on residual streams, behind which channels of all layers go the same way.

What is behind a sum is seen once, from the sum itself, and not again for every layer that adds to
the stream: a network of n blocks takes n short runs instead of n runs through all the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from search_spaces.tracing.channel_codes import MIXED, UNMOVED, ChannelCodes
from search_spaces.tracing.operator_record import Operator, OperatorRecord


@dataclass(frozen=True, slots=True)
class Reading:
    """Where channels are taken in: an operator, and which of its factors (0 left, 1 right).

    A norm over groups of channels takes them in as well, and lets them pass.
    """

    place: int
    side: int


# By where channels are read, the source's channel that moves each entry, `UNMOVED` or `MIXED`.
Readings = dict[Reading, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a source's channels reach before the next layer, and whether they leave the network.

    ``numbers`` (entries,) says which channel each entry of the source's axis is a part of. With
    ``statistics``, operators by their place, a mean or a norm is taken over them on their way, so
    that each depends on all.
    """

    readings: Readings
    outputs: bool
    numbers: Tensor
    statistics: frozenset[int]


def relay_places(record: OperatorRecord) -> frozenset[int]:
    """Return the places of sums of two tensors of one shape that both depend on the inputs."""
    return frozenset(operator.place for operator in record.operators if _is_sum(operator, record))


def _is_sum(operator: Operator, record: OperatorRecord) -> bool:
    terms = [place for place in operator.inputs if place in record.from_inputs]
    if operator.name != "add" or len(terms) != 2:
        return False
    shapes = {record.values[place].shape for place in (*terms, operator.outputs[0])}
    return len(shapes) == 1 and record.values[operator.outputs[0]].is_floating_point()


@dataclass(slots=True)
class Arrivals:
    """What arrives at relays in the runs of one source, and which relays let it pass.

    ``passing`` are relays at which a source's channels do not lie along one axis: it goes on there.
    """

    passing: set[int]
    axes: dict[int, int] = field(default_factory=dict)
    runs: list[dict[int, Tensor]] = field(default_factory=list)
    complete: bool = True

    def stops(self, place: int, where: Tensor) -> bool:
        """Note the entries that arrive in this run; say whether they go no further."""
        if place in self.passing:
            return False
        for axis in range(where.ndim) if place not in self.axes else (self.axes[place],):
            others = [dim for dim in range(where.ndim) if dim != axis]
            along = where.any(dim=others) if others else where
            spread = along.view([-1 if dim == axis else 1 for dim in range(where.ndim)])
            if not bool(along.all()) and bool((where == spread).all()):
                self.axes[place] = axis
                seen = self.runs[-1].get(place)
                self.runs[-1][place] = along if seen is None else seen | along
                return True
        self.let_pass(place)
        return False

    def let_pass(self, place: int) -> None:
        """Let the source go on at a relay in all of its runs, which have to be made again."""
        self.passing.add(place)
        self.complete = False

    def numbers(self, codes: ChannelCodes) -> dict[int, Tensor]:
        """Return, by relay, the source's channel at each entry of the relay's axis."""
        found = {}
        for place in self.axes:
            known = [run[place] for run in self.runs if place in run]
            none = torch.zeros_like(known[0])
            found[place] = codes.decoded([run.get(place, none) for run in self.runs])
            if bool((found[place] == MIXED).any()):
                self.let_pass(place)
        return found


def renamed(readings: Readings, numbers: Tensor) -> Readings | None:
    """Return what a relay's channels reach, by a source's channels (entries of the relay,).

    None where two of the relay's channels meet of which the source may have moved one.
    """
    whole = is_whole(numbers)
    if not whole and any(bool((decoded == MIXED).any()) for decoded in readings.values()):
        return None
    return {
        reading: torch.where(decoded >= 0, numbers[decoded.clamp(min=0)], decoded)
        for reading, decoded in readings.items()
    }


def is_whole(numbers: Tensor) -> bool:
    """Tell whether every channel of a relay is another channel of the source."""
    return bool((numbers != UNMOVED).all()) and len(set(numbers.tolist())) == len(numbers)


def together(one: Tensor, other: Tensor) -> Tensor:
    """Return by which channel each entry is moved on one way or the other."""
    same = (one == other) | (other == UNMOVED)
    return torch.where(same, one, torch.where(one == UNMOVED, other, MIXED))
