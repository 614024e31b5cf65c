"""Search space of a function: the candidates that it admits, and those near a given one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Params = dict[str, Any]
SpaceFunction = Callable[[Any], object]

# Random runs of a space function until so many in a row have met no new decision.
_QUIET_DRAWS = 100
# A whole-number decision with at most so many values has all of them as neighbours.
_FEW_VALUES = 8
# Elsewhere four neighbours: at most these shares of the range away, up and down.
_STEPS = (0.05, 0.25)


class CandidateSpace:
    """A define-by-run space that can be drawn from and edited without an Optuna study.

    Args:
        function: asks ``suggest_categorical``, ``suggest_int`` and ``suggest_float`` for every
            decision that a candidate needs; which ones may depend on earlier answers.
        uniforms: numbers in [0, 1), to find out which decisions there are.
    """

    def __init__(self, function: SpaceFunction, uniforms: Iterator[float]) -> None:
        self._function = function
        self.distributions: dict[str, BaseDistribution] = {}
        # Whether every candidate takes the same decisions: then edits need not ask the function.
        self._flat = True
        quiet = 0
        while quiet < _QUIET_DRAWS:
            found = self._run({}, uniforms).distributions
            if self.distributions and found != self.distributions:
                self._flat = False
            quiet = quiet + 1 if found.keys() <= self.distributions.keys() else 0
            self.distributions.update(found)

    @classmethod
    def fixed(
        cls, distributions: Mapping[str, BaseDistribution], uniforms: Iterator[float]
    ) -> CandidateSpace:
        """Return the space in which every candidate takes the same decisions."""

        def ask_all(draw: _Draw) -> None:
            for name, distribution in distributions.items():
                draw.take(name, distribution)

        return cls(ask_all, uniforms)

    def complete(self, given: Mapping[str, Any], uniforms: Iterator[float]) -> Params:
        """Return a legal candidate: the values of ``given`` that apply, the others drawn."""
        return self._run(given, uniforms).params

    def draw(self, uniforms: Iterator[float]) -> Params:
        """Return a random candidate."""
        if self._flat:
            return {n: _value_at(d, next(uniforms)) for n, d in self.distributions.items()}
        return self.complete({}, uniforms)

    def is_complete(self, params: Mapping[str, Any]) -> bool:
        """Tell whether ``params`` is exactly one candidate of this space."""
        try:
            return self.complete(params, iter(())) == dict(params)
        except _UndecidedError:
            return False

    def neighbours(self, params: Params, uniforms: Iterator[float]) -> Iterator[Params]:
        """Yield the candidates that are one edit away.

        Every other value of a choice and of a short whole-number range; four values of a long one.
        """
        for name, value in params.items():
            for other in _other_values(self.distributions[name], value, uniforms):
                yield self._edited(params, name, other, uniforms)

    def mutant(self, params: Params, edits: int, uniforms: Iterator[float]) -> Params:
        """Return a copy with so many of its decisions drawn anew, which may hit the old value."""
        for _ in range(edits):
            names = list(params)
            name = names[int(next(uniforms) * len(names))]
            value = _value_at(self.distributions[name], next(uniforms))
            params = self._edited(params, name, value, uniforms)
        return params

    def _edited(self, params: Params, name: str, value: Any, uniforms: Iterator[float]) -> Params:
        edited = {**params, name: value}
        return edited if self._flat else self.complete(edited, uniforms)

    def encode(self, params: Mapping[str, Any]) -> list[float]:
        """Return the raw decisions as numbers: 0 or 1 a choice's option, the place in a range.

        A decision that the candidate does not take is 0 for every option, or the middle of a range.
        """
        row: list[float] = []
        for name, distribution in self.distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                chosen = params.get(name, _UndecidedError)
                row += [float(option == chosen) for option in distribution.choices]
            else:
                row.append(_unit_of(distribution, params[name]) if name in params else 0.5)
        return row

    def _run(self, given: Mapping[str, Any], uniforms: Iterator[float]) -> _Draw:
        draw = _Draw(given, uniforms, self.distributions)
        self._function(draw)
        return draw


class _UndecidedError(Exception):
    """A replayed candidate lacks a decision."""


class _Draw:
    """The part of an Optuna trial that a space function asks: replays, and draws the rest."""

    def __init__(
        self,
        given: Mapping[str, Any],
        uniforms: Iterator[float],
        known: Mapping[str, BaseDistribution],
    ) -> None:
        self._given, self._uniforms, self._known = given, uniforms, known
        self.params: Params = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        known = self._known.get(name)
        # Making a distribution checks every option; it is asked for thousands of times.
        if not isinstance(known, CategoricalDistribution) or known.choices != tuple(choices):
            known = CategoricalDistribution(choices)
        return self.take(name, known)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self.take(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self.take(name, FloatDistribution(low, high, log=log, step=step)))

    def take(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the given value where it is legal, else a drawn one."""
        if name in self._given and _contains(distribution, self._given[name]):
            value = self._given[name]
        else:
            unit = next(self._uniforms, None)
            if unit is None:
                raise _UndecidedError(name)
            value = _value_at(distribution, unit)
        self.params[name] = value
        self.distributions[name] = distribution
        return value


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return bool(distribution.low <= value <= distribution.high)


def _value_at(distribution: BaseDistribution, unit: float) -> Any:
    """Return the value at a place in [0, 1]; equal stretches for equal steps (factors if log)."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return choices[min(int(unit * len(choices)), len(choices) - 1)]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = _ends(distribution)
    number = low + unit * (high - low)
    if distribution.log:
        number = math.exp(number)
    if distribution.step is not None:
        steps = round((number - distribution.low) / distribution.step)
        number = distribution.low + steps * distribution.step
    number = min(max(number, distribution.low), distribution.high)
    return int(number) if isinstance(distribution, IntDistribution) else float(number)


def _unit_of(distribution: BaseDistribution, value: float) -> float:
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = _ends(distribution)
    number = math.log(value) if distribution.log else value
    return (number - low) / (high - low) if high > low else 0.5


def _ends(distribution: IntDistribution | FloatDistribution) -> tuple[float, float]:
    """Return the drawn range; half a step beyond a grid's ends, so that these are as likely."""
    margin = 0.499 * distribution.step if distribution.step is not None else 0.0
    low, high = distribution.low - margin, distribution.high + margin
    return (math.log(low), math.log(high)) if distribution.log else (low, high)


def _other_values(
    distribution: BaseDistribution, value: Any, uniforms: Iterator[float]
) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return [option for option in distribution.choices if option != value]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= _FEW_VALUES:
            return [other for other in values if other != value]
    place = _unit_of(distribution, value)
    moves = [sign * step * next(uniforms) for step in _STEPS for sign in (-1, 1)]
    near = [_value_at(distribution, min(max(place + move, 0.0), 1.0)) for move in moves]
    return [other for other in dict.fromkeys(near) if other != value]


def uniform_numbers(seed: Sequence[int]) -> Iterator[float]:
    """Yield random numbers in [0, 1) without end; equal seeds give equal numbers."""
    generator = np.random.default_rng(list(seed))
    while True:
        yield from generator.random(4096).tolist()
