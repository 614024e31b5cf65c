"""Pruning a trained network to a budget while it trains on. See `prune`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth.budget.budget import Budget
from growsearch.growth.costs import Costs
from growsearch.growth.full_network import build_full
from growsearch.growth.gates.bank import GateBank
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.grow import latencies_of, make_result, with_listener
from growsearch.growth.latency.model import Latencies
from growsearch.growth.layers import units_a_stage
from growsearch.growth.learning_task import Data, task_for
from growsearch.growth.result import GrowthRecord
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.pruning.allocation.allocation import Request, Widths
from growsearch.pruning.config import PruneConfig
from growsearch.pruning.distillation import DistilledTask
from growsearch.pruning.hook import PruneHook, given_widths, least_widths, multiples_of
from growsearch.pruning.importance.importance import PruneTask
from growsearch.pruning.importance.registry import IMPORTANCES
from growsearch.pruning.prunable_groups import prunable_groups
from growsearch.pruning.result import PruneResult
from growsearch.training import EpochRecord, Task, TrainingOptions, steps_per_epoch, train
from search_spaces import SearchSpace, seeded
from search_spaces.module_space import module_space
from search_spaces.own_networks.whole_networks import copied

# Apart from the loop's own stream, so that every importance sees the same batches at a seed.
_PRUNING_STREAM = 0x7072756E


def prune(
    space: SearchSpace | nn.Module,
    dataset: Data,
    *,
    budget: Budget,
    config: PruneConfig | None = None,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> PruneResult:
    """Take channels and units from a trained network until it is within ``budget``; train it on.

    Layers that cannot lose channels (frozen ones, or what `trace_groups` could not prove) keep
    their width, which is logged and told by `PruneResult.kept` and `kept_share`.

    Args:
        space: a space made for the data, whose full network begins with ``config.init``; or a
            module with its weights, whose groups are traced. The module stays as it is.
        dataset: trained on its training split, evaluated every epoch on its validation split.
        budget: the upper bound on the network that is left.
        config: importance, allocation, schedule, distillation and recipe.
        seed: fixes batches and draws; the same seed gives the same result.
        options: as `growsearch.growth.grow` has them.

    Raises:
        UsageError: for a budget below the least network, weights that do not fit, or a network of
            which no channel can go or no MACs can be counted.
        DivergedError: if the loss stops being finite.
        GrowsearchError: if the device of a latency budget cannot be asked, or a checkpoint is
            damaged or cannot be written.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.growth import Budget
        >>> from growsearch.pruning import PruneConfig, prune
        >>> from growsearch.training import Recipe
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)
        ... )
        >>> config = PruneConfig(recipe=Recipe(epochs=2), steps=1)
        >>> result = prune(net, data, budget=Budget(macs=0.5), config=config)
        >>> result.macs, result.model[0].out_features, net[0].out_features
        (128, 16, 32)
    """
    config, options = config or PruneConfig(), options or TrainingOptions()
    space = _space(space, dataset)
    with options.guard():
        model = build_full(space, seed, config.init)
    task = task_for(space, dataset, model)
    costs = prune_costs(space, model, budget, config, latencies_of(options))
    costs.growing.tell(space.name)
    learned = _distilled(task, model, config)
    hook = _make_hook(model, task, costs, budget, config, seed)
    hook.teacher_macs *= learned is not task
    dense_macs = costs.dense_training_macs(task, config.recipe)
    record = _recorder(costs, hook, dense_macs // config.recipe.epochs)
    with seeded(seed):
        epochs, _ = train(
            model,
            learned,
            config.recipe,
            seed=seed,
            forward_macs=costs.macs.exact(costs.structures.sizes),
            options=with_listener(
                dataclasses.replace(options, hooks=(hook, *options.hooks)), record
            ),
        )
    grown = make_result(space, model, costs, budget, tuple(map(record, epochs)), dense_macs)
    if costs.latency is not None:
        found = costs.latency.report(grown.architecture, hook.history[-1])
        grown = dataclasses.replace(grown, latency=found)
    fields = {f.name: getattr(grown, f.name) for f in dataclasses.fields(grown)}
    return PruneResult(**fields, kept_share=_kept_share(costs))


def prune_costs(
    space: SearchSpace,
    model: nn.Module,
    budget: Budget,
    config: PruneConfig,
    latencies: Latencies | None = None,
) -> Costs:
    """Return what networks of ``space`` cost, checked: the budget can be met as configured.

    Raises:
        UsageError: if nothing may go, a pattern of shares fits no group, or the budget is below the
            least widths.
    """
    gated, timed = config.gated, budget.metric == "latency"
    groups = prunable_groups(space, model, gated=gated, timed=timed)
    if not groups.groups:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in groups.kept.items())
        raise UsageError(
            f"space: {type(model).__name__} cannot be pruned: no channels of it may go: "
            f"{reasons or 'it has no channel groups'}; search sparse trials, which need none"
        )
    costs = Costs.of(
        space,
        model,
        budget,
        grow_layers=config.prune_layers,
        latencies=latencies or Latencies(),
        growing=groups,
    )
    _check_shares(costs, config)
    _check_least(costs, budget, config)
    return costs


def _check_shares(costs: Costs, config: PruneConfig) -> None:
    names = [group.name for group in costs.growing.groups]
    for pattern in config.shares:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"shares.{pattern}: no group that may lose channels has such a name; there are: "
                f"{', '.join(names)}"
            )


def _check_least(costs: Costs, budget: Budget, config: PruneConfig) -> None:
    """Refuse a budget below the narrowest network that the settings allow."""
    structures = costs.structures
    request = Request(
        projection=costs.projection,
        scores=torch.zeros(structures.total),
        live=torch.ones(structures.total, dtype=torch.bool),
        multiples=multiples_of(costs, config),
        least=least_widths(costs, config),
        given=given_widths(costs, config),
    )
    widths = Widths(request)
    counts = [
        count if widths.is_given(group) else widths.least(group)
        for group, count in enumerate(widths.counts)
    ]
    if config.allocation == "uniform":
        # Units stay.
        counts = [1 if widths.is_unit(g) else count for g, count in enumerate(counts)]
    else:
        for group, inside in structures.groups_inside().items():
            for inner in inside:
                counts[inner] *= counts[group]
    least = widths.cost(counts)
    if least > widths.limit:
        share = least / widths.cost(list(structures.sizes))
        raise UsageError(
            f"budget.{budget.metric}: {budget.value} is below the narrowest network that "
            f"least_share = {config.least_share:g}, shares and width_multiple = "
            f"{config.width_multiple} allow, {100 * share:.1f} % of the full one; give more, or "
            "lower these"
        )


def _space(space: SearchSpace | nn.Module, dataset: Data) -> SearchSpace:
    if not isinstance(space, nn.Module):
        return space
    if not isinstance(dataset, Dataset):
        raise UsageError("space: a module is pruned on a data set; give a search space for texts")
    return module_space(space, dataset.input_shape, dataset.num_classes)


def _distilled(task: Task, model: nn.Module, config: PruneConfig) -> Task:
    if not config.distillation.listens:
        return task
    return DistilledTask(task, copied(model), config.distillation)


def _make_hook(
    model: nn.Module, task: Task, costs: Costs, budget: Budget, config: PruneConfig, seed: int
) -> PruneHook:
    generator = torch.Generator().manual_seed(seed ^ _PRUNING_STREAM)
    steps = steps_per_epoch(task, config.recipe)
    recipe, projection = config.recipe, costs.projection
    importance = IMPORTANCES[config.importance](
        PruneTask(
            projection=projection,
            recipe=recipe,
            epochs=max(1, round(config.over * recipe.epochs)),
            steps_per_epoch=steps,
            generator=generator,
        )
    )
    bank = None
    if config.gated:
        gates = insert_gates(model, costs.growing.groups, costs.growing_units)
        bank = GateBank(gates, costs.structures)
    full = projection.terms.exact(costs.structures.sizes)
    return PruneHook(
        config=config,
        budget=budget,
        costs=costs,
        importance=importance,
        surgeon=Surgeon(model, costs.growing.groups, costs.growing_units, trained=True),
        bank=bank,
        task=task,
        generator=generator,
        points=config.points(steps * recipe.epochs),
        limits=config.limits(full, projection.limit),
        teacher_macs=costs.macs.exact(costs.structures.sizes),
        history=[],
        costs_by_epoch=[],
    )


def _recorder(
    costs: Costs, hook: PruneHook, dense_macs_an_epoch: int
) -> Callable[[EpochRecord], GrowthRecord]:
    structures, whole = costs.structures, costs.growing.whole
    others = {group.name: tuple(range(group.size)) for group in whole}

    def live_of(mask: Tensor) -> dict[str, tuple[int, ...]]:
        found = structures.indices(mask).items()
        return {n: tuple(c.tolist()) for n, c in found if n not in structures.inside} | others

    def record(epoch: EpochRecord) -> GrowthRecord:
        place = epoch.epoch - 1
        live = hook.history[place]
        before = hook.history[place - 1] if place else torch.ones_like(live)
        return GrowthRecord(
            epoch=epoch.epoch,
            loss=epoch.loss,
            accuracy=epoch.accuracy,
            perplexity=epoch.perplexity,
            metrics=epoch.metrics,
            training_macs=epoch.training_macs,
            forward_macs=epoch.forward_macs,
            parameters=costs.parameters.exact(structures.counts(live)),
            live=live_of(live),
            units=units_a_stage(costs.units, structures, live, fixed=True),
            dormant={},
            dormant_units={},
            temperature={},
            probability={},
            created=0,
            attached=0,
            detached=int((before & ~live).sum()),
            frozen=bool(torch.equal(live, hook.history[-1])),
            cost=hook.costs_by_epoch[place],
            limit=costs.projection.limit,
            dense_training_macs=epoch.epoch * dense_macs_an_epoch,
            channels=structures.total - len(structures.inside) + sum(g.size for g in whole),
        )

    return record


def _kept_share(costs: Costs) -> float:
    """Return the cost of the network with one channel a group that may go, as a share."""
    terms, structures = costs.projection.terms, costs.structures
    return float(terms.exact(structures.floors) / terms.exact(structures.sizes))
