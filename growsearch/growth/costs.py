"""What do the networks of one search space cost, and what does a budget leave of them?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from growsearch.datasets import Dataset
from growsearch.growth.allowance import Allowance
from growsearch.growth.budget import Budget
from growsearch.growth.cost_terms import CostTerms, mac_terms, parameter_terms
from growsearch.growth.structures import Structures
from growsearch.training import TRAINING_PASSES, Recipe
from search_spaces import SearchSpace, channel_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """A space's two cost functions and what a budget makes of them."""

    structures: Structures
    parameters: CostTerms
    macs: CostTerms
    allowance: Allowance

    @classmethod
    def of(cls, space: SearchSpace, model: nn.Module, budget: Budget) -> Costs:
        """Count ``model``, the full configuration of ``space``.

        Raises:
            UsageError: if the budget is below one channel a group.
        """
        groups = channel_groups(model)
        structures = Structures.of(groups)
        parameters = parameter_terms(model, groups)
        macs = mac_terms(model, groups, space.example_inputs())
        terms = parameters if budget.metric == "parameters" else macs
        limit = budget.limit(
            full=terms.exact(structures.sizes), least=terms.exact([1] * len(structures.sizes))
        )
        allowance = Allowance(structures=structures, terms=terms, limit=limit)
        return cls(structures=structures, parameters=parameters, macs=macs, allowance=allowance)

    def dense_training_macs(self, dataset: Dataset, recipe: Recipe) -> int:
        """Return what training the full configuration with ``recipe`` costs, in MACs."""
        size = min(recipe.batch_size, len(dataset.train))
        steps = max(1, len(dataset.train) // recipe.batch_size) * recipe.epochs
        return TRAINING_PASSES * self.macs.exact(self.structures.sizes) * size * steps
