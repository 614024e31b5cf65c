"""Traced MACs: a network's MACs as a function of its widths, held against `cost_models.trace`.

Layers count themselves (`cost_terms`); attention, products of two inputs and functions with weights
are read off traces of the network, whose widths change one by one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import nn

import cost_models
from cost_models import CostModelError
from growsearch.errors import UsageError
from growsearch.growth.budget.cost_terms import (
    CostTerms,
    mac_terms,
    output_positions,
    product_terms,
)
from search_spaces import ChannelGroup, SearchSpaceError, Unit, resize
from search_spaces.channel_groups import named_tensors
from search_spaces.own_networks.keyword_inputs import ExampleInputs
from search_spaces.own_networks.whole_networks import copied
from search_spaces.units import detach

# A width is a factor of one operator's MACs this often at most (a Gram matrix has it twice).
_MAX_OFTEN = 3
# How many widths the MACs of one operator may be a sum of products of.
_MAX_TOGETHER = 4
# Shares of the full widths at which a network is traced beside its full widths.
_SHARES = ((0.35, 0.65), (0.55, 0.9))


class UncountableError(UsageError):
    """The MACs of ``what`` follow the widths of ``groups`` otherwise than as a sum of products.

    Without ``groups`` it is not known which of them.
    """

    def __init__(self, message: str, what: str, groups: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.what, self.groups = what, groups


def countable_mac_terms(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: ExampleInputs,
    units: tuple[Unit, ...] = (),
) -> tuple[CostTerms, dict[str, str]]:
    """Return `traced_mac_terms` of those of ``groups`` that can be counted, and why of the others.

    Raises:
        UsageError: as there, where it is not the widths of some groups.
    """
    held: dict[str, str] = {}
    while True:
        left = tuple(group for group in groups if group.name not in held)
        try:
            return traced_mac_terms(module, left, example_inputs, units), held
        except UncountableError as error:
            names = error.groups or _uncountable_alone(module, left, example_inputs, units)
            if not names:
                raise
            reason = f"the MACs of {error.what} follow its width in no product of widths"
            held |= dict.fromkeys(names, reason)


def _uncountable_alone(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: ExampleInputs,
    units: tuple[Unit, ...],
) -> tuple[str, ...]:
    found = []
    for group in groups:
        inside = tuple(
            replace(unit, groups=(group.name,) if group.name in unit.groups else ())
            for unit in units
        )
        try:
            traced_mac_terms(module, (group,), example_inputs, inside)
        except UncountableError:
            found.append(group.name)
    return tuple(found)


def traced_mac_terms(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: ExampleInputs,
    units: tuple[Unit, ...] = (),
) -> CostTerms:
    """Return the MACs of one example as `cost_models.trace` counts them.

    They are a function of the widths of ``groups`` and of which ``units`` run. It has been tried at
    the full widths, at smaller ones and without units, and gives what the trace gives.

    Raises:
        UncountableError: if the MACs of a layer are no sum of products of widths; it is named.
        UsageError: if the network cannot be traced.
    """
    sketcher = _Sketcher(module, groups, example_inputs, units)
    terms = mac_terms(module, groups, example_inputs, units)
    traced = [sketcher.traced(sizes) for sizes in sketcher.samples()]
    if not _agree(terms, traced):
        terms = sketcher.completed(traced)
        if not _agree(terms, traced):
            raise sketcher.refused("its layers together")
    return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """One network: its sizes in the order of the terms, and the MACs of its operators."""

    sizes: tuple[int, ...]
    layers: tuple[cost_models.LayerWork, ...]

    @property
    def macs(self) -> int:
        return sum(layer.dense_macs for layer in self.layers)


def _agree(terms: CostTerms, traced: Sequence[_Traced]) -> bool:
    return all(terms.exact(each.sizes) == each.macs for each in traced)


class _Sketcher:
    """Traces a network at other widths, and finds the widths that an operator's MACs follow."""

    def __init__(
        self,
        module: nn.Module,
        groups: tuple[ChannelGroup, ...],
        inputs: ExampleInputs,
        units: tuple[Unit, ...],
    ) -> None:
        self._module, self._groups, self._inputs, self._units = module, groups, inputs, units
        self._full = (*(group.size for group in groups), *(1 for _ in units))
        self._narrowed_networks: dict[tuple[int, ...], _Traced] = {}
        self._known: dict[tuple[int, ...], _Traced] = {}

    def samples(self) -> Iterator[tuple[int, ...]]:
        """Yield sizes: the full, two smaller, the least, and the full ones without units."""
        groups, running = self._groups, self._full[len(self._groups) :]
        yield self._full
        for low, high in _SHARES:
            step = (high - low) / max(1, len(groups))
            shares = [low + step * place for place in range(len(groups))]
            yield (*map(_narrower, groups, shares), *running)
        yield (*(group.multiple for group in groups), *running)
        if self._units:
            inside = {name for unit in self._units for name in unit.groups}
            yield (
                *(0 if group.name in inside else group.size for group in groups),
                *(0 for _ in running),
            )

    def traced(self, sizes: tuple[int, ...]) -> _Traced:
        """Trace the network with these sizes; those inside units that do not run do not matter."""
        if sizes not in self._known:
            self._known[sizes] = self._trace(sizes)
        return self._known[sizes]

    def _trace(self, sizes: tuple[int, ...]) -> _Traced:
        sketch = copied(self._module)
        try:
            chosen = zip(self._groups, sizes, strict=False)
            resize(sketch, {group.name: n for group, n in chosen if 0 < n < group.size})
            self._fill(sketch)
            for unit, runs in zip(self._units, sizes[len(self._groups) :], strict=True):
                if not runs:
                    detach(sketch, unit)
            layers = cost_models.trace(sketch, self._inputs).layers
        except (CostModelError, SearchSpaceError) as error:
            raise UsageError(
                f"space: {type(self._module).__name__} cannot be grown: its MACs cannot be "
                f"counted: {error}"
            ) from error
        return _Traced(sizes=sizes, layers=layers)

    @torch.no_grad()
    def _fill(self, sketch: nn.Module) -> None:
        """Put finite values where a resize has left none."""
        full = named_tensors(self._module)
        for name, tensor in named_tensors(sketch).items():
            if tensor.shape != full[name].shape:
                tensor.detach().fill_(0.01)

    def completed(self, traced: Sequence[_Traced]) -> CostTerms:
        """Return the terms of all layers that count right, and what traces say of the others."""
        right, merged = self._right(traced), dict[tuple[int, ...], int]()
        for terms in right.values():
            for coefficient, factors in terms.terms:
                merged[factors] = merged.get(factors, 0) + coefficient
        full, *others = [each for each in traced if all(each.sizes[len(self._groups) :])]
        if any(_kinds(each) != _kinds(full) for each in others):
            raise self.refused("layers that run at some widths only")
        for place, work in enumerate(full.layers):
            if work.name not in right:
                constant = all(each.layers[place].dense_macs == work.dense_macs for each in others)
                found = [(work.dense_macs, ())] if constant else self._products(full, place)
                for coefficient, factors in found:
                    key = (*factors, *self._units_around(work.name))
                    merged[key] = merged.get(key, 0) + coefficient
        names = (*(g.name for g in self._groups), *(unit.name for unit in self._units))
        return CostTerms(names=names, terms=tuple((c, key) for key, c in merged.items()))

    def _right(self, traced: Sequence[_Traced]) -> dict[str, CostTerms]:
        """Return the terms of each layer by its path, where they are what the trace counts."""
        parameters = dict(self._module.named_parameters())
        by_path: dict[str, dict[str, int]] = {}
        for name, positions in output_positions(self._module, self._inputs).items():
            by_path.setdefault(name.rpartition(".")[0], {})[name] = positions
        found = {}
        for path, repeats in by_path.items():
            terms = product_terms(parameters, self._groups, self._units, repeats)
            if all(
                terms.exact(each.sizes) == sum(w.dense_macs for w in each.layers if w.name == path)
                for each in traced
            ):
                found[path] = terms
        return found

    def _products(self, full: _Traced, place: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return one operator's MACs as coefficients and factors: one product, or a sum of some.

        As a sum (scores and values of attention) they are linear in each width: they follow from
        those with every choice of widths narrowed.
        """
        macs = full.layers[place].dense_macs
        powers = {number: self._powers(place, macs, number) for number in range(len(self._groups))}
        if all(powers.values()):
            factors = tuple(n for n, power in powers.items() for _ in range(power[0]))
            return [(macs // math.prod(self._full[f] for f in factors), factors)]
        followed = [number for number, power in powers.items() if 0 not in power]
        if len(followed) > _MAX_TOGETHER:
            what = full.layers[place].name or "its own products"
            raise self.refused(what, [n for n in followed if not powers[n]] or followed)
        corners = {
            chosen: self._narrowed(chosen).layers[place].dense_macs
            for count in range(len(followed) + 1)
            for chosen in itertools.combinations(followed, count)
        }
        return list(self._linear(followed, corners))

    def _linear(
        self, followed: Sequence[int], corners: Mapping[tuple[int, ...], int]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield the products of a function that is linear in each width, from its corners."""
        weights: dict[tuple[int, ...], Fraction] = {}
        for chosen, macs in corners.items():
            # The corner's weight is 1 there and 0 at all others: a product of linear functions.
            terms: dict[tuple[int, ...], Fraction] = {(): Fraction(macs)}
            for number in followed:
                full, narrow = self._full[number], self._narrow(number)
                here, there = (narrow, full) if number in chosen else (full, narrow)
                slope = Fraction(1, here - there)
                terms = {
                    **{(*factors, number): old * slope for factors, old in terms.items()},
                    **{factors: -old * slope * there for factors, old in terms.items()},
                }
            for factors, value in terms.items():
                weights[factors] = weights.get(factors, Fraction()) + value
        for factors, value in weights.items():
            if value.denominator != 1:
                raise self.refused("its own products", followed)
            if value:
                yield int(value), factors

    def _powers(self, place: int, macs: int, number: int) -> list[int]:
        """Return how often a group's width may be a factor of one operator's MACs."""
        size, there = self._narrow(number), self._narrowed((number,)).layers[place].dense_macs
        full = self._groups[number].size
        return [p for p in range(_MAX_OFTEN + 1) if macs * size**p == there * full**p]

    def _narrow(self, number: int) -> int:
        return _narrower(self._groups[number], 0.5)

    def _narrowed(self, numbers: tuple[int, ...]) -> _Traced:
        if numbers not in self._narrowed_networks:
            sizes = [self._narrow(n) if n in numbers else s for n, s in enumerate(self._full)]
            traced = self.traced(tuple(sizes))
            if _kinds(traced) != _kinds(self.traced(self._full)):
                raise self.refused("layers that run at some widths only")
            self._narrowed_networks[numbers] = traced
        return self._narrowed_networks[numbers]

    def _units_around(self, layer: str) -> list[int]:
        return [
            len(self._groups) + number
            for number, unit in enumerate(self._units)
            if unit.holds(layer)
        ]

    def refused(self, what: str, followed: Sequence[int] = ()) -> UncountableError:
        """Return the error that names what no budget can follow, and the groups that it follows."""
        return UncountableError(
            f"space: {type(self._module).__name__} cannot be grown: the MACs of {what} are no "
            "sum of products of widths, so that no budget could be kept; declare channel groups "
            "without the widths that they follow (channel_groups())",
            what,
            tuple(self._groups[number].name for number in followed),
        )


def _kinds(traced: _Traced) -> list[tuple[str, str]]:
    return [(layer.name, layer.kind) for layer in traced.layers]


def _narrower(group: ChannelGroup, share: float) -> int:
    multiples = max(1, group.size // group.multiple)
    return group.multiple * max(1, min(multiples - 1, math.ceil(multiples * share)))
