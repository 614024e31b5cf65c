"""Flow of channels through a network, seen by perturbation: what moves when a channel moves?

Channels of one layer's output are perturbed, and it is seen which inputs of which layers move.
They are told apart by code words of equally many ones (`channel_codes`): a network of a thousand
channels a layer takes thirteen runs a layer, and each runs only what lies between two layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from search_spaces.tracing.axis_masks import any_over, spread, varies
from search_spaces.tracing.channel_codes import MIXED, UNMOVED, ChannelCodes
from search_spaces.tracing.channel_relays import (
    Arrivals,
    Reached,
    Reading,
    Readings,
    is_whole,
    relay_places,
    renamed,
    together,
)
from search_spaces.tracing.channel_sources import ChannelSources, Source
from search_spaces.tracing.contractions import Contraction, WeightAxis
from search_spaces.tracing.operator_record import Operator, OperatorRecord
from search_spaces.tracing.soft_operators import (
    deviation,
    frozen_statistics,
    is_choice_of_entries,
    is_random_or_empty,
    normalised_axes,
    soft,
)

__all__ = ["MIXED", "UNMOVED", "ChannelFlow", "Reached", "Reading", "Readings"]

# Perturbations in standard deviations of what is perturbed.
_STRENGTH = 3.0
# Relays behind relays; what is deeper is followed through.
_DEEPEST = 100
# A sum that deviates more is scaled: single precision would lose what is added to it.
_LARGE = 1e3
# Of a parameter: neither a power of two nor 1, and a variance stays positive.
_FACTOR = 6.1


@dataclass(slots=True)
class ChannelFlow:
    """Perturbs the channels of a recorded network and sees what they reach.

    Args:
        record: of the network in evaluation mode.
        generator: draws the perturbations.
        norms: the paths of modules that do no more than normalise over channels.
    """

    record: OperatorRecord
    generator: torch.Generator
    norms: frozenset[str] = frozenset()
    sources: ChannelSources = field(init=False)
    _soft: OperatorRecord = field(init=False)
    _seen: dict[Reading, Tensor] = field(init=False, default_factory=dict)
    _noise: dict[int, Tensor] = field(init=False, default_factory=dict)
    _shifts: dict[int, tuple[float, Tensor]] = field(init=False, default_factory=dict)
    _scales: dict[int, float] = field(init=False, default_factory=dict)
    _kicks: dict[int, Tensor] = field(init=False, default_factory=dict)
    _left: bool = field(init=False, default=False)
    _chose: bool = field(init=False, default=False)
    _statistics: set[int] = field(init=False, default_factory=set)
    _ends: dict[Reading, bool] = field(init=False, default_factory=dict)
    _taken_to_end: set[tuple[Reading, bool]] = field(init=False, default_factory=set)
    _relays: frozenset[int] = field(init=False, default_factory=frozenset)
    _known_relays: dict[tuple[int, int], Reached] = field(init=False, default_factory=dict)
    _arrivals: Arrivals = field(init=False, default_factory=lambda: Arrivals(set()))

    def __post_init__(self) -> None:
        self.sources = ChannelSources(self.record)
        self._relays = relay_places(self.record)
        self._soft = self._softened()

    def reached(self, source: Source) -> Reached:
        """Perturb the channels of ``source`` by their code words; see what moves.

        Where single entries cannot be told apart at a reader of fewer entries, they are tried as
        the parts of its channels: entries one after another, or one block of channels after another
        (a gated linear unit, a pixel shuffle).
        """
        plain = self._reached(source, torch.arange(source.size))
        counts = {len(d) for d in plain.readings.values() if bool((d == MIXED).any())}
        for count in sorted(counts):
            if 0 < count < source.size and source.size % count == 0:
                for numbers in (
                    torch.arange(source.size) % count,
                    torch.arange(source.size) // (source.size // count),
                ):
                    parts = self._reached(source, numbers)
                    told = not any(bool((d == MIXED).any()) for d in parts.readings.values())
                    # Parts that move together may pass a reader unseen.
                    if told and parts.readings.keys() == plain.readings.keys():
                        return parts
        return plain

    def _reached(self, source: Source, numbers: Tensor, depth: int = 0) -> Reached:
        """Return what is reached up to relays, and behind them what the relays themselves reach."""
        passing: set[int] = set(self._relays) if depth > _DEEPEST else set()
        while True:
            self._arrivals = Arrivals(passing)
            codes = ChannelCodes(int(numbers.max()) + 1)
            near = self._near(source, numbers, codes)
            arrivals = self._arrivals
            at_relays = arrivals.numbers(codes)
            if arrivals.complete:
                far = self._beyond(near, arrivals, at_relays, depth)
                if far is not None:
                    return far

    def _beyond(
        self, near: Reached, arrivals: Arrivals, at_relays: Mapping[int, Tensor], depth: int
    ) -> Reached | None:
        """Add to ``near`` what is reached behind relays; None if a source has to pass one."""
        readings, outputs, statistics = dict(near.readings), near.outputs, near.statistics
        for place, numbers in at_relays.items():
            relay = self._relay(place, arrivals.axes[place], depth)
            found = renamed(relay.readings, numbers)
            if found is None or ((relay.outputs or relay.statistics) and not is_whole(numbers)):
                arrivals.let_pass(place)
                return None
            for reading, channels in found.items():
                known = readings.get(reading)
                readings[reading] = channels if known is None else together(known, channels)
            outputs, statistics = outputs or relay.outputs, statistics | relay.statistics
        ordered = sorted(readings, key=lambda reading: (reading.place, reading.side))
        return Reached(
            readings={reading: readings[reading] for reading in ordered},
            outputs=outputs,
            numbers=near.numbers,
            statistics=statistics,
        )

    def _relay(self, place: int, axis: int, depth: int) -> Reached:
        """Return what the entries of an axis of a sum reach."""
        if (place, axis) not in self._known_relays:
            size = self._soft.values[self.record.operators[place].outputs[0]].shape[axis]
            every = torch.arange(size)
            source = Source(tensor="", axis=0, size=size, makers=((place, (axis,), every),))
            self._known_relays[(place, axis)] = self._reached(source, every, depth + 1)
        return self._known_relays[(place, axis)]

    def _near(self, source: Source, numbers: Tensor, codes: ChannelCodes) -> Reached:
        self._ends = {}
        while True:
            # A part of the channels may move all of a factor, or whole heads of it, which says
            # nothing of the axis that they lie on; what another part has shown holds for all.
            self._taken_to_end = set()
            self._arrivals.runs.clear()
            runs = self._runs(source, codes.words[numbers])
            if all(
                self._ends.get(reading, ended) == ended for reading, ended in self._taken_to_end
            ):
                break
        every = dict.fromkeys(reading for moved in runs for reading in moved)
        readings = {}
        for reading in every:
            none = torch.zeros_like(next(moved[reading] for moved in runs if reading in moved))
            readings[reading] = codes.decoded([moved.get(reading, none) for moved in runs])
        return Reached(
            readings=readings,
            outputs=self._left,
            numbers=numbers,
            statistics=frozenset(self._statistics),
        )

    def _runs(self, source: Source, words: Tensor) -> list[dict[Reading, Tensor]]:
        """Return, by runs, what moves with the channels whose word (channels, runs) has a one."""
        self._left, self._statistics = False, set()
        return [self._moved(source, chosen) for chosen in words.unbind(dim=1)]

    def weight_axis(self, reading: Reading) -> WeightAxis | None:
        """Return the axis of the weight that reads these entries; None if none does."""
        product = self.sources.contractions[reading.place]
        if product.groups > 1:
            return None
        data, weight = (product.left, product.right)[:: 1 if reading.side == 0 else -1]
        if self.sources.depends(weight.place) or not self.sources.depends(data.place):
            return None
        return self.sources.axes.axis(weight.place, weight.kept)

    def is_in_groups(self, reading: Reading) -> bool:
        """Tell whether groups of channels are read each by themselves, by a layer or a norm."""
        product = self.sources.contractions.get(reading.place)
        return product is None or product.groups > 1

    def groups(self, reading: Reading) -> tuple[int, WeightAxis | None]:
        """Return in how many groups channels are read, and the axis that has entries for each.

        That is the weight's first one of a convolution; None if the weight is no parameter.
        """
        product = self.sources.contractions.get(reading.place)
        if product is not None:
            return product.groups, self.sources.axes.axis(product.right.place, (0,))
        operator = self.record.operators[reading.place]
        weight = operator.arguments["weight"]
        known = None if weight is None else self.sources.axes.axis(weight.index, (0,))
        return int(operator.arguments["group"]), known

    def weight_names(self, reading: Reading) -> tuple[str, ...]:
        """Return the parameters behind the other factor where it does not depend on inputs."""
        product = self.sources.contractions[reading.place]
        other = product.right if reading.side == 0 else product.left
        return (
            ()
            if self.sources.depends(other.place)
            else self.sources.axes.computed_from(other.place)
        )

    def is_product_of_data(self, reading: Reading) -> bool:
        """Tell whether both factors depend on the network's inputs, as in attention."""
        product = self.sources.contractions[reading.place]
        return self.sources.depends(product.left.place) and self.sources.depends(
            product.right.place
        )

    def _softened(self) -> OperatorRecord:
        """Return the record with values under which everything that depends is seen to move."""
        record = self.record
        values = list(record.values)
        for name, place in record.leaves.items():
            leaf = values[place]
            if leaf.is_floating_point() and self.sources.acts(name):
                drawn = torch.rand(leaf.shape, generator=self.generator)
                values[place] = (0.5 + drawn).to(leaf)
        drawn_leaves = {p: values[p] for p in record.leaves.values()}

        def rule(operator: Operator, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
            if self._is_choice(operator):
                return record.recorded(operator)
            out = soft(operator, lambda place: changed.get(place, values[place]))
            if operator.place in self.sources.contractions:
                out = (self._lively(operator.place, out[0]), *out[1:])
            return self._calm(operator, out)

        return record.with_values(rule, drawn_leaves)

    def _lively(self, place: int, out: Tensor) -> Tensor:
        """Scale a product to about 1 and shift it at random: none is 0 everywhere, or huge."""
        out = out.nan_to_num(0.0, 0.0, 0.0)
        if place not in self._shifts:
            drawn = torch.randn(out.shape, generator=self.generator).to(out)
            self._shifts[place] = (1 / (1 + deviation(out)), 0.3 * drawn)
        scale, shift = self._shifts[place]
        return scale * out + shift

    def _calm(self, operator: Operator, out: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Scale a sum that is huge: a stream may grow with every branch that is added to it."""
        if operator.place in self._relays and operator.place not in self._scales:
            size = deviation(out[0])
            self._scales[operator.place] = 1 / size if size > _LARGE else 1.0
        scale = self._scales.get(operator.place, 1.0)
        return out if scale == 1.0 else (scale * out[0], *out[1:])

    def _moved(self, source: Source, chosen: Tensor) -> dict[Reading, Tensor]:
        """Perturb the ``chosen`` channels up and down; return which entries move where."""
        self._seen, self._chose = {}, False
        self._arrivals.runs.append({})
        if bool(chosen.any()):
            self._move(source, chosen, 1.0)
            # What a layer puts out may be one of those of which the largest goes on.
            if source.makers and self._chose:
                self._move(source, chosen, -1.0)
        return self._seen

    def _move(self, source: Source, chosen: Tensor, sign: float) -> None:
        changed = self._perturbed(source, chosen, sign)
        result = self._soft.run_again(changed, self._rule, tuple(self._noise))
        self._left |= any(place in result for place in self.record.outputs)

    def _perturbed(self, source: Source, chosen: Tensor, sign: float) -> dict[int, Tensor]:
        self._noise = {}
        for place, dims, entries in source.makers:
            kick = self._kick(place)
            self._noise[place] = sign * kick * spread(chosen[entries], dims, kick)
        if source.makers:
            return {}
        changed = {}
        for name in (source.tensor, *source.also):
            place = self.record.leaves[name]
            leaf = self._soft.values[place]
            mask = spread(chosen, (source.axis,), leaf).bool()
            changed[place] = torch.where(mask, leaf * _FACTOR, leaf)
        return changed

    def _kick(self, place: int) -> Tensor:
        """Return a perturbation of all that an operator puts out, another for every entry."""
        if place not in self._kicks:
            out = self._soft.values[self.record.operators[place].outputs[0]]
            drawn = torch.rand(out.shape, generator=self.generator).to(out)
            self._kicks[place] = (_STRENGTH * deviation(out) + 1) * (1 + drawn)
        return self._kicks[place]

    def _rule(self, operator: Operator, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        recorded = self._soft.recorded(operator)
        self._chose |= is_choice_of_entries(operator)
        if operator.place in self.sources.contractions:
            out = self._product(self.sources.contractions[operator.place], changed)
        elif is_random_or_empty(operator) or self._is_choice(operator):
            return recorded
        else:
            out = self._calm(operator, tuple(self._elsewhere(operator, changed)))
        noise = self._noise.get(operator.place)
        if noise is not None:
            return (out[0] + noise, *out[1:])
        return recorded if self._stops(operator, out[0]) else out

    def _stops(self, operator: Operator, out: Tensor) -> bool:
        """Tell whether what arrives at a relay goes no further."""
        if operator.place not in self._relays:
            return False
        where = self._soft.moved(operator.outputs[0], out)
        return bool(where.any()) and self._arrivals.stops(operator.place, where)

    def _is_choice(self, operator: Operator) -> bool:
        """Tell whether only whole numbers or truth values come out: positions and masks stay."""
        return all(
            not self.record.values[place].dtype.is_floating_point for place in operator.outputs
        )

    def _elsewhere(self, operator: Operator, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Run what sums over no channels; statistics over channels stay as recorded.

        A norm over channels then moves where its input does, so that channels can be told apart.
        """
        recorded = self._soft.recorded(operator)
        in_norm = self.record.scopes[operator.place] in self.norms
        axes = frozen_statistics(operator, kept=not in_norm)
        if axes is not None and self._varies(operator, axes, changed):
            self._statistics.add(operator.place)
            return recorded
        normalised, data = normalised_axes(operator), operator.inputs[0]
        in_groups = operator.name == "native_group_norm" and operator.arguments["group"] > 1
        if in_groups and data in changed:
            self._see(Reading(operator.place, 0), self._soft.moved(data, changed[data]), (1,))
        if normalised is not None and self._varies(operator, normalised, changed):
            if not in_groups:
                self._statistics.add(operator.place)
            others = {place: value for place, value in changed.items() if place != data}
            out = operator(lambda place: self._soft.value(place, others))
            step = (changed[data] - self._soft.values[data]).view(out[0].shape)
            return (out[0] + step, *recorded[1:])
        return soft(operator, lambda place: self._soft.value(place, changed))

    def _varies(
        self, operator: Operator, axes: tuple[int, ...], changed: Mapping[int, Tensor]
    ) -> bool:
        data = operator.inputs[0]
        if data not in changed:
            return False
        where = self._soft.moved(data, changed[data])
        if operator.name == "native_group_norm":
            where = where.reshape(where.shape[0], operator.arguments["group"], -1)
            axes = (2,)
        return varies(where, axes)

    def _product(self, product: Contraction, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Note which channels it reads; what it sums over ends here, the rest passes through."""
        passed = {}
        for side, factor in enumerate((product.left, product.right)):
            if factor.place not in changed or not self.sources.depends(factor.place):
                continue
            where = self._soft.moved(factor.place, changed[factor.place])
            reading = Reading(product.operator.place, side)
            if self._ends_at(reading, where, factor.summed):
                self._see(reading, where, factor.kept)
            else:
                passed[factor.place] = changed[factor.place]
        if not passed:
            return self._soft.recorded(product.operator)
        out = product.operator(lambda place: self._soft.value(place, passed))
        return (self._lively(product.operator.place, out[0]), *out[1:])

    def _see(self, reading: Reading, where: Tensor, kept: tuple[int, ...]) -> None:
        """Note which entries of the ``kept`` axes move."""
        entries = any_over(where, [dim for dim in range(where.ndim) if dim not in kept]).flatten()
        seen = self._seen.get(reading)
        self._seen[reading] = entries if seen is None else seen | entries

    def _ends_at(self, reading: Reading, where: Tensor, summed: int) -> bool:
        """Tell whether the source's channels lie on the axis that is summed over, and end there."""
        if varies(where, (summed,)):
            self._ends[reading] = True
        elif not bool(where.all()):
            self._ends.setdefault(reading, False)
        ended = self._ends.get(reading, True)
        self._taken_to_end.add((reading, ended))
        return ended
