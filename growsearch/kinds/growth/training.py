"""Training of growth candidates, and what a network that is to grow will cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cost_models import MachineLock, trace
from growsearch.datasets import Dataset
from growsearch.growth import (
    STRUCTURES,
    Budget,
    GrowthOptions,
    GrowthRecord,
    GrowthResult,
    build_full,
    grow,
    structure_line,
)
from growsearch.growth.costs import Costs
from growsearch.growth.growing_groups import GrowingGroups
from growsearch.growth.latency.model import Latencies
from growsearch.growth.staying import KEPT
from growsearch.kinds.artifact_cache import cached, shared_file
from growsearch.kinds.forecasts import Forecast, Reach, live_numbers
from growsearch.kinds.growth.bound import GrowthBound
from growsearch.kinds.growth.candidate import GrowthCandidate
from growsearch.kinds.network import Network
from growsearch.kinds.trained import Line, TrainedCandidate, TrainingContext
from growsearch.training import EpochRecord, TrainingOptions
from search_spaces import SearchSpace, search_space


def train_growth(
    config: GrowthCandidate, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Grow the candidate's network; see `growsearch.growth.grow`."""
    dataset = context.dataset
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    result = grow(
        space,
        context.data_for(space),
        budget=config.budget.budget(config.device_batch),
        config=config.config(),
        seed=context.seed,
        options=growing_options(
            options,
            context.lock,
            shared_profile(
                config,
                space,
                context,
                lambda latencies: Costs.of(
                    space,
                    build_full(space, seed=0),
                    config.budget.budget(config.device_batch),
                    grow_layers=config.layers,
                    latencies=latencies,
                ),
            ),
        ),
    )
    return trained_growth(result, dataset)


