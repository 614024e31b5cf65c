"""Kinds of trial: a package each, and one line in `KINDS`."""

from growsearch.kinds.candidate import CandidateConfig, trial_id, trial_seed
from growsearch.kinds.checking.context import CheckContext
from growsearch.kinds.forecast import Forecast
from growsearch.kinds.growth.bound import GrowthBound
from growsearch.kinds.growth.candidate import GrowthCandidate
from growsearch.kinds.growth.space import GrowthSpace
from growsearch.kinds.growth.training import GrowthEpoch
from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
from growsearch.kinds.learning import DataChoice, Learning, TextReading
from growsearch.kinds.network import Network
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.registry import KINDS, candidate_from_json, forecast, kind_of
from growsearch.kinds.space import KindSpace, Strict
from growsearch.kinds.sparse.candidate import GrowFirst, SparseCandidate
from growsearch.kinds.tickets.candidate import TicketCandidate
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.kinds.trial_kinds import TrialKinds, suggest_candidate

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
