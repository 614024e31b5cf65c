"""Contractions of a recorded run: products that sum over channels, and whose weights they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from search_spaces.tracing.operator_record import Operator, OperatorRecord, refs

# What only moves entries of a weight, so that each can be followed to the parameter it came from.
_MOVES = frozenset(
    {
        *("alias", "clone", "contiguous", "detach", "lift_fresh"),
        *("expand", "expand_copy", "select", "slice", "squeeze", "unsqueeze"),
        *("permute", "t", "transpose", "reshape", "_reshape_alias", "view", "_unsafe_view"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One of the two tensors that are multiplied.

    Attributes:
        place: where it stands in the record.
        kept: the axes whose entries are told apart when it is read: the one that is summed over
            and, in a batch of products, the batch's.
        summed: the axis that is summed over.
        free: the axis whose entries are those of an axis of the output.
    """

    place: int
    kept: tuple[int, ...]
    summed: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contraction:
    """A product of matrices or a convolution.

    ``out`` are the axes of the output that have the entries of the right factor's free axis, batch
    first; ``out_left`` those of the left one's. ``groups`` is above 1 for a grouped convolution.
    """

    operator: Operator
    left: Factor
    right: Factor
    out: tuple[int, ...]
    out_left: tuple[int, ...]
    bias: int | None = None
    groups: int = 1


def contraction(operator: Operator, record: OperatorRecord) -> Contraction | None:
    """Return what ``operator`` sums over, None if it is no contraction.

    A depthwise convolution is none: it takes every channel by itself.
    """
    if operator.name == "convolution":
        return _convolution(operator, record)
    names = _FACTORS.get(operator.name)
    if names is None:
        return None
    left, right, bias = (
        next(iter(refs([operator.arguments[name]])), None) if name else None for name in names
    )
    assert left is not None
    assert right is not None
    batch = (0,) if operator.name in ("bmm", "baddbmm") else ()
    first = len(batch)
    return Contraction(
        operator=operator,
        left=Factor(place=left, kept=(*batch, first + 1), summed=first + 1, free=first),
        right=Factor(place=right, kept=(*batch, first), summed=first, free=first + 1),
        out=(*batch, first + 1),
        out_left=(*batch, first),
        bias=bias,
    )


_FACTORS: dict[str, tuple[str, str, str | None]] = {
    "mm": ("self", "mat2", None),
    "bmm": ("self", "mat2", None),
    "addmm": ("mat1", "mat2", "self"),
    "baddbmm": ("batch1", "batch2", "self"),
}


def _convolution(operator: Operator, record: OperatorRecord) -> Contraction | None:
    data, weight = operator.arguments["input"].index, operator.arguments["weight"].index
    groups, transposed = operator.arguments["groups"], operator.arguments["transposed"]
    if 1 < groups == record.values[data].shape[1]:
        return None
    summed = 0 if transposed else 1
    bias = operator.arguments["bias"]
    return Contraction(
        operator=operator,
        left=Factor(place=data, kept=(1,), summed=1, free=0),
        right=Factor(place=weight, kept=(summed,), summed=summed, free=1 - summed),
        out=(1,),
        out_left=(0,),
        bias=None if bias is None else bias.index,
        groups=groups,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightAxis:
    """An axis of a parameter or buffer, and which of its entries each entry of a tensor is."""

    tensor: str
    axis: int
    entries: Tensor


class WeightAxes:
    """Finds the parameter's axis behind an axis of a weight that was transposed or viewed."""

    def __init__(self, record: OperatorRecord) -> None:
        self._record = record
        self._names = {place: name for name, place in record.leaves.items()}
        self._known: dict[tuple[int, tuple[int, ...]], WeightAxis | None] = {}

    def source(self, place: int) -> tuple[str, list[Operator]] | None:
        """Return the parameter or buffer that the tensor is, moved by some operators; else None."""
        chain: list[Operator] = []
        while place not in self._names:
            maker = self._record.maker.get(place)
            if maker is None or maker.name not in _MOVES:
                return None
            chain.append(maker)
            place = maker.inputs[0]
        return self._names[place], chain[::-1]

    def computed_from(self, place: int) -> tuple[str, ...]:
        """Return the names of all parameters and buffers that the tensor is computed from."""
        found: dict[str, None] = {}
        waiting, seen = [place], set[int]()
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            if here in self._names:
                found[self._names[here]] = None
            elif here in self._record.maker:
                waiting.extend(self._record.maker[here].inputs)
        return tuple(found)

    def axis(self, place: int, dims: tuple[int, ...]) -> WeightAxis | None:
        """Return the axis whose entries those of ``dims`` of the tensor are, None if there is none.

        Its ``entries`` have the tensor's sizes in ``dims``.
        """
        key = (place, dims)
        if key not in self._known:
            source = self.source(place)
            self._known[key] = None if source is None else self._axis(*source, place, dims)
        return self._known[key]

    def _axis(
        self, name: str, chain: list[Operator], place: int, dims: tuple[int, ...]
    ) -> WeightAxis | None:
        value = self._record.values[place]
        sizes = self._record.values[self._record.leaves[name]].shape
        order = _permutation(len(sizes), chain)
        if order is not None:
            *batch, dim = dims
            if any(value.shape[each] > 1 for each in batch):
                return None
            entries = torch.arange(value.shape[dim]).view([*(1 for _ in batch), -1])
            return WeightAxis(tensor=name, axis=order[dim], entries=entries)
        found = [
            WeightAxis(tensor=name, axis=axis, entries=along)
            for axis, size in enumerate(sizes)
            if size > 1 and (along := _along(axis, sizes, chain, dims)) is not None
        ]
        return found[0] if len(found) == 1 else None


def _permutation(axes: int, chain: list[Operator]) -> list[int] | None:
    """Return which axis of the parameter each axis is, if ``chain`` does no more than permute."""
    # Sizes that no view in the chain can fit, and that tell the axes apart.
    sizes = [10_007 + 2 * axis for axis in range(axes)]
    try:
        shape = _run(chain, torch.empty(sizes, device="meta")).shape
    except RuntimeError:
        return None
    return [sizes.index(size) for size in shape] if sorted(shape) == sizes else None


def _along(
    axis: int, sizes: torch.Size, chain: list[Operator], dims: tuple[int, ...]
) -> Tensor | None:
    """Return the entries of ``axis`` by those of ``dims``, None unless they alone decide."""
    view = [size if place == axis else 1 for place, size in enumerate(sizes)]
    entries = _run(chain, torch.arange(sizes[axis]).view(view).expand(sizes))
    others = [dim for dim in range(entries.ndim) if dim not in dims]
    first = entries
    for dim in others:
        first = first.narrow(dim, 0, 1)
    if not bool((first == entries).all()):
        return None
    kept = first.reshape([entries.shape[dim] for dim in dims])
    return kept if len(set(kept.flatten().tolist())) == sizes[axis] else None


def _run(chain: list[Operator], value: Tensor) -> Tensor:
    for operator in chain:
        given: Any = value
        if operator.name in ("view", "_unsafe_view", "reshape"):
            value = given.reshape(operator.arguments["size"])
        else:
            (value,) = operator(lambda _, tensor=value: tensor)  # type: ignore[misc]
    return value
