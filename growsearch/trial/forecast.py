"""What will a candidate cost? Told from its network, without a step of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cost_models import DEVICES, CostModelError, Workload, estimate, trace
from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import Budget, build_full
from growsearch.growth.costs import Costs
from growsearch.sparsity import Masks
from growsearch.tickets import backbone_weights
from growsearch.training import task_of
from growsearch.transforms import NO_TRANSFORM, SCHEDULED
from growsearch.trial.candidates import plan_sparse
from growsearch.trial.config import GrowthTrial, SparseTrial, TicketTrial, TrialConfig
from growsearch.trial.score import LATENCY_BATCH, fitted_profile, latency_metric
from search_spaces import SearchSpace, SearchSpaceError, search_space


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a candidate before it trains.

    Attributes:
        metrics: values that the trained network will have, by name. Masks keep each layer's
            non-zero count, so these are exact where the masks keep their sparsity; weights that
            training leaves at exactly 0 may make the trained network a little cheaper.
        least: values that the trained network will not be below: growth spends its budget up to
            less than the dearest channel.
        live: numbers that describe the network as it would be built.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    live: tuple[float, ...] = ()


# The length of `Forecast.live`.
LIVE_NUMBERS = 6


def forecast(
    config: TrialConfig, dataset: Dataset, devices: Mapping[str, Path | None], seed: int
) -> Forecast | None:
    """Build what ``config`` would train and count it; None if that cannot be built or counted.

    MACs, parameters and the latency of devices that are estimated are told: of sparse candidates
    whose masks keep their sparsity, all of them; where masks get sparser during training, the dense
    MACs alone; of growth, the budgeted count; of tickets, dense MACs and parameters.

    Args:
        config: the candidate.
        dataset: gives the network its shape, and data to saliencies.
        devices: with the profile to predict each latency from; None asks its analytic model, and
            leaves a measured device out.
        seed: the trial's own.
    """
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    try:
        if isinstance(config, GrowthTrial):
            return _grown(config, space)
        if isinstance(config, TicketTrial):
            networks = config.networks() or space
            fitted = networks.for_data(dataset.input_shape, dataset.num_classes)
            return _ticket(config, space, fitted)
        if config.grow is not None:
            # Which network will be masked, growing decides.
            return None
        return _sparse(config, space, dataset, devices, seed)
    except (UsageError, CostModelError, SearchSpaceError):
        # The trial itself will say why.
        return None


def _sparse(
    config: SparseTrial,
    space: SearchSpace,
    dataset: Dataset,
    devices: Mapping[str, Path | None],
    seed: int,
) -> Forecast:
    example, task = space.example_inputs(), task_of(dataset)
    plan = plan_sparse(config, build_full(space, seed), example, task, seed)
    work = trace(plan.module, example)
    metrics: dict[str, float] = {"dense_macs": work.dense_macs}
    if config.updater in SCHEDULED:
        # Which weights of which layer are left is what training decides.
        left = 1 - config.sparsity if config.transform == NO_TRANSFORM else 1.0
        return Forecast(metrics=metrics, live=_live(work, left * work.dense_macs))
    # Biases start at 0 and leave it: only what is masked stays away.
    masks = Masks.of(plan.module)
    masked = sum(masks[name].numel() - kept for name, kept in masks.nonzeros().items())
    metrics |= {"macs": work.effective_macs, "parameters": work.parameters - masked}
    for device, profile in devices.items():
        if profile is not None or DEVICES[device].kind != "measured":
            source = device if profile is None else fitted_profile(profile)
            cost = estimate(work, source, LATENCY_BATCH, "inference")
            metrics[latency_metric(device)] = cost.latency_s
    return Forecast(metrics=metrics, least=metrics, live=_live(work, work.effective_macs))


def _grown(config: GrowthTrial, space: SearchSpace) -> Forecast:
    metric = config.budget_metric
    budget = (
        Budget(parameters=config.budget) if metric == "parameters" else Budget(macs=config.budget)
    )
    module = build_full(space, seed=0)
    costs = Costs.of(space, module, budget)
    terms = costs.parameters if metric == "parameters" else costs.macs
    sizes, limit = list(costs.structures.sizes), costs.projection.limit
    full = terms.exact(sizes)
    # What one structure costs at most: in the full network, where all that it meets is there.
    dearest = max(
        full - terms.exact([*sizes[:place], size - 1, *sizes[place + 1 :]])
        for place, size in enumerate(sizes)
    )
    work = trace(module, space.example_inputs())
    return Forecast(
        metrics={metric: float(limit)},
        least={metric: float(limit - dearest)},
        live=_live(work, work.dense_macs * min(1.0, limit / full)),
    )


def _ticket(config: TicketTrial, source: SearchSpace, target: SearchSpace) -> Forecast:
    """Tell the number of zeros; in which layers they lie, the pretrained weights decide."""
    work = trace(build_full(target, seed=0), target.example_inputs())
    backbone = sum(w.numel() for w in backbone_weights(build_full(source, seed=0)).values())
    zeros = round(config.sparsity * backbone)
    live = _live(work, work.dense_macs * (1 - zeros / backbone))
    metrics: dict[str, float] = {"dense_macs": work.dense_macs}
    if config.granularity != "channel":
        # Whole channels come near that number only.
        metrics["parameters"] = work.parameters - zeros
    return Forecast(metrics=metrics, least=metrics, live=live)


def _live(work: Workload, macs: float) -> tuple[float, ...]:
    """Return logarithms of MACs, stored and active parameters, and the spread of layers."""
    layers = [layer for layer in work.layers if layer.dense_macs]
    kept = [layer.effective_macs / layer.dense_macs for layer in layers]
    share = macs / max(1, work.dense_macs)
    return (
        math.log(max(1.0, macs)),
        math.log(max(1, work.parameters)),
        math.log(max(1.0, share * work.parameters)),
        float(len(layers)),
        min(kept, default=1.0),
        float(torch.tensor(kept or [1.0]).std(correction=0)),
    )
