"""Attention heads: which entries of queries, keys, values and the rest are one head.

A batch of products of data by data works on its rows one by one: what moves the same rows is of
one head. Layers that make such factors are perturbed by whole heads, and so are parameters that
act on them (relative positions, scales); what comes out of a head is followed as its channels are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.tracing.channel_flow import ChannelFlow, Reading
from search_spaces.tracing.channel_labels import Axis, ChannelLabels
from search_spaces.tracing.channel_sources import Source
from search_spaces.tracing.contractions import Contraction
from search_spaces.tracing.operator_record import Operator, OperatorRecord

_NO_ROW = -1
_BATCHES = ("bmm", "baddbmm")


def has_products(record: OperatorRecord) -> bool:
    """Tell whether there is any batch of products in which there may be heads."""
    return any(operator.name in _BATCHES for operator in record.operators)


class HeadFlow(ChannelFlow):
    """Perturbs heads, and sees which rows of the products of data by data move with them.

    Unlike channels, which end where they are summed over, heads pass such products.
    """

    __slots__ = ()

    def products(self) -> list[Contraction]:
        """Return the batches of products of data by data, in running order."""
        return [
            product
            for product in self.sources.contractions.values()
            if self._is_of_data(product) and product.operator.name in _BATCHES
        ]

    def rows(self, source: Source, numbers: Tensor) -> dict[Reading, Tensor] | None:
        """Return, by product, the head that moves each of its rows (-1 for none).

        Args:
            source: a layer or a parameter.
            numbers: (entries,) the head that each entry of its axis is taken to belong to.

        Returns:
            None if some row moves with several heads: these are none.
        """
        self._statistics = set()
        found: dict[Reading, Tensor] = {}
        moved: dict[Reading, Tensor] = {}
        for bit in range(max(1, int(numbers.max()).bit_length())):
            chosen = ((numbers >> bit) & 1).bool()
            ones, zeros = self._moved(source, chosen), self._moved(source, ~chosen)
            for reading in {*ones, *zeros}:
                none = torch.zeros(self._rows(reading), dtype=torch.bool)
                one, zero = ones.get(reading, none), zeros.get(reading, none)
                if bool((one & zero).any()):
                    return None
                number = found.setdefault(reading, torch.zeros(len(none), dtype=torch.long))
                number += one.long() << bit
                moved[reading] = moved.get(reading, none) | one | zero
        return {r: torch.where(moved[r], number, _NO_ROW) for r, number in found.items()}

    def statistics(self) -> frozenset[int]:
        """Return the operators that took statistics over the heads of the last `rows`."""
        return frozenset(self._statistics)

    def _rows(self, reading: Reading) -> int:
        return len(self.record.values[self.sources.contractions[reading.place].left.place])

    def _is_of_data(self, product: Contraction) -> bool:
        return all(self.sources.depends(f.place) for f in (product.left, product.right))

    def _elsewhere(self, operator: Operator, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Run what is no product; a softmax stays within its row of scores, masked or not."""
        if operator.name in ("_softmax", "_safe_softmax"):
            return operator(lambda place: self._soft.value(place, changed))
        return ChannelFlow._elsewhere(self, operator, changed)

    def _product(self, product: Contraction, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Note which rows move; heads end at weights, but a bias may be made of parameters."""
        if not self._is_of_data(product):
            if product.bias is None or product.bias not in changed:
                return self._soft.recorded(product.operator)
            passed = {product.bias: changed[product.bias]}
        else:
            passed = dict(changed)
            for side, factor in enumerate((product.left, product.right)):
                where = changed.get(factor.place)
                if where is not None and product.operator.name in _BATCHES:
                    rows = self._soft.moved(factor.place, where).flatten(1).any(dim=1)
                    reading = Reading(product.operator.place, side)
                    seen = self._seen.get(reading)
                    self._seen[reading] = rows if seen is None else seen | rows
        out = product.operator(lambda place: self._soft.value(place, passed))
        return (self._lively(product.operator.place, out[0]), *out[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What is known of all heads of a network.

    Attributes:
        labels: of channels, those of one head together.
        rows: the axes that stand for rows of products.
        scopes: by axis of what makes heads, the module that multiplies them.
        statistics: by such an axis, the operators that take statistics over heads.
    """

    labels: ChannelLabels
    rows: tuple[Axis, ...]
    scopes: Mapping[Axis, str]
    statistics: Mapping[Axis, frozenset[int]]


def find_heads(flow: HeadFlow, labels: ChannelLabels) -> Heads:
    """Return which entries belong to one head, for all products that have several.

    Args:
        flow: of the recorded network.
        labels: of its channels.
    """
    together, rows = copy.deepcopy(labels), dict[Axis, None]()
    scopes: dict[Axis, str] = {}
    statistics: dict[Axis, frozenset[int]] = {}
    for product in flow.products():
        for source in _sources(flow, product):
            axis = (source.tensor, source.axis)
            if axis in scopes:
                continue
            tried = _layout(flow, product, source, labels)
            if tried is None:
                continue
            numbers, moved = tried
            scopes[axis] = flow.record.scopes[product.operator.place]
            statistics[axis] = flow.statistics()
            for name in (source.tensor, *source.also):
                together.add((name, source.axis if name == source.tensor else 0), source.size)
            for reading, heads in moved.items():
                row_axis = (f"rows of product {reading.place}", 0)
                rows[row_axis] = None
                together.add(row_axis, len(heads))
                _join(together, axis, numbers.tolist(), row_axis, heads.tolist())
    return Heads(labels=together, rows=tuple(rows), scopes=scopes, statistics=statistics)


def _join(
    labels: ChannelLabels, axis: Axis, numbers: Sequence[int], row_axis: Axis, heads: Sequence[int]
) -> None:
    first: dict[int, int] = {}
    for entry, number in enumerate(numbers):
        labels.join(axis, first.setdefault(number, entry), axis, entry)
    for row, head in enumerate(heads):
        if head != _NO_ROW:
            labels.join(axis, first[head], row_axis, row)


def _sources(flow: HeadFlow, product: Contraction) -> Iterator[Source]:
    """Yield the layers that make the factors of a product, and the parameters that act on them."""
    record = flow.record
    names = {place: name for name, place in record.leaves.items()}
    layers, leaves = set[int](), dict[str, None]()
    waiting, seen = [product.left.place, product.right.place], set[int]()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        operator = record.maker.get(place)
        if place in names:
            leaves[names[place]] = None
        elif operator is None:
            continue
        elif operator.name == "embedding" and place in record.from_inputs:
            layers.add(operator.place)
        elif (made := flow.sources.contractions.get(operator.place)) is None:
            waiting += operator.inputs
        else:
            waiting += [] if made.bias is None else [made.bias]
            if flow.sources.depends(made.left.place) and flow.sources.depends(made.right.place):
                waiting += [made.left.place, made.right.place]
            else:
                layers.add(operator.place)
    found = [s for s in flow.sources.layers() if {place for place, *_ in s.makers} & layers]
    beside = {name for source in found for name in source.also}
    yield from (source for source in found if source.tensor)
    for name in leaves:
        leaf = record.values[record.leaves[name]]
        if leaf.is_floating_point() and name not in beside:
            for axis, size in enumerate(leaf.shape):
                if size > 1:
                    yield Source(tensor=name, axis=axis, size=size)


def _layout(
    flow: HeadFlow, product: Contraction, source: Source, labels: ChannelLabels
) -> tuple[Tensor, dict[Reading, Tensor]] | None:
    """Return the head of each entry of a source's axis and the rows that it moves; else None."""
    axis = (source.tensor, source.axis)
    known = labels.labels(axis) if axis in labels.axes() else list(range(source.size))
    # What is one channel is of one head: a query and the keys that it meets.
    places = {label: place for place, label in enumerate(dict.fromkeys(known))}
    channels = torch.tensor([places[label] for label in known])
    rows = len(flow.record.values[product.left.place])
    for heads, repeat in _forms(len(places), rows, _widths(flow, product)):
        numbers = (channels // repeat) % heads
        moved = flow.rows(source, numbers)
        if moved and _agree(moved):
            return numbers, moved
    return None


def _agree(moved: Mapping[Reading, Tensor]) -> bool:
    """Tell whether both factors of a product have each of their rows from one head."""
    by_place: dict[int, list[Tensor]] = {}
    for reading, heads in moved.items():
        by_place.setdefault(reading.place, []).append(heads)
    return all(
        bool(((each == sides[0]) | (each == _NO_ROW) | (sides[0] == _NO_ROW)).all())
        for sides in by_place.values()
        for each in sides
    )


def _widths(flow: HeadFlow, product: Contraction) -> set[int]:
    factors = (product.left, product.right)
    return {size for f in factors for size in flow.record.values[f.place].shape[1:]}


def _forms(channels: int, rows: int, widths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield numbers of heads, the largest first, and how many channels of one stand together.

    A head has all of its channels side by side, or those of queries, keys and values apart, or the
    heads change from each channel to the next.
    """
    common = math.gcd(channels, rows)
    for heads in range(common, 1, -1):
        if common % heads:
            continue
        each = channels // heads
        fitting = [width for width in widths if each % width == 0]
        if each == 1 or fitting:
            yield from ((heads, repeat) for repeat in dict.fromkeys((each, *fitting, 1)))
