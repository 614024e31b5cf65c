"""Registry of growth policies: one line a policy."""

from __future__ import annotations

from collections.abc import Callable

from growsearch.errors import UsageError
from growsearch.growth.policies.learned import LearnedIndicators
from growsearch.growth.policies.planned import PlannedGrowth
from growsearch.growth.policies.policy import GrowthPolicy, GrowthTask
from growsearch.growth.policies.random_indicators import RandomIndicators
from growsearch.growth.policies.random_order import RandomOrder
from growsearch.growth.policies.uniform_width import UniformWidth

POLICIES: dict[str, Callable[[GrowthTask], GrowthPolicy]] = {
    "learned": LearnedIndicators,
    "planned": PlannedGrowth,
    "random": RandomIndicators,
    "random-order": RandomOrder,
    "uniform": UniformWidth,
}


def make_policy(task: GrowthTask) -> GrowthPolicy:
    """Return the policy that the configuration names.

    Raises:
        UsageError: if there is none of this name; the message lists the valid ones.
    """
    name = task.config.policy
    if name not in POLICIES:
        raise UsageError(f"policy: unknown {name!r}; valid: {', '.join(sorted(POLICIES))}")
    return POLICIES[name](task)
