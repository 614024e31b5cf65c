"""Observations of the sampler: results and running trials, all minimised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from growsearch.errors import UsageError
from growsearch.search.samplers.gp_ehvi.candidates import (
    CandidateCache,
    DescribedCandidate,
    Key,
    key_of,
)

Array = npt.NDArray[np.float64]

# The logarithm of an error is modelled: one of 0 counts as this.
_MIN_ERROR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveView:
    """How a study's objectives read as one error and some costs, all minimised.

    Attributes:
        metric: the place of the objective that becomes the error.
        ceiling: the best value of a maximised metric; None where the metric is minimised.
        costs: the places of the other objectives.
        signs: +1 for a cost that is minimised, -1 for one that is maximised.
    """

    metric: int
    ceiling: float | None
    costs: tuple[int, ...]
    signs: tuple[int, ...]

    @classmethod
    def of(cls, directions: Sequence[StudyDirection], metric: int, ceiling: float) -> Self:
        """Read a study's directions.

        Raises:
            UsageError: if there is no objective of that place.
        """
        if not 0 <= metric < len(directions):
            raise UsageError(f"metric = {metric}: this study has {len(directions)} objectives")
        maximised = [direction == StudyDirection.MAXIMIZE for direction in directions]
        places = tuple(place for place in range(len(directions)) if place != metric)
        return cls(
            metric=metric,
            ceiling=ceiling if maximised[metric] else None,
            costs=places,
            signs=tuple(-1 if maximised[place] else 1 for place in places),
        )

    def error(self, values: Sequence[float]) -> float:
        """Return the error, above 0.

        Raises:
            UsageError: for a metric beyond its ceiling, or below 0 where it is minimised.
        """
        value = values[self.metric]
        error = value if self.ceiling is None else self.ceiling - value
        if error < 0:
            raise UsageError(
                f"metric = {value}: an error is not below 0; "
                "set ceiling to the best value that a maximised metric can have"
            )
        return max(error, _MIN_ERROR)

    def minimised(self, values: Sequence[float]) -> list[float]:
        """Return the error and then the costs.

        Raises:
            UsageError: for another number of values.
        """
        if len(values) != 1 + len(self.costs):
            raise UsageError(
                f"reference: {len(values)} values for {1 + len(self.costs)} objectives"
            )
        return [self.error(values), *self.cost_values(values)]

    def cost_values(self, values: Sequence[float]) -> list[float]:
        """Return the costs."""
        return [sign * values[p] for sign, p in zip(self.signs, self.costs, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """The trials of one study before a suggestion.

    Attributes:
        results: the candidates that finished.
        errors: theirs, shape (results,).
        costs: theirs, shape (results, costs).
        meets: which of them meet every constraint, shape (results,).
        running: the candidates at work.
        tried: the keys of all that were ever started, failed ones too.
    """

    results: tuple[DescribedCandidate, ...]
    errors: Array
    costs: Array
    meets: npt.NDArray[np.bool_]
    running: tuple[DescribedCandidate, ...]
    tried: frozenset[Key]

    @classmethod
    def of(
        cls, study: Study, asking: FrozenTrial, book: CandidateCache, view: ObjectiveView
    ) -> Self:
        """Read the trials beside the asking one; those that fit the space only."""
        trials = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if trial.number != asking.number and book.space.is_complete(trial.params)
        ]
        done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        values = [trial.values for trial in done]
        return cls(
            results=tuple(book.describe(trial.params) for trial in done),
            errors=np.array([view.error(row) for row in values]),
            costs=np.array([view.cost_values(row) for row in values]).reshape(
                len(done), len(view.costs)
            ),
            meets=np.array([max(t.constraints.values(), default=0.0) <= 0 for t in done], bool),
            running=tuple(book.describe(trial.params) for trial in running),
            tried=frozenset(key_of(trial.params) for trial in trials),
        )
