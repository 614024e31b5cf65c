"""Channel sources: everything in a recorded network that puts out channels or acts on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.tracing.contractions import Contraction, WeightAxes, WeightAxis, contraction
from search_spaces.tracing.operator_record import OperatorRecord

_NORMS = ("native_batch_norm", "native_layer_norm", "native_group_norm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Channels that a layer or a parameter puts out: the entries of one axis of a tensor.

    ``makers`` are the places of the operators that put them out, with the entry of the axis for
    each entry of some axes of their output: of a transposed convolution in groups, the first of the
    group. ``also`` are other vectors that go with it: the biases
    that the same operators add, or what a norm holds beside its scale. A parameter that is no
    layer's weight has no maker. ``tensor`` is "" where a weight is computed
    from ``computed_from``.
    """

    tensor: str
    axis: int
    size: int
    makers: tuple[tuple[int, tuple[int, ...], Tensor], ...] = ()
    also: tuple[str, ...] = ()
    computed_from: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name to tell a person."""
        return self.tensor or ", ".join(self.computed_from) or "a constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """An operator with a weight: the axes of its output, the weight, its axis and its bias."""

    place: int
    dims: tuple[int, ...]
    weight: int
    axis: WeightAxis | None
    bias: str | None


class ChannelSources:
    """Finds the layers of a recorded network, and the parameters that act on what they put out."""

    def __init__(self, record: OperatorRecord) -> None:
        self.record = record
        self.axes = WeightAxes(record)
        found = ((op.place, contraction(op, record)) for op in record.operators)
        self.contractions: dict[int, Contraction] = {
            place: each
            for place, each in found
            if each is not None and self.depends(each.operator.outputs[0])
        }

    def layers(self) -> list[Source]:
        """Return the outputs of all layers with a weight: one source a weight, in running order."""
        makers: dict[tuple[str, int], list[_Maker]] = {}
        opaque = []
        for maker in self._makers():
            if maker.axis is not None:
                makers.setdefault((maker.axis.tensor, maker.axis.axis), []).append(maker)
            elif names := self.axes.computed_from(maker.weight):
                opaque.append(self._opaque(maker, names))
        known = [
            Source(
                tensor=tensor,
                axis=axis,
                size=self._leaf(tensor).shape[axis],
                makers=tuple((m.place, m.dims, m.axis.entries) for m in found if m.axis),
                also=tuple(dict.fromkeys(m.bias for m in found if m.bias)),
            )
            for (tensor, axis), found in makers.items()
        ]
        return known + opaque

    def _opaque(self, maker: _Maker, names: tuple[str, ...]) -> Source:
        sizes = [self._out(maker.place).shape[dim] for dim in maker.dims]
        every = torch.arange(math.prod(sizes)).view(sizes)
        return Source(
            tensor="",
            axis=0,
            size=every.numel(),
            makers=((maker.place, maker.dims, every),),
            computed_from=names,
        )

    def parameters(self) -> list[Source]:
        """Return the axes of all floating tensors that act otherwise than as a layer's weight.

        What one norm holds is one source: scale, shift and statistics.
        """
        acting = {n for n in self.record.leaves if self._leaf(n).is_floating_point()}
        acting = {name for name in acting if self.acts(name)}
        beside = self._held_by_norms(acting)
        held = {name for others in beside.values() for name in others}
        depthwise = self._depthwise_weights()
        return [
            Source(tensor=name, axis=axis, size=size, also=beside.get(name, ()))
            for name in self.record.leaves
            if name in acting and name not in held
            for axis, size in enumerate(self._leaf(name).shape)
            if (size > 1 or self._leaf(name).ndim == 1) and (axis == 0 or name not in depthwise)
        ]

    def _depthwise_weights(self) -> set[str]:
        """Return the weights of depthwise convolutions, whose channels are on axis 0."""
        names = {place: name for name, place in self.record.leaves.items()}
        return {
            names[operator.inputs[1]]
            for operator in self.record.operators
            if operator.name == "convolution"
            and operator.place not in self.contractions
            and operator.inputs[1] in names
        }

    def _held_by_norms(self, acting: set[str]) -> dict[str, tuple[str, ...]]:
        """Return, by the first vector that a norm holds, the others that it and no more hold."""
        names = {place: name for name, place in self.record.leaves.items() if name in acting}
        found: dict[str, tuple[str, ...]] = {}
        for operator in self.record.operators:
            if operator.name in _NORMS:
                vectors = [names[p] for p in operator.inputs[1:] if p in names]
                first, *others = vectors or [""]
                if len({self._leaf(name).shape for name in vectors}) == 1:
                    known = found.get(first)
                    found[first] = tuple(others) if known is None else known
        return found

    def _makers(self) -> Iterator[_Maker]:
        """Yield every operator with a weight."""
        names = {place: name for name, place in self.record.leaves.items()}
        for place, product in self.contractions.items():
            left, right = self.depends(product.left.place), self.depends(product.right.place)
            if left and right:
                continue
            weight, dims = (
                (product.right, product.out) if left else (product.left, product.out_left)
            )
            free = (*(dim for dim in weight.kept if dim != weight.summed), weight.free)
            axis = self.axes.axis(weight.place, free)
            if product.groups > 1 and weight.summed == 0:
                axis = self._first_of_groups(product)
            yield _Maker(
                place=place,
                dims=dims,
                weight=weight.place,
                axis=axis,
                bias=None if product.bias is None else names.get(product.bias),
            )
        for operator in self.record.operators:
            if operator.name == "embedding" and self.depends(operator.outputs[0]):
                weight_place = operator.inputs[0]
                yield _Maker(
                    place=operator.place,
                    dims=(self._out(operator.place).ndim - 1,),
                    weight=weight_place,
                    axis=self.axes.axis(weight_place, (1,)),
                    bias=None,
                )

    def _first_of_groups(self, product: Contraction) -> WeightAxis | None:
        """Return, for all outputs of a transposed convolution, the first input of their group.

        Its weight is (in, out / groups, ...): only axis 0 tells the groups apart.
        """
        axis = self.axes.axis(product.right.place, (0,))
        if axis is None:
            return None
        outputs = self._out(product.operator.place).shape[1]
        group = torch.arange(outputs) // (outputs // product.groups)
        entries = axis.entries[group * (len(axis.entries) // product.groups)]
        return WeightAxis(tensor=axis.tensor, axis=axis.axis, entries=entries)

    def acts(self, name: str) -> bool:
        """Tell whether a parameter or buffer meets data otherwise than as weight or bias."""
        waiting, seen = [self.record.leaves[name]], set[int]()
        while waiting:
            here = waiting.pop()
            for place in self.record.readers.get(here, ()):
                operator = self.record.operators[place]
                if not self.depends(operator.outputs[0] if operator.outputs else -1):
                    waiting += [out for out in operator.outputs if out not in seen]
                    seen.update(operator.outputs)
                elif operator.name != "embedding" and not self._is_weight(here, place):
                    return True
        return False

    def _is_weight(self, value: int, place: int) -> bool:
        product = self.contractions.get(place)
        if product is None:
            return False
        return value in (product.left.place, product.right.place, product.bias)

    def _leaf(self, name: str) -> Tensor:
        return self.record.values[self.record.leaves[name]]

    def _out(self, place: int) -> Tensor:
        return self.record.values[self.record.operators[place].outputs[0]]

    def depends(self, place: int) -> bool:
        """Tell whether what stands at ``place`` depends on the network's inputs."""
        return place in self.record.from_inputs
