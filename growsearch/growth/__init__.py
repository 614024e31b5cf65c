"""Network growth under a budget, while it trains. See `grow`."""

from growsearch.growth.baselines import FixedResult, train_fixed, uniform_architecture
from growsearch.growth.budget.allocation import ALLOCATIONS
from growsearch.growth.budget.budget import Budget
from growsearch.growth.config import (
    BIRTHS,
    LENGTHS,
    PACES,
    TEMPERATURES,
    GrowthConfig,
    IndicatorConfig,
    usual_gain,
)
from growsearch.growth.front.config import FrontConfig
from growsearch.growth.front.grow_front import grow_front
from growsearch.growth.front.result import FrontResult
from growsearch.growth.full_network import build_full
from growsearch.growth.grow import grow
from growsearch.growth.indicators.relaxation import RELAXATIONS
from growsearch.growth.indicators.steering import STEERINGS
from growsearch.growth.latency.model import LatencyReport
from growsearch.growth.options import GrowthListener, GrowthOptions
from growsearch.growth.policies.registry import POLICIES
from growsearch.growth.result import GrowthRecord, GrowthResult
from growsearch.growth.staying import Staying
from growsearch.growth.structure_line import STRUCTURES, structure_line
from growsearch.growth.surgery.row_norms import NORMS

__all__ = [
    "ALLOCATIONS",
    "BIRTHS",
    "LENGTHS",
    "NORMS",
    "PACES",
    "POLICIES",
    "RELAXATIONS",
    "STEERINGS",
    "STRUCTURES",
    "TEMPERATURES",
    "Budget",
    "FixedResult",
    "FrontConfig",
    "FrontResult",
    "GrowthConfig",
    "GrowthListener",
    "GrowthOptions",
    "GrowthRecord",
    "GrowthResult",
    "IndicatorConfig",
    "LatencyReport",
    "Staying",
    "build_full",
    "grow",
    "grow_front",
    "structure_line",
    "train_fixed",
    "uniform_architecture",
    "usual_gain",
]
