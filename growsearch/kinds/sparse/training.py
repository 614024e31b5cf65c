"""Training of sparse candidates, and what a network that is to be masked will cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cost_models import DEVICES, estimate, trace
from growsearch.growth import build_full
from growsearch.kinds.forecasts import Forecast, Reach, live_numbers
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.kind import ForecastContext
from growsearch.kinds.latency import LATENCY_BATCH, fitted_profile, latency_metric
from growsearch.kinds.network import AppliedTransform, Network
from growsearch.kinds.sparse.candidate import SparseCandidate
from growsearch.kinds.sparse.diagnostics import Recording
from growsearch.kinds.sparse.grow_first import base_of
from growsearch.kinds.trained import TrainedCandidate, TrainingContext
from growsearch.sparsity import Batch, Masks, Timetable, macs_per_weight, prunable_layers
from growsearch.sparsity.coverage import tell_coverage
from growsearch.sparsity.layers import frozen_weights
from growsearch.training import (
    TRAINING_PASSES,
    Task,
    TrainingOptions,
    examples_per_step,
    loss_on,
    steps_per_epoch,
    task_of,
    train,
)
from growsearch.training.devices import device_for
from growsearch.transforms import NO_TRANSFORM, SCHEDULED, MacProfile, SparsePlan, sparse_plan
from search_spaces import SearchSpace, search_space

# A mask update every 100 steps (RigL's default), but in short runs once an epoch and ten times at
# least.
_MAX_STEPS_BETWEEN_UPDATES = 100
_MIN_UPDATES = 10
_CPU = torch.device("cpu")


def train_sparse(
    config: SparseCandidate, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Mask the network, transformed or grown before, and train it."""
    dataset, seed = context.dataset, context.seed
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    recipe, example = config.training.recipe(), space.example_inputs()
    base = base_of(config, space, context, options)
    task = context.learning.task(base.model)
    with options.guard():
        dense_macs = MacProfile.of(base.model, example).dense_macs
        device = device_for(base.model, options.device)
        plan = plan_sparse(config, base.model, example, task, seed, device)
        profile = MacProfile.of(plan.module, example)
        tell_coverage(plan.module, example)
    masks = Masks.of(plan.module)
    hook = plan.hook(profile.per_weight)
    sample = task.sample(recipe.batch_size, torch.Generator().manual_seed(seed))
    loss = loss_on(task, sample[0])
    recording = Recording(masks, config.record, sample, loss)
    hooks = (hook, recording) if config.record else (hook,)
    history, state = train(
        plan.module,
        task,
        recipe,
        seed=seed,
        forward_macs=profile.macs(_zeros(masks)),
        options=dataclasses.replace(base.options(options), hooks=(*hooks, *options.hooks)),
    )
    masks.check()
    masks.detach()
    examples = state.total_steps * examples_per_step(task, recipe)
    forward_part = state.training_macs - hook.dense_gradient_macs
    return TrainedCandidate(
        model=plan.module,
        network=Network(
            architecture=base.architecture,
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
            transform=_applied(config, plan),
        ),
        history=base.behind(history),
        widths=base.all_widths(len(history)),
        training_macs=base.training_macs + state.training_macs,
        dense_training_macs=base.dense_macs_with(examples),
        dense_gradient_macs=hook.dense_gradient_macs,
        mac_error=(
            None
            if plan.match is None
            else forward_part / (TRAINING_PASSES * dense_macs * examples) - 1
        ),
        records={**base.records, **recording.records},
    )


def plan_sparse(
    config: SparseCandidate,
    dense: nn.Module,
    example: tuple[Tensor, ...],
    task: Task,
    seed: int,
    device: torch.device = _CPU,
) -> SparsePlan:
    """Return the masked network and its updater for this trial's run.

    Saliencies look at their batch on ``device``.
    """
    recipe, settings = config.training.recipe(), config.settings()
    an_epoch = steps_per_epoch(task, recipe)
    steps = an_epoch * recipe.epochs
    longest = min(_MAX_STEPS_BETWEEN_UPDATES, an_epoch, steps // _MIN_UPDATES)
    batch = None
    if settings.needs_data:
        # One batch of the training data, as in SNIP; another stream than the masks'.
        inputs, targets = task.sample(recipe.batch_size, torch.Generator().manual_seed(seed))
        inputs = inputs.to(device)
        batch = Batch(inputs=inputs, labels=targets.to(device), loss=loss_on(task, inputs))
    return sparse_plan(
        dense,
        settings,
        example,
        timetable=Timetable(steps=steps, interval=max(1, longest)),
        generator=torch.Generator().manual_seed(seed),
        batch=batch,
    )


def forecast_sparse(
    config: SparseCandidate, space: SearchSpace, context: ForecastContext
) -> Forecast:
    """Tell all costs where masks keep their sparsity, else the dense MACs alone."""
    example, task = space.example_inputs(), task_of(context.dataset)
    dense = build_full(space, context.seed, initial_weights(config.init))
    plan = plan_sparse(config, dense, example, task, context.seed)
    work = trace(plan.module, example)
    metrics: dict[str, float] = {"dense_macs": work.dense_macs}
    if config.updater in SCHEDULED:
        # Which weights of which layer are left is what training decides.
        left = 1 - config.sparsity if config.transform == NO_TRANSFORM else 1.0
        return Forecast(metrics=metrics, live=live_numbers(work, left * work.dense_macs))
    # Biases start at 0 and leave it: only what is masked stays away.
    masks = Masks.of(plan.module)
    masked = sum(masks[name].numel() - kept for name, kept in masks.nonzeros().items())
    metrics |= {"macs": work.effective_macs, "parameters": work.parameters - masked}
    for device, profile in context.devices.items():
        if profile is not None or DEVICES[device].kind != "measured":
            source = device if profile is None else fitted_profile(profile)
            cost = estimate(work, source, LATENCY_BATCH, "inference")
            metrics[latency_metric(device)] = cost.latency_s
    return Forecast(metrics=metrics, least=metrics, live=live_numbers(work, work.effective_macs))


def reach_of_masks(space: SearchSpace, sparsities: Sequence[float]) -> Reach:
    """Return between what the counts of masked networks of these sparsities lie.

    Whatever the ratios of the layers, so many weights are left, each of which works at least as
    often as one of the layer that works least.
    """
    example, module = space.example_inputs(), build_full(space, seed=0)
    work = trace(module, example)
    frozen = set(frozen_weights(module))
    weights = {each.name: each.weights for each in prunable_layers(module)}
    free = sum(count for name, count in weights.items() if name not in frozen)
    each_does = macs_per_weight(module, example)
    # The counts are rounded.
    left = max(0, free - round(max(sparsities) * free) - 1)
    least_macs = left * min((n for name, n in each_does.items() if name not in frozen), default=0)
    gone = max(0, round(min(sparsities) * free) - 1)
    return Reach(
        least={"parameters": float(work.parameters - free + left), "macs": float(least_macs)},
        most={"parameters": float(work.parameters - gone), "macs": float(work.dense_macs)},
    )


def _applied(config: SparseCandidate, plan: SparsePlan) -> AppliedTransform | None:
    """Return the transform that the network's description must name."""
    if config.transform == NO_TRANSFORM:
        return None
    return AppliedTransform(
        name=config.transform,
        sparsity=config.sparsity,
        activation=config.activation,
        sizes=plan.sizes,
    )


def _zeros(masks: Masks) -> dict[str, int]:
    return {name: masks[name].numel() - kept for name, kept in masks.nonzeros().items()}
