"""Front plan: how wide the trunk is at each budget, and what the whole front will spend."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.growth.budget.budget import Budget
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.width_rounding import round_widths
from growsearch.growth.costs import Costs
from growsearch.growth.front.config import FrontConfig
from growsearch.growth.policies.uniform_width import channel_shares, widest_uniform
from growsearch.growth.staying import largest_words
from growsearch.growth.surgery.recalibration import examples_of, has_statistics
from growsearch.training import TRAINING_PASSES, Task, examples_per_step, steps_per_epoch
from search_spaces import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One budget of a trunk: the network there, and the epochs of the trunk and of its branch.

    ``live`` (total,) are the structures that run, ``costs`` what they cost under this budget, and
    ``macs`` those of one example. ``before`` are the trunk's epochs before this stage.
    """

    index: int
    budget: Budget
    costs: Costs
    live: Tensor
    macs: int
    before: int
    epochs: int
    decline: int


def plan_front(
    space: SearchSpace, model: nn.Module, budgets: Sequence[Budget], config: FrontConfig
) -> tuple[Stage, ...]:
    """Return the stages of a trunk through ``budgets``: uniform widths, each within the next.

    Args:
        space: a space made for the data.
        model: its full network.
        budgets: counts of one metric, in ascending order.
        config: how long each stage takes.

    Raises:
        UsageError: for budgets that do not ascend, below one channel a group, or on a latency.
    """
    metrics = {budget.metric for budget in budgets}
    if len(budgets) < 2 or len(metrics) != 1 or "latency" in metrics:
        raise UsageError(
            "budgets: a trunk has two or more, all of parameters or all of macs; for a latency, "
            "or for one budget alone, grow with budget"
        )
    costs = Costs.of(space, model, budgets[-1], grow_layers=False)
    projections = _projections(costs, budgets)
    before = 0
    stages = []
    limits = [projection.limit for projection in projections]
    lengths = zip(config.stages(limits), config.declines(len(budgets)), strict=True)
    networks = nested_widths(projections, config.width_multiple)
    _check_distinct(networks, budgets)
    for index, (budget, live, (epochs, decline)) in enumerate(
        zip(budgets, networks, lengths, strict=True)
    ):
        stages.append(
            Stage(
                index=index,
                budget=budget,
                costs=dataclasses.replace(costs, projection=projections[index]),
                live=live,
                macs=costs.macs.exact(costs.structures.counts(live)),
                before=before,
                epochs=epochs,
                decline=decline,
            )
        )
        before += epochs
    return tuple(stages)


def front_macs(stages: Sequence[Stage], model: nn.Module, task: Task, config: FrontConfig) -> int:
    """Return what a whole front spends in training: the trunk once, and all declines."""
    recipe = config.recipe
    an_epoch = TRAINING_PASSES * steps_per_epoch(task, recipe) * examples_per_step(task, recipe)
    total = sum(stage.macs * an_epoch * (stage.epochs + stage.decline) for stage in stages)
    if has_statistics(model):
        seen = examples_of(task, recipe.batch_size, config.calibration_batches)
        total += sum(stage.macs * seen for stage in stages[1:])
    return total


def nested_widths(projections: Sequence[BudgetProjection], multiple: int) -> tuple[Tensor, ...]:
    """Return the live structures (total,) at each limit: in uniform proportions, each in the next.

    What whole channels leave of a limit goes to the groups that are furthest behind, as with
    `UniformWidth`.
    """
    found: list[Tensor] = []
    scores = -channel_shares(projections[0].structures.sizes)
    for projection in projections:
        structures = projection.structures
        widest = structures.first(widest_uniform(structures.sizes, projection))
        before = found[-1] if found else widest
        wanted = widest | before
        live = projection.fill(
            wanted if projection.cost(wanted) <= projection.limit else before, scores
        )
        if multiple > 1:
            blocks = round_widths(
                projection, before if found else live, scores, multiple, fill=True
            )
            # Where the limit does not allow one block a group, blocks are left out.
            if not found or not bool((before & ~blocks).any()):
                live = blocks
        found.append(live)
    return tuple(found)


def _check_distinct(networks: Sequence[Tensor], budgets: Sequence[Budget]) -> None:
    """Refuse a budget at which not one channel more fits.

    Raises:
        UsageError: naming it and the one before.
    """
    for index in range(1, len(networks)):
        if torch.equal(networks[index], networks[index - 1]):
            raise UsageError(
                f"budgets: {budgets[index].value} has the network of {budgets[index - 1].value}: "
                "not one channel more fits; leave one of them out"
            )


def _projections(costs: Costs, budgets: Sequence[Budget]) -> list[BudgetProjection]:
    """Return what keeps networks within each of ``budgets``.

    Raises:
        UsageError: for one that is too small, or not above the one before it.
    """
    full = costs.projection.terms.exact(costs.structures.sizes)
    holding = largest_words(costs.staying, budgets[0].metric)
    limits = [b.limit(full=full, least=costs.floor, holding=holding) for b in budgets]
    for low, high, budget, after in zip(limits, limits[1:], budgets, budgets[1:], strict=False):
        if low >= high:
            raise UsageError(
                f"budgets: {after.value} is not above {budget.value}; a trunk grows, so write them "
                "in ascending order"
            )
    return [dataclasses.replace(costs.projection, limit=limit) for limit in limits]
