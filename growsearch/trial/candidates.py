"""How is a trial of each kind trained? Growth, sparse training and tickets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.growth import GrowthConfig, grow
from growsearch.sparsity import Batch, Masks, Timetable
from growsearch.tickets import Ticket
from growsearch.training import (
    TRAINING_PASSES,
    EpochRecord,
    Task,
    TrainingOptions,
    mean_loss,
    task_of,
    train,
)
from growsearch.transforms import MacProfile, SparsePlan, sparse_plan
from growsearch.trial.config import (
    NO_TRANSFORM,
    GrowthTrial,
    SparseTrial,
    TicketTrial,
    TrialConfig,
)
from growsearch.trial.grow_first import base_of, make_budget, plain_history, structure_lines
from growsearch.trial.network import AppliedTransform, Network
from growsearch.trial.recording import Line, Recording
from growsearch.trial.ticket_work import TicketPlaces, train_ticket
from search_spaces import SearchSpace, search_space

# A mask update every 100 steps (RigL's default), but in short runs once an epoch and ten times at
# least.
_MOST_STEPS_BETWEEN_UPDATES = 100
_FEWEST_UPDATES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained network: the module, its description and how it got there.

    ``widths`` has, for every epoch of a grown network, the live channels of each group.
    ``training_macs`` contain ``dense_gradient_macs``, what mask updates took for the gradients of
    masked weights. ``mac_error`` is how far a transformed network's forward MACs are from the dense
    network's over the whole of sparse training, as a share. ``records`` has the lines of
    `Recording`, and of a grown network "structures": one `structure_line` an epoch. ``ticket`` is
    the one that the network started from, if it did.
    """

    model: nn.Module
    network: Network
    history: tuple[EpochRecord, ...]
    training_macs: int
    dense_training_macs: int
    widths: tuple[Mapping[str, int], ...] = field(default=())
    dense_gradient_macs: int = 0
    mac_error: float | None = None
    records: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    ticket: Ticket | None = None


def train_candidate(
    config: TrialConfig, dataset: Dataset, seed: int, options: TrainingOptions, places: TicketPlaces
) -> Candidate:
    """Train ``config``'s network on ``dataset``; the same seed gives the same network.

    ``places`` are where trials that start from tickets share their work.
    """
    if isinstance(config, TicketTrial):
        return _from_ticket(config, dataset, seed, options, places)
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    if isinstance(config, GrowthTrial):
        return _grown(config, space, dataset, seed, options)
    return _sparse(config, space, dataset, seed, options)


def _grown(
    config: GrowthTrial, space: SearchSpace, dataset: Dataset, seed: int, options: TrainingOptions
) -> Candidate:
    result = grow(
        space,
        dataset,
        budget=make_budget(config.budget_metric, config.budget),
        config=GrowthConfig(recipe=config.training.recipe()),
        seed=seed,
        options=options,
    )
    return Candidate(
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
        records=structure_lines(result),
    )


def _sparse(
    config: SparseTrial, space: SearchSpace, dataset: Dataset, seed: int, options: TrainingOptions
) -> Candidate:
    recipe, task = config.training.recipe(), task_of(dataset)
    example = space.example_inputs()
    base = base_of(config, space, dataset, seed, options)
    with options.guard():
        dense_macs = MacProfile.of(base.model, example).dense_macs
        plan = plan_sparse(config, base.model, example, task, seed)
        profile = MacProfile.of(plan.module, example)
    masks = Masks.of(plan.module)
    hook = plan.hook(profile.per_weight)
    sample = task.sample(recipe.batch_size, torch.Generator().manual_seed(seed))
    recording = Recording(masks, config.record, sample)
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
    examples = state.total_steps * task.batch_examples(recipe.batch_size)
    forward_part = state.training_macs - hook.dense_gradient_macs
    return Candidate(
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


def _from_ticket(
    config: TicketTrial, dataset: Dataset, seed: int, options: TrainingOptions, places: TicketPlaces
) -> Candidate:
    work = train_ticket(config, dataset, seed, options, places)
    model = work.transferred.model
    Masks.of(model).detach()
    return Candidate(
        model=model,
        network=Network(
            architecture=work.transferred.space.largest(),
            input_shape=dataset.input_shape,
            num_classes=dataset.num_classes,
        ),
        history=work.history,
        training_macs=work.training_macs,
        dense_training_macs=work.dense_training_macs,
        ticket=work.ticket,
    )


def plan_sparse(
    config: SparseTrial, dense: nn.Module, example: tuple[Tensor, ...], task: Task, seed: int
) -> SparsePlan:
    """Return the masked network and its updater for this trial's run."""
    recipe, settings = config.training.recipe(), config.settings()
    steps_per_epoch = task.steps_per_epoch(recipe.batch_size)
    steps = steps_per_epoch * recipe.epochs
    longest = min(_MOST_STEPS_BETWEEN_UPDATES, steps_per_epoch, steps // _FEWEST_UPDATES)
    batch = None
    if settings.needs_data:
        # One batch of the training data, as in SNIP; another stream than the masks'.
        inputs, targets = task.sample(recipe.batch_size, torch.Generator().manual_seed(seed))
        batch = Batch(inputs=inputs, labels=targets, loss=mean_loss)
    return sparse_plan(
        dense,
        settings,
        example,
        timetable=Timetable(steps=steps, interval=max(1, longest)),
        generator=torch.Generator().manual_seed(seed),
        batch=batch,
    )


def _applied(config: SparseTrial, plan: SparsePlan) -> AppliedTransform | None:
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