def trained_growth(result: GrowthResult, dataset: Dataset) -> TrainedCandidate:
    """Return a grown network with all that a trial keeps of it."""
    return TrainedCandidate(
        model=result.model,
        network=Network(
            architecture=result.architecture,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        ),
        history=plain_history(result),
        training_macs=result.training_macs,
        dense_training_macs=result.dense_training_macs,
        widths=tuple(record.widths for record in result.history),
        records={**structure_lines(result), **staying_lines(result)},
        metrics=budget_figures(result),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthEpoch(EpochRecord):
    """An epoch of growth: what every epoch has, and where the structure stands.

    ``cost`` is in the budget's unit and bounded by ``limit``; ``live_share`` the share of the full
    network's channels that run, ``training_saving`` the full network's training MACs so far divided
    by those spent.
    """

    cost: float
    limit: float
    live_share: float
    training_saving: float


class _Listener:
    """Tells whoever follows a trial of every epoch, with what growth says of it."""

    def __init__(self, options: TrainingOptions) -> None:
        self._options = options

    def epoch(self, record: GrowthRecord) -> None:
        if self._options.on_epoch is not None:
            self._options.on_epoch(growth_epoch(record))

    def resumed(self, records: Sequence[GrowthRecord]) -> None:
        if self._options.on_resume is not None:
            self._options.on_resume([growth_epoch(record) for record in records])


class LatencyBound(Protocol):
    """A candidate whose budget may be a latency."""

    @property
    def kind(self) -> str:
        """The kind's name."""
        ...

    @property
    def space(self) -> str:
        """The space's name."""
        ...

    @property
    def budget(self) -> GrowthBound:
        """The bound."""
        ...

    @property
    def device_batch(self) -> int:
        """Examples at once."""
        ...

    @property
    def layers(self) -> bool:
        """Whether units come and go, too."""
        ...


def shared_profile(
    config: LatencyBound,
    space: SearchSpace,
    context: TrainingContext,
    ask: Callable[[Latencies], object],
) -> Path | None:
    """Return the file with a latency budget's device profile, measured once a run and space.

    ``ask`` has the device timed, and the answers kept where it is told.
    """
    budget = config.budget.budget(config.device_batch)
    if budget.device is None:
        return None
    key = {
        "space": config.space,
        "shape": list(space.input_shape),
        "classes": space.num_classes,
        "device": budget.device,
        "batch": config.device_batch,
        "layers": config.layers,
        # Channels that may be pruned are not always those that may grow.
        **({} if config.kind == GrowthCandidate.kind else {"kind": config.kind}),
    }
    path = shared_file(context.run, "latency", key, ".json")

    def measure(_: Path) -> None:
        ask(Latencies(lock=context.lock, file=path))

    return cached(path, measure, lambda found: found)


def growing_options(
    options: TrainingOptions, lock: MachineLock | None, profile: Path | None
) -> GrowthOptions:
    """Let growth measure its device alone, and whoever follows the trial hear of its structure."""
    silent = dataclasses.replace(options, on_epoch=None, on_resume=None)
    fields = {f.name: getattr(silent, f.name) for f in dataclasses.fields(silent)}
    return GrowthOptions(**fields, lock=lock, listener=_Listener(options), latency_file=profile)


def growth_epoch(record: GrowthRecord) -> GrowthEpoch:
    """Return what whoever follows a trial hears of an epoch."""
    return GrowthEpoch(
        epoch=record.epoch,
        loss=record.loss,
        accuracy=record.accuracy,
        training_macs=record.training_macs,
        forward_macs=record.forward_macs,
        perplexity=record.perplexity,
        metrics=record.metrics,
        cost=record.cost,
        limit=record.limit,
        live_share=record.live_share,
        training_saving=record.training_saving,
    )


def budget_figures(result: GrowthResult) -> dict[str, float]:
    """Return what the budget came to, in its unit, and what the full network would be."""
    figures: dict[str, float] = {
        "full_parameters": result.full_parameters,
        "full_macs": result.full_macs,
        "budget_cost": result.cost,
        "budget_limit": result.limit,
    }
    if result.staying:
        figures |= {
            "kept_parameters_share": sum(each.parameters for each in result.staying),
            "kept_macs_share": sum(each.macs for each in result.staying),
            "budget_floor": result.floor,
        }
    found = result.latency
    if found is None:
        return figures
    return {
        **figures,
        "budget_latency_s": found.checked_s,
        "budget_noise": found.noise,
        "budget_fit_error": found.fit_error,
    }


def forecast_growth(
    bound: GrowthBound, space: SearchSpace, groups: GrowingGroups | None = None
) -> Forecast:
    """Tell what growth spends: of a count that is bounded, all but the dearest structure.

    ``groups`` say which may change, where it is not for gates to say.
    """
    module = build_full(space, seed=0)
    work = trace(module, space.example_inputs())
    if not bound.is_count:
        # A device says what a network costs there once it is asked.
        share = bound.value if bound.metric.startswith("latency[") else 1.0
        return Forecast(live=live_numbers(work, work.dense_macs * share))
    costs = Costs.of(space, module, bound.budget(), growing=groups)
    full, limit = costs.projection.terms.exact(costs.structures.sizes), costs.projection.limit
    return Forecast(
        metrics={bound.metric: float(limit)},
        least={bound.metric: float(limit - _dearest(costs))},
        live=live_numbers(work, work.dense_macs * min(1.0, limit / full)),
    )


def _dearest(costs: Costs) -> float:
    """Return what one structure costs at most: in the full network, where all it meets is there."""
    terms, sizes = costs.projection.terms, list(costs.structures.sizes)
    full = terms.exact(sizes)
    return max(
        full - terms.exact([*sizes[:place], size - 1, *sizes[place + 1 :]])
        for place, size in enumerate(sizes)
    )


def reach_of_budget(
    ends: Sequence[GrowthBound],
    space: SearchSpace,
    groups: GrowingGroups | None = None,
    slack: float = math.inf,
) -> Reach:
    """Return between what the counts of networks under any of a range of budgets lie.

    Args:
        ends: the range's, or all budgets that there are.
        space: of the networks.
        groups: as `forecast_growth` has them.
        slack: so many structures at a time may stay away for want of budget; math.inf: no network
            is certain to come near its budget.
    """
    module = build_full(space, seed=0)
    counted = [bound for bound in ends if bound.is_count]
    budgets = [bound.budget() for bound in counted] or [Budget(macs=1.0)]
    found = [Costs.of(space, module, budget, growing=groups) for budget in budgets]
    structures = found[0].structures
    terms = {"parameters": found[0].parameters, "macs": found[0].macs}
    least = {name: float(each.exact(structures.floors)) for name, each in terms.items()}
    most = {name: float(each.exact(structures.sizes)) for name, each in terms.items()}
    if counted:
        metric, limits = counted[0].metric, [costs.projection.limit for costs in found]
        most[metric] = min(most[metric], float(max(limits)))
        if slack < math.inf:
            near = float(min(limits)) - slack * _dearest(found[0])
            least[metric] = max(least[metric], near)
    return Reach(least=least, most=most)


def check_budget(space: SearchSpace, bound: GrowthBound) -> None:
    """Refuse a count that no network of the space can meet.

    Raises:
        UsageError: naming the value and the least budget.
    """
    if bound.is_count:
        Costs.of(space, build_full(space, seed=0), bound.budget())


def structure_lines(result: GrowthResult) -> dict[str, Sequence[Line]]:
    """Return what a trial keeps of its structures, epoch by epoch, by the name of its file."""
    return {STRUCTURES: [structure_line(record) for record in result.history]}


def staying_lines(result: GrowthResult) -> dict[str, Sequence[Line]]:
    """Return what a trial keeps of the layers that could not grow; nothing if all did."""
    return {KEPT: [each.line() for each in result.staying]} if result.staying else {}


def plain_history(result: GrowthResult) -> tuple[EpochRecord, ...]:
    """Return what every training run says of its epochs."""
    return tuple(
        EpochRecord(
            epoch=record.epoch,
            loss=record.loss,
            accuracy=record.accuracy,
            training_macs=record.training_macs,
            forward_macs=record.forward_macs,
            perplexity=record.perplexity,
            metrics=record.metrics,
        )
        for record in result.history
    )
