"""Candidates with what is known before they train: costs, descriptors, feasibility."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from growsearch.errors import UsageError
from growsearch.search.samplers.gp_ehvi.search_space import CandidateSpace, Params, uniform_numbers

Array = npt.NDArray[np.float64]
Costs = Callable[[Mapping[str, Any]], Sequence[float]]
Descriptors = Callable[[Mapping[str, Any]], Sequence[float]]
Feasible = Callable[[Mapping[str, Any]], bool]
Key = frozenset[tuple[str, Any]]

# Candidates that are remembered; beyond it memory would grow with the length of a search.
_MAX_REMEMBERED = 20_000
# Costs spread over factors; their logarithm is what a smooth model can follow.
_MIN_COST = 1e-300


@dataclass(frozen=True, slots=True)
class DescribedCandidate:
    """A candidate and what is known of it; costs are minimised, NaN where not known."""

    params: Params
    costs: tuple[float, ...]
    features: tuple[float, ...]
    feasible: bool


def key_of(params: Mapping[str, Any]) -> Key:
    """Return what names a candidate: equal decisions, equal key."""
    return frozenset(params.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCosts:
    """The functions that tell what is known beforehand; None where nothing is.

    Attributes:
        costs: a candidate's exact value of every objective but the metric, in the objectives' order
            and unit; NaN for one that only the trial tells.
        descriptors: numbers that describe the network as it would be built.
        feasible: False for a candidate that breaks a constraint for certain.
        choices: whether the raw choices are features beside the descriptors, which do not tell all.
    """

    costs: Costs | None = None
    descriptors: Descriptors | None = None
    feasible: Feasible | None = None
    choices: bool = False


class CandidateCache:
    """Describes candidates once, remembers them, and turns them into features.

    Without descriptors a candidate's features are its choices and the logarithms of its known
    costs. Features are standardised over ``count`` random candidates of the space.

    Args:
        space: where candidates come from.
        foresight: what is known beforehand.
        signs: +1 for a cost that is minimised, -1 for one that is maximised.
        seed: of the random candidates.
        count: how many of them.
    """

    def __init__(
        self,
        space: CandidateSpace,
        foresight: KnownCosts,
        signs: Sequence[int],
        *,
        seed: int,
        count: int,
    ) -> None:
        self.space, self._foresight, self._signs = space, foresight, tuple(signs)
        self._known: dict[Key, DescribedCandidate] = {}
        uniforms = uniform_numbers([seed])
        drawn = self.describe_all(space.draw(uniforms) for _ in range(count))
        self.drawn = [candidate for candidate in drawn.values() if candidate.feasible]
        if not self.drawn:
            raise UsageError(
                f"constraints: none of {count} random candidates meets them; loosen the constraints"
            )
        rows = np.array([candidate.features for candidate in self.drawn])
        self._center, spread = rows.mean(axis=0), rows.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)

    def describe(self, params: Params) -> DescribedCandidate:
        """Return what is known of one candidate."""
        key = key_of(params)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._look(params)
        return found

    def describe_all(self, many: Iterable[Params]) -> dict[Key, DescribedCandidate]:
        """Return different candidates by key, in order."""
        return {key_of(params): self.describe(params) for params in many}

    def features(self, candidates: Sequence[DescribedCandidate]) -> Array:
        """Return the standardised features, shape (candidates, features)."""
        rows = np.array([candidate.features for candidate in candidates])
        return np.asarray((rows - self._center) / self._spread)

    def choices(self, candidates: Sequence[DescribedCandidate]) -> Array:
        """Return the raw choices as numbers, shape (candidates, columns)."""
        return np.array([self.space.encode(candidate.params) for candidate in candidates])

    def _look(self, params: Params) -> DescribedCandidate:
        see = self._foresight
        feasible = see.feasible is None or see.feasible(params)
        costs = tuple(math.nan for _ in self._signs)
        if see.costs is not None:
            values = see.costs(params)
            if len(values) != len(self._signs):
                raise UsageError(
                    f"costs: {len(values)} values for {len(self._signs)} objectives beside "
                    "the metric; give one each, NaN where it is not known"
                )
            costs = tuple(s * float(v) for s, v in zip(self._signs, values, strict=True))
        if see.descriptors is not None:
            features = tuple(map(float, see.descriptors(params)))
            if see.choices:
                features = (*features, *self.space.encode(params))
        else:
            features = (*self.space.encode(params), *map(_log_if_known, costs))
        return DescribedCandidate(params, costs, features, feasible)


def _log_if_known(cost: float) -> float:
    return 0.0 if math.isnan(cost) else math.log(max(abs(cost), _MIN_COST))
