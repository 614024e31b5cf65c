"""Growing a network up to a budget while it trains. See `grow`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from growsearch.growth.budget.budget import Budget
from growsearch.growth.budget.structures import Structures
from growsearch.growth.config import GrowthConfig
from growsearch.growth.costs import Costs
from growsearch.growth.direct_design import growing_options, train_directly
from growsearch.growth.full_network import build_full
from growsearch.growth.gates.bank import GateBank
from growsearch.growth.gates.gate import Gate
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.hook import Change, GrowthHook
from growsearch.growth.latency.model import Latencies
from growsearch.growth.layers import architecture_of, units_a_stage
from growsearch.growth.learning_task import Data, task_for
from growsearch.growth.options import GrowthOptions
from growsearch.growth.pace import Pace
from growsearch.growth.policies.policy import GrowthTask
from growsearch.growth.policies.registry import make_policy
from growsearch.growth.policies.uniform_width import UniformWidth
from growsearch.growth.result import GrowthRecord, GrowthResult
from growsearch.growth.surgery.cohorts import CohortRates
from growsearch.growth.surgery.scale_free import scale_free_rows_of
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.growth.surgery.trained_order import trained_order
from growsearch.training import (
    EpochRecord,
    Task,
    TrainingOptions,
    examples_per_step,
    steps_per_epoch,
    train,
)
from search_spaces import SearchSpace, seeded

# Apart from the loop's own stream, so that every policy sees the same batches at the same seed.
_GROWTH_STREAM = 0x67726F77
_RUNS = torch.tensor([True])


def grow(
    space: SearchSpace,
    dataset: Data,
    *,
    budget: Budget,
    config: GrowthConfig | None = None,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> GrowthResult:
    """Train a network that starts small and ends within ``budget``.

    It starts at a share of the budget in the proportions of the full network and widens by a plan;
    `GrowthConfig.paper` is the letter of arXiv 2007.15353: from one channel a group, and one unit a
    stage where the space has a choice of them, by learned indicators. What runs at any step is the
    network of the live channels and units and nothing more (arXiv 2007.15353, Algorithm 1;
    `IndicatorConfig` and `GatedBatchNorm` say where and why this departs from the letter). Layers
    that cannot grow (frozen ones, or what `trace_groups` could not prove) keep their width, which
    is logged and told by `GrowthResult.kept`.

    Args:
        space: a space made for the data (`SearchSpace.for_data`).
        dataset: trained on its training split, evaluated every epoch on its validation split. A
            text is read in windows of the space's length (see `task_for`).
        budget: the upper bound, which holds at every step.
        config: recipe and growth settings.
        seed: fixes weights, batches and structure; the same seed gives the same result.
        options: hooks (called after growth's own), pause guard, callbacks and checkpoint; as
            `GrowthOptions` a listener as well.

    Raises:
        UsageError: for a budget below one channel a group, an unknown policy, a space that is not
            made for the data, or a network of which no channel can go or no MACs can be counted.
        DivergedError: if the loss stops being finite.
        GrowsearchError: if the device of a latency budget cannot be asked, or a checkpoint is
            damaged or cannot be written.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.growth import Budget, GrowthConfig, grow
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
        >>> config = GrowthConfig(recipe=Recipe(epochs=2))
        >>> result = grow(space, data, budget=Budget(parameters=0.1), config=config)
        >>> result.parameters <= result.limit, result.limit / result.full_parameters <= 0.1
        (True, True)
    """
    config, options = config or GrowthConfig(), options or TrainingOptions()
    if not config.direct_design:
        return _grow(space, dataset, budget, config, seed, options)
    grown = _grow(space, dataset, budget, config, seed, growing_options(options))
    return train_directly(space, dataset, grown, recipe=config.recipe, seed=seed, options=options)


def _grow(
    space: SearchSpace,
    dataset: Data,
    budget: Budget,
    config: GrowthConfig,
    seed: int,
    options: TrainingOptions,
) -> GrowthResult:
    model = build_full(space, seed, config.init)
    task = task_for(space, dataset, model)
    costs = Costs.of(
        space, model, budget, grow_layers=config.grow_layers, latencies=latencies_of(options)
    )
    costs.growing.tell(space.name)
    gates = insert_gates(model, costs.growing.groups, costs.growing_units)
    hook = _make_hook(space, model, gates, task, costs, config, seed)
    if config.init is not None:
        order = trained_order(model, costs.structures, costs.growing.groups)
        hook.policy.prefer(~costs.structures.first_of_each(), order)
    seed_network = hook.policy.start()
    hook.surgeon.seed(seed_network)
    dense_macs = costs.dense_training_macs(task, config.recipe)

    def record(epoch: EpochRecord) -> GrowthRecord:
        return growth_record(
            costs, epoch, hook.changes[epoch.epoch - 1], dense_macs // config.recipe.epochs
        )

    with seeded(seed):
        epochs, _ = train(
            model,
            task,
            config.recipe,
            seed=seed,
            forward_macs=costs.macs.exact(costs.structures.counts(seed_network)),
            options=with_listener(
                dataclasses.replace(options, hooks=(hook, *options.hooks)), record
            ),
        )
    history = tuple(record(epoch) for epoch in epochs)
    result = make_result(space, model, costs, budget, history, dense_macs)
    if costs.latency is None:
        return result
    found = costs.latency.report(result.architecture, hook.changes[-1].live)
    return dataclasses.replace(result, latency=found)


def latencies_of(options: TrainingOptions) -> Latencies:
    """Return how a device is asked: with the options' lock, and where its answers are kept."""
    own = options if isinstance(options, GrowthOptions) else GrowthOptions()
    lock = own.lock
    if own.latency_file is not None:
        return Latencies(lock=lock, file=own.latency_file, known=own.latency_file.exists())
    checkpoint = options.checkpoint
    if checkpoint is None:
        return Latencies(lock=lock)
    file = checkpoint.with_name(f"{checkpoint.stem}.latency.json")
    return Latencies(lock=lock, file=file, known=checkpoint.exists())


def _make_hook(
    space: SearchSpace,
    model: nn.Module,
    gates: dict[str, Gate],
    task: Task,
    costs: Costs,
    config: GrowthConfig,
    seed: int,
) -> GrowthHook:
    generator = torch.Generator().manual_seed(seed ^ _GROWTH_STREAM)
    growth_task = GrowthTask(
        projection=costs.projection,
        config=config,
        steps_per_epoch=steps_per_epoch(task, config.recipe),
        generator=generator,
    )
    groups, units = costs.growing.groups, costs.growing_units
    rates = CohortRates(model, groups, units) if config.norms == "transfer" else None
    return GrowthHook(
        config=config,
        policy=make_policy(growth_task),
        projection=costs.projection,
        macs=costs.macs,
        gates=gates,
        bank=GateBank(gates, costs.structures),
        surgeon=Surgeon(
            model,
            groups,
            units,
            trained=config.init is not None,
            rows=scale_free_rows_of(space),
            norms=config.norms,
        ),
        task=task,
        generator=generator,
        changes=[],
        pace=Pace(
            by_compute=config.pace == "compute",
            matched=config.until == "match",
            uniform_macs=costs.macs.exact(
                costs.structures.counts(UniformWidth(growth_task).start())
            ),
            step_examples=examples_per_step(task, config.recipe),
        ),
        latency=costs.latency,
        rates=rates,
    )


def growth_record(
    costs: Costs, epoch: EpochRecord, change: Change, dense_macs_an_epoch: int
) -> GrowthRecord:
    """Return what an epoch was, and what its ``change`` left of the structure."""
    structures, whole = costs.structures, costs.growing.whole
    return GrowthRecord(
        epoch=epoch.epoch,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
        perplexity=epoch.perplexity,
        metrics=epoch.metrics,
        training_macs=epoch.training_macs,
        forward_macs=epoch.forward_macs,
        parameters=costs.parameters.exact(structures.counts(change.live)),
        live=_live(costs, change.live),
        units=units_a_stage(costs.units, structures, change.live, fixed=True),
        dormant=_positions(costs, change.dormant),
        dormant_units=units_a_stage(costs.units, structures, change.dormant, fixed=False),
        temperature=_by_name(structures, change.temperature),
        probability=_by_name(structures, change.probability),
        created=change.created,
        attached=change.attached,
        detached=change.detached,
        frozen=change.frozen,
        cost=change.cost,
        limit=costs.projection.limit,
        dense_training_macs=epoch.epoch * dense_macs_an_epoch,
        channels=structures.total - len(structures.inside) + sum(g.size for g in whole),
    )


def _positions(costs: Costs, mask: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the channels of ``mask`` (total,) by group, as positions within it."""
    found = costs.structures.indices(mask).items()
    return {n: tuple(c.tolist()) for n, c in found if n not in costs.structures.inside}


def _live(costs: Costs, mask: Tensor) -> dict[str, tuple[int, ...]]:
    """Return `_positions`, and all channels of the groups that keep theirs.

    Of those inside a unit that does not run there are none.
    """
    runs = costs.structures.split(mask)
    gone = {
        group for unit in costs.units if not runs.get(unit.name, _RUNS) for group in unit.groups
    }
    whole = {
        group.name: () if group.name in gone else tuple(range(group.size))
        for group in costs.growing.whole
    }
    return {**_positions(costs, mask), **whole}


def _by_name(structures: Structures, values: Tensor) -> dict[str, tuple[float, ...]]:
    """Return ``values`` (total,) by group or unit; nothing of an empty tensor."""
    if not len(values):
        return {}
    return {name: tuple(part.tolist()) for name, part in structures.split(values).items()}


def with_listener(
    options: TrainingOptions, record: Callable[[EpochRecord], GrowthRecord]
) -> TrainingOptions:
    """Let a listener hear of every epoch, after the callback that ``options`` have already."""
    listener = options.listener if isinstance(options, GrowthOptions) else None
    if listener is None:
        return options
    before_epoch, before_resume = options.on_epoch, options.on_resume

    def on_epoch(epoch: EpochRecord) -> None:
        if before_epoch is not None:
            before_epoch(epoch)
        listener.epoch(record(epoch))

    def on_resume(epochs: Sequence[EpochRecord]) -> None:
        if before_resume is not None:
            before_resume(epochs)
        listener.resumed([record(epoch) for epoch in epochs])

    return dataclasses.replace(options, on_epoch=on_epoch, on_resume=on_resume)


def make_result(
    space: SearchSpace,
    model: nn.Module,
    costs: Costs,
    budget: Budget,
    history: tuple[GrowthRecord, ...],
    dense_training_macs: int,
) -> GrowthResult:
    """Sum up a finished run; ``model`` is compact and plain."""
    last = history[-1]
    return GrowthResult(
        model=model,
        architecture=architecture_of(space, model),
        history=history,
        budget=budget,
        limit=costs.projection.limit,
        cost=last.cost,
        parameters=last.parameters,
        macs=last.forward_macs,
        full_parameters=costs.parameters.exact(costs.structures.sizes),
        full_macs=costs.macs.exact(costs.structures.sizes),
        training_macs=last.training_macs,
        dense_training_macs=dense_training_macs,
        kept=costs.growing.kept,
        staying=costs.staying,
        floor=costs.floor,
    )
