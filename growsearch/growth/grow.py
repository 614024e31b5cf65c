"""How is a network grown from one channel a group to a budget? See `grow`."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from growsearch.datasets import Dataset
from growsearch.growth.budget import Budget
from growsearch.growth.config import GrowthConfig
from growsearch.growth.costs import Costs
from growsearch.growth.gate import Gate, insert_gates
from growsearch.growth.hook import Change, GrowthHook
from growsearch.growth.policies import make_policy
from growsearch.growth.policy import GrowthTask
from growsearch.growth.result import GrowthRecord, GrowthResult
from growsearch.growth.seeding import build_full, seeded
from growsearch.growth.surgery import Surgeon
from growsearch.training import EpochRecord, TrainingOptions, train
from search_spaces import SearchSpace, channel_groups

# Apart from the loop's own stream, so that every policy sees the same batches at the same seed.
_GROWTH_STREAM = 0x67726F77


def grow(
    space: SearchSpace,
    dataset: Dataset,
    *,
    budget: Budget,
    config: GrowthConfig | None = None,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> GrowthResult:
    """Train a network that starts with one channel a group and ends within ``budget``.

    What runs at any step is the network of the live channels and nothing more (arXiv 2007.15353,
    Algorithm 1; `IndicatorConfig` and `GatedBatchNorm` say where and why
    this departs from the letter).

    Args:
        space: a space made for the data (`SearchSpace.for_data`).
        dataset: trained on its training split, evaluated every epoch on its validation split.
        budget: the upper bound, which holds at every step.
        config: recipe and growth settings.
        seed: fixes weights, batches and structure; the same seed gives the same result.
        options: hooks (called after growth's own), pause guard and epoch callback.

    Raises:
        UsageError: for a budget below one channel a group, or an unknown policy.
        DivergedError: if the loss stops being finite.
    """
    config, options = config or GrowthConfig(), options or TrainingOptions()
    model = build_full(space, seed)
    gates = insert_gates(model, channel_groups(model))
    costs = Costs.of(space, model, budget)
    hook = _make_hook(model, gates, dataset, costs, config, seed)
    seed_network = costs.structures.first_of_each()
    hook.surgeon.seed(seed_network)
    with seeded(seed):
        epochs, _ = train(
            model,
            dataset,
            config.recipe,
            seed=seed,
            forward_macs=costs.macs.exact(costs.structures.counts(seed_network)),
            options=dataclasses.replace(options, hooks=(hook, *options.hooks)),
        )
    history = tuple(_record(costs, *pair) for pair in zip(epochs, hook.changes, strict=True))
    return make_result(
        space, model, costs, budget, history, costs.dense_training_macs(dataset, config.recipe)
    )


def _make_hook(
    model: nn.Module,
    gates: dict[str, Gate],
    dataset: Dataset,
    costs: Costs,
    config: GrowthConfig,
    seed: int,
) -> GrowthHook:
    generator = torch.Generator().manual_seed(seed ^ _GROWTH_STREAM)
    task = GrowthTask(
        allowance=costs.allowance,
        config=config,
        steps_per_epoch=max(1, len(dataset.train) // config.recipe.batch_size),
        generator=generator,
    )
    return GrowthHook(
        config=config,
        policy=make_policy(task),
        allowance=costs.allowance,
        macs=costs.macs,
        gates=gates,
        surgeon=Surgeon(model, channel_groups(model)),
        examples=dataset.train,
        generator=generator,
        changes=[],
    )


def _record(costs: Costs, epoch: EpochRecord, change: Change) -> GrowthRecord:
    structures = costs.structures
    return GrowthRecord(
        epoch=epoch.epoch,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
        training_macs=epoch.training_macs,
        forward_macs=epoch.forward_macs,
        parameters=costs.parameters.exact(structures.counts(change.live)),
        live={
            name: tuple(channels.tolist())
            for name, channels in structures.indices(change.live).items()
        },
        created=change.created,
        attached=change.attached,
        detached=change.detached,
        frozen=change.frozen,
    )


def make_result(
    space: SearchSpace,
    model: nn.Module,
    costs: Costs,
    budget: Budget,
    history: tuple[GrowthRecord, ...],
    dense_training_macs: int,
) -> GrowthResult:
    """Sum up a finished run; ``model`` is compact and plain."""
    widths = {group.name: group.size for group in channel_groups(model)}
    sizes = list(widths.values())
    return GrowthResult(
        model=model,
        architecture=space.with_widths(space.largest(), widths),
        history=history,
        budget=budget,
        limit=costs.allowance.limit,
        cost=costs.allowance.terms.exact(sizes),
        parameters=costs.parameters.exact(sizes),
        macs=costs.macs.exact(sizes),
        training_macs=history[-1].training_macs,
        dense_training_macs=dense_training_macs,
    )
