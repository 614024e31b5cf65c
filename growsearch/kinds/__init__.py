"""Kinds of trial: a package each, and one line in `KINDS`."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from growsearch.kinds.candidate import CandidateConfig, trial_id, trial_seed
    from growsearch.kinds.checking.context import CheckContext
    from growsearch.kinds.forecasts import Forecast
    from growsearch.kinds.growth.bound import GrowthBound
    from growsearch.kinds.growth.candidate import GrowthCandidate
    from growsearch.kinds.growth.space import GrowthSpace
    from growsearch.kinds.growth.training import GrowthEpoch
    from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
    from growsearch.kinds.learning import DataChoice, Learning, TextReading
    from growsearch.kinds.network import Network
    from growsearch.kinds.prune.candidate import PruneCandidate
    from growsearch.kinds.prune.space import PruneSpace
    from growsearch.kinds.recipe_choice import RecipeChoice
    from growsearch.kinds.registry import KINDS, candidate_from_json, forecast, kind_of
    from growsearch.kinds.space import KindSpace, Strict
    from growsearch.kinds.sparse.candidate import GrowFirst, SparseCandidate
    from growsearch.kinds.tickets.candidate import TicketCandidate
    from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
    from growsearch.kinds.trial_kinds import TrialKinds, suggest_candidate

# Name -> its module; no module has a name from here, which it would shadow. Loaded on first use:
# words for a report need no torch.
_HOME = {
    "Axis": "kind",
    "CandidateConfig": "candidate",
    "CheckContext": "checking.context",
    "DataChoice": "learning",
    "Forecast": "forecasts",
    "ForecastContext": "kind",
    "GrowFirst": "sparse.candidate",
    "GrowthBound": "growth.bound",
    "GrowthCandidate": "growth.candidate",
    "GrowthEpoch": "growth.training",
    "GrowthSpace": "growth.space",
    "KINDS": "registry",
    "KindSpace": "space",
    "Learning": "learning",
    "Network": "network",
    "PruneCandidate": "prune.candidate",
    "PruneSpace": "prune.space",
    "RecipeChoice": "recipe_choice",
    "SparseCandidate": "sparse.candidate",
    "Strict": "space",
    "TextReading": "learning",
    "TicketCandidate": "tickets.candidate",
    "TrainedCandidate": "trained",
    "TrainingContext": "trained",
    "TrialKind": "kind",
    "TrialKinds": "trial_kinds",
    "Untrained": "trained",
    "candidate_from_json": "registry",
    "forecast": "registry",
    "kind_of": "registry",
    "suggest_candidate": "trial_kinds",
    "trial_id": "candidate",
    "trial_seed": "candidate",
}

__all__ = [
    "KINDS",
    "Axis",
    "CandidateConfig",
    "CheckContext",
    "DataChoice",
    "Forecast",
    "ForecastContext",
    "GrowFirst",
    "GrowthBound",
    "GrowthCandidate",
    "GrowthEpoch",
    "GrowthSpace",
    "KindSpace",
    "Learning",
    "Network",
    "PruneCandidate",
    "PruneSpace",
    "RecipeChoice",
    "SparseCandidate",
    "Strict",
    "TextReading",
    "TicketCandidate",
    "TrainedCandidate",
    "TrainingContext",
    "TrialKind",
    "TrialKinds",
    "Untrained",
    "candidate_from_json",
    "forecast",
    "kind_of",
    "suggest_candidate",
    "trial_id",
    "trial_seed",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'growsearch.kinds' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"growsearch.kinds.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
