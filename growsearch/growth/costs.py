"""Costs of one space's networks, and what a budget leaves of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from growsearch.growth.budget.budget import Budget
from growsearch.growth.budget.cost_terms import CostTerms, parameter_terms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.budget.traced_macs import countable_mac_terms
from growsearch.growth.growing_groups import GrowingGroups, growing_groups
from growsearch.growth.latency.model import Changing, Latencies, LatencyModel, latency_model
from growsearch.growth.layers import declared_units
from growsearch.growth.staying import Least, Staying, largest_words, staying_layers
from growsearch.training import (
    TRAINING_PASSES,
    Recipe,
    Task,
    examples_per_step,
    steps_per_epoch,
)
from search_spaces import SearchSpace, Unit
from search_spaces.traced_space import OwnSpace

_UNLOCKED = Latencies()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """A space's two cost functions and what a budget makes of them.

    ``growing`` are the channel groups, those that grow and those that do not. ``units`` are all
    that the full configuration declares; ``growing_units``, those of them that growth may detach,
    are behind the channels in ``structures``. ``staying`` says what keeps its width and which
    share of the full network that is, ``floor`` what the least network costs in the budget's unit.
    ``latency`` is there for a budget on it.
    """

    structures: Structures
    growing: GrowingGroups
    units: tuple[Unit, ...]
    growing_units: tuple[Unit, ...]
    parameters: CostTerms
    macs: CostTerms
    projection: BudgetProjection
    staying: tuple[Staying, ...]
    floor: float
    latency: LatencyModel | None = None

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        model: nn.Module,
        budget: Budget,
        *,
        grow_layers: bool = True,
        latencies: Latencies = _UNLOCKED,
        growing: GrowingGroups | None = None,
    ) -> Costs:
        """Count ``model``, the full configuration of ``space``; a latency's device is asked.

        ``growing`` says which groups may change, where it is not for gates to say.

        Raises:
            UsageError: if the budget is below one channel a group, no group may grow, or the
                network's MACs are not to be counted.
            GrowsearchError: if the budget's device cannot be asked.
        """
        found = growing or growing_groups(space, model)
        asked = grow_layers or not isinstance(space, OwnSpace)
        units = declared_units(space, model) if asked else ()
        detachable = tuple(unit for unit in units if unit.detachable) if grow_layers else ()
        macs, uncounted = countable_mac_terms(
            model, found.groups, space.example_inputs(), found.of_units(detachable)
        )
        found = found.holding(uncounted)
        ours = found.of_units(detachable)
        found.check(model, ours)
        structures = Structures.of(found.groups, ours)
        parameters = parameter_terms(model, found.groups, ours)
        least = Least(groups=found.groups, units=ours, example_inputs=space.example_inputs())
        staying = staying_layers(model, found.whole, found.kept, least)
        holding = largest_words(staying, budget.metric)
        latency = None
        if budget.metric == "latency":
            network = Changing(
                space=space,
                model=model,
                structures=structures,
                groups=found.groups,
                units=units,
                holding=holding,
            )
            latency = latency_model(network, budget, latencies)
            floor = latency.fitted.least_s
            projection = BudgetProjection(
                structures=structures,
                terms=latency,
                limit=latency.limit,
                marginals=latency.marginals,
                fixed=latency.fitted.least_s,
            )
        else:
            terms = parameters if budget.metric == "parameters" else macs
            floor = terms.exact(structures.floors)
            full = terms.exact(structures.sizes)
            limit = budget.limit(full=full, least=floor, holding=holding)
            projection = BudgetProjection(structures=structures, terms=terms, limit=limit)
        return cls(
            structures=structures,
            growing=found,
            units=units,
            growing_units=ours,
            parameters=parameters,
            macs=macs,
            projection=projection,
            staying=staying,
            floor=floor,
            latency=latency,
        )

    def dense_training_macs(self, task: Task, recipe: Recipe) -> int:
        """Return what training the full configuration with ``recipe`` costs, in MACs."""
        size = examples_per_step(task, recipe)
        steps = steps_per_epoch(task, recipe) * recipe.epochs
        return TRAINING_PASSES * self.macs.exact(self.structures.sizes) * size * steps
