"""Longer runs: the candidate of a trial, as it trains for more epochs."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from growsearch.errors import UsageError
from growsearch.kinds.baseline.candidate import BaselineCandidate
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.growth.candidate import GrowthCandidate
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.sparse.candidate import SparseCandidate

_Candidate = TypeVar("_Candidate", bound=CandidateConfig)


def trained_for(candidate: _Candidate, epochs: int) -> _Candidate:
    """Return the same candidate with a recipe of ``epochs``.

    What a candidate counts in epochs beside its recipe goes along in proportion: the stages and
    declines of a trunk, and the growing before a sparse trial. The pretraining of a ticket is
    another network's and stays.

    Raises:
        UsageError: for a network that is taken as it is, or epochs that are too few.

    Example:
        >>> from growsearch.kinds import GrowthBound, GrowthCandidate, RecipeChoice
        >>> from growsearch.kinds.longer import trained_for
        >>> short = GrowthCandidate(
        ...     space="mlp-digits",
        ...     budget=GrowthBound("macs", 0.4),
        ...     training=RecipeChoice(epochs=4),
        ... )
        >>> trained_for(short, 16).training.epochs
        16
    """
    training = getattr(candidate, "training", None)
    as_it_is = isinstance(candidate, BaselineCandidate) and candidate.which == "mine"
    if not isinstance(training, RecipeChoice) or as_it_is:
        raise UsageError("--trial: this network was taken as it is, and no training made it")
    times = epochs / training.epochs
    changes: dict[str, object] = {"training": dataclasses.replace(training, epochs=epochs)}
    if isinstance(candidate, GrowthCandidate) and candidate.trunk is not None:
        changes["trunk"] = dataclasses.replace(
            candidate.trunk,
            stage_epochs=_scaled(candidate.trunk.stage_epochs, times),
            decline_epochs=_scaled(candidate.trunk.decline_epochs, times),
        )
    if isinstance(candidate, SparseCandidate) and candidate.grow is not None:
        (before,) = _scaled((candidate.grow.epochs,), times)
        changes["grow"] = dataclasses.replace(candidate.grow, epochs=max(2, before))
    return dataclasses.replace(candidate, **changes)  # type: ignore[type-var]


def _scaled(numbers: tuple[int, ...], times: float) -> tuple[int, ...]:
    return tuple(max(1, round(number * times)) for number in numbers)
