"""Kinds of trial by name: a new kind is one package and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cost_models import CostModelError
from growsearch.errors import UsageError
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.forecast import Forecast
from growsearch.kinds.growth.kind import GROWTH
from growsearch.kinds.kind import ForecastContext, TrialKind
from growsearch.kinds.sparse.kind import SPARSE
from growsearch.kinds.tickets.kind import TICKETS
from search_spaces import SearchSpaceError

KINDS: dict[str, TrialKind[Any, Any]] = {
    "growth": GROWTH,
    "sparse": SPARSE,
    "tickets": TICKETS,
}


def forecast(config: CandidateConfig, context: ForecastContext) -> Forecast | None:
    """Tell what a candidate will cost, without training; None if it cannot be built or counted.

    MACs, parameters and the latency of devices that are estimated are told: of sparse candidates
    whose masks keep their sparsity, all of them; where masks get sparser during training, the dense
    MACs alone; of growth, the budgeted count; of tickets, dense MACs and parameters.
    """
    try:
        return kind_of(config).forecast(config, context)
    except (UsageError, CostModelError, SearchSpaceError):
        # The trial itself will say why.
        return None


def kind_of(config: CandidateConfig) -> TrialKind[Any, Any]:
    """Return the kind of a candidate."""
    return KINDS[config.kind]


def candidate_from_json(data: Mapping[str, Any]) -> CandidateConfig:
    """Read what `CandidateConfig.to_json` wrote.

    Raises:
        UsageError: for an unknown kind, a missing key or choices that exclude each other.
    """
    name = data.get("kind")
    if name not in KINDS:
        raise UsageError(f"trial config: kind = {name!r}; valid: {', '.join(KINDS)}")
    return KINDS[name].candidate.from_json(data)
