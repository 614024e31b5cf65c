"""GP-EHVI sampler: which network is worth training next, where its costs are known before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial

from growsearch.errors import UsageError
from growsearch.search.samplers.gp_ehvi.acquisition import Acquisition, front_of
from growsearch.search.samplers.gp_ehvi.candidates import (
    CandidateCache,
    DescribedCandidate,
    KnownCosts,
    key_of,
)
from growsearch.search.samplers.gp_ehvi.initial_design import start_point
from growsearch.search.samplers.gp_ehvi.observations import ObjectiveView, Observations
from growsearch.search.samplers.gp_ehvi.search_space import (
    CandidateSpace,
    Params,
    SpaceFunction,
    uniform_numbers,
)

# A mutant of the front has so many of its decisions drawn anew.
_EDITS = 2
# What a smooth model needs at the least.
_MIN_RESULTS = 2
# Where a small space has all but run dry, so many draws look for an untried candidate.
_LAST_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GPEHVISettings:
    """How the sampler works; the defaults are those that were measured.

    Attributes:
        metric: the place among the objectives of the one that only training tells.
        ceiling: a maximised metric's best value; its distance from there is the modelled error.
        reference: values of all objectives, in their order and unit, up to which hypervolume
            counts. None: the largest costs of random candidates, and a tenth beyond the worst error
            on the front.
        start_points: trials spread over the known costs and the features before the model begins.
        random_candidates: drawn for each suggestion, beside the neighbours of the front.
        mutants: two-edit mutants of each front point.
    """

    metric: int = 0
    ceiling: float = 1.0
    reference: tuple[float, ...] | None = None
    start_points: int = 6
    random_candidates: int = 500
    mutants: int = 30

    def __post_init__(self) -> None:
        for name, least in (("start_points", 2), ("random_candidates", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)}: must be at least {least}")


class GPEHVISampler(BaseSampler):
    """Proposes the candidate with the largest expected hypervolume improvement.

    One objective, the metric, is modelled by a Gaussian process on descriptors of the candidate;
    the other objectives are exact where ``foresight`` tells them before training, and else modelled
    by a Gaussian process of their logarithm on the raw choices. Running trials count with their
    predicted error. Works with ask and tell, any number of workers, and conditional spaces.

    The draws of a suggestion depend on the seed and the trial's number only, so that equal trials
    give equal suggestions.

    Args:
        seed: of all draws.
        foresight: what is known of a candidate before it trains.
        space: asks an Optuna trial for every decision of a candidate. None: the decisions that all
            finished trials have in common; the first trials are then random.
        settings: see there.
    """

    def __init__(
        self,
        *,
        seed: int,
        foresight: KnownCosts | None = None,
        space: SpaceFunction | None = None,
        settings: GPEHVISettings | None = None,
    ) -> None:
        self._seed = seed
        self._foresight = foresight or KnownCosts()
        self._settings = settings or GPEHVISettings()
        self._space_function = space
        self._independent = RandomSampler(seed=seed)
        self._intersection = IntersectionSearchSpace()
        self._space: CandidateSpace | None = None
        self._book: CandidateCache | None = None
        self._acquisition: Acquisition | None = None

    def reseed_rng(self) -> None:
        """Give the independent draws of another process another seed."""
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return every decision that a candidate may take."""
        if self._space is None:
            uniforms = uniform_numbers([self._seed, 0])
            if self._space_function is not None:
                self._space = CandidateSpace(self._space_function, uniforms)
            elif common := self._intersection.calculate(study):
                self._space = CandidateSpace.fixed(common, uniforms)
        return {} if self._space is None else dict(self._space.distributions)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw at random what the known space does not have."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next candidate's decisions."""
        if not search_space:
            return {}
        view = ObjectiveView.of(study.directions, self._settings.metric, self._settings.ceiling)
        book, acquisition = self._prepared(view)
        history = Observations.of(study, trial, book, view)
        uniforms = uniform_numbers([self._seed, 1, trial.number])
        if len(history.tried) < self._settings.start_points:
            return start_point(book, acquisition.given_costs, history, self._settings.start_points)
        if len(history.results) < _MIN_RESULTS:
            return _untried(book, history, uniforms)
        pool = [c for c in self._pool(book, history, uniforms) if c.feasible]
        if not pool:
            return _untried(book, history, uniforms)
        return pool[int(np.argmax(acquisition.gains(history, pool)))].params

    def _prepared(self, view: ObjectiveView) -> tuple[CandidateCache, Acquisition]:
        if self._book is None or self._acquisition is None:
            assert self._space is not None
            self._book = CandidateCache(
                self._space,
                self._foresight,
                view.signs,
                seed=self._seed,
                count=self._settings.random_candidates,
            )
            reference = self._settings.reference
            self._acquisition = Acquisition(
                self._book, None if reference is None else view.minimised(reference)
            )
        return self._book, self._acquisition

    def _pool(
        self, book: CandidateCache, history: Observations, uniforms: Iterator[float]
    ) -> list[DescribedCandidate]:
        """Return random candidates, the front's neighbours and its mutants, all untried."""
        many = [book.space.draw(uniforms) for _ in range(self._settings.random_candidates)]
        for place in front_of(history):
            params = history.results[place].params
            many += book.space.neighbours(params, uniforms)
            many += (
                book.space.mutant(params, _EDITS, uniforms) for _ in range(self._settings.mutants)
            )
        different = {key_of(params): params for params in many}
        return [book.describe(p) for key, p in different.items() if key not in history.tried]


def _untried(book: CandidateCache, history: Observations, uniforms: Iterator[float]) -> Params:
    """Return a random candidate, untried if there still is one that is easily found."""
    for _ in range(_LAST_DRAWS):
        candidate = book.describe(book.space.draw(uniforms))
        if candidate.feasible and key_of(candidate.params) not in history.tried:
            break
    return candidate.params
