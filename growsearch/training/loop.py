"""Training loop, seeded; hooks add masks, growth or anything else."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Dataset
from growsearch.errors import DivergedError, UsageError
from growsearch.files import make_folder
from growsearch.metrics.placement import device_of
from growsearch.training.checkpoints.resume import Keeper
from growsearch.training.data_placement import placed_data
from growsearch.training.devices import device_for, move_optimizer, placed
from growsearch.training.epoch_steps import groups_of_epoch, rate_of_step
from growsearch.training.layout import (
    check_channels_last,
    lay_channels_last,
    with_channels_last,
)
from growsearch.training.loss_scale import LossScale
from growsearch.training.losses import Losses
from growsearch.training.parallel.structure import structure_of
from growsearch.training.parallel.workers import ALONE, Guard, Workers
from growsearch.training.recipes.parameter_groups import make_optimizer
from growsearch.training.recipes.recipe import Precision, Recipe
from growsearch.training.state import EpochRecord, Hook, TrainingState
from growsearch.training.tasks.accumulation import steps_per_epoch
from growsearch.training.tasks.task import Forward, InputsAndTargets, Scores, Task
from growsearch.training.tasks.task_of import task_of
from growsearch.training.weight_average import WeightAverage

# Forward once, backward twice: gradients of the inputs and of the weights (spec/cost_models.md).
TRAINING_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How the loop behaves around the mathematics.

    ``guard`` is entered around every step, so that a measurement on the same machine can make
    training pause. ``on_epoch`` receives every record as it is made. ``channels_last`` lays images
    and convolutions out with channels innermost: faster where channels are many. ``checkpoint`` is
    a file that is written at the end of every epoch; where it is there already, the run goes on
    from it and ends as it would have without the interruption, bit for bit. ``on_resume`` then
    receives the records so far.

    ``device`` is where the network trains: "auto", "cpu", "cuda", "cuda:1", "mps", "xpu" or any
    backend that torch knows here (see `training_device`); None is where the network is already. It
    goes there and comes back, as its data does, part by part or, where all of it fits, at once.
    What chance decides is drawn on the CPU: batches, structures and masks are the same everywhere.
    A checkpoint of one device is taken up on any other.

    ``precision`` takes the place of the recipe's. ``compile`` lets torch.compile make the training
    passes, of a network that grows once its structure is final.

    ``workers`` train the network together, each in its own process on its share of every batch; see
    `growsearch.training.parallel.group`. Each calls `train` alike. The first one writes the
    checkpoint, which all read; ``guard`` is the first one's.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.training import TrainingOptions
        >>> TrainingOptions(channels_last=True, checkpoint=Path("run.safetensors")).hooks
        ()
    """

    hooks: Sequence[Hook] = ()
    guard: Guard = field(default=nullcontext)
    on_epoch: Callable[[EpochRecord], None] | None = None
    channels_last: bool = False
    checkpoint: Path | None = None
    on_resume: Callable[[Sequence[EpochRecord]], None] | None = None
    device: str | None = None
    precision: Precision | None = None
    compile: bool = False
    workers: Workers = ALONE


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the forward pass has the recipe's precision."""
    if recipe.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, recipe.precision))


def train(
    model: nn.Module,
    dataset: Dataset | Task,
    recipe: Recipe,
    *,
    seed: int,
    forward_macs: int,
    options: TrainingOptions | None = None,
) -> tuple[list[EpochRecord], TrainingState]:
    """Train ``model`` in place and return its history and the final state.

    Args:
        model: maps inputs (N, ...) to logits (N, classes), or (N, T, words) of a text.
        dataset: the training split is learned, the validation split evaluated every epoch. A
            `Task` says how; of a data set alone, `task_of` tells by its labels.
        recipe: the hyper-parameters.
        seed: orders the batches and feeds the hooks' random choices.
        forward_macs: effective MACs of one example at the start; hooks keep it current.
        options: hooks, pause guard and epoch callback.

    Raises:
        DivergedError: at the first loss that is not finite, with its epoch and step.
        UsageError: for a device that is not there.
        GrowsearchError: if the checkpoint is damaged, of another run, or cannot be written.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Recipe, train
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> recipe = Recipe(epochs=20, learning_rate=1.0)
        >>> history, state = train(torch.nn.Linear(4, 4), data, recipe, seed=0, forward_macs=16)
        >>> history[-1].accuracy, state.training_macs
        (1.0, 31680)
    """
    options = options or TrainingOptions()
    average = None if recipe.ema is None else WeightAverage(recipe.ema)
    if average is not None:
        options = dataclasses.replace(options, hooks=(*options.hooks, average))
    task = task_of(dataset) if isinstance(dataset, Dataset) else dataset
    device = device_for(model, options.device)
    with placed(model, device):
        task = placed_data(task, device)
        used = recipe
        if options.precision is not None:
            used = dataclasses.replace(recipe, precision=options.precision)
        state = _started(model, task, used, seed, forward_macs, options)
        settings = {"seed": seed, **task.settings(), "recipe": recipe}
        history = _run(state, task, options, settings, average)
        if average is not None:
            average.settle(model)
            # Averages of norms that are not synchronised differ, and so may all by rounding.
            options.workers.agree(model)
        state.compiled = None
    move_optimizer(state.optimizer)
    return history, state


def _started(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    seed: int,
    forward_macs: int,
    options: TrainingOptions,
) -> TrainingState:
    """Return the state before the first step, of which the hooks have heard."""
    if options.channels_last:
        lay_channels_last(model)
    state = TrainingState(
        model=model,
        optimizer=make_optimizer(model, recipe),
        recipe=recipe,
        steps_per_epoch=steps_per_epoch(task, recipe),
        forward_macs=forward_macs,
        generator=torch.Generator().manual_seed(seed),
        scaling=LossScale(device_of(model)) if recipe.precision == "float16" else None,
    )
    workers, hooks = options.workers, options.hooks
    workers.check(
        batch_examples=task.batch_examples(recipe.batch_size),
        compiles=options.compile,
        device=device_of(model),
    )
    for hook in hooks:
        hook.on_start(state)
    workers.compare(functools.partial(structure_of, state, hooks), epoch=0)
    workers.agree(model)
    return state


def _run(
    state: TrainingState,
    task: Task,
    options: TrainingOptions,
    settings: Mapping[str, object],
    average: WeightAverage | None,
) -> list[EpochRecord]:
    """Train the epochs that a checkpoint has not, and return the whole history."""
    keeper, workers = _keeper(options, settings), options.workers
    # One that is quick must not take for an earlier run's what another has just written.
    kept = keeper is not None and workers.first(keeper.path.exists)
    history = [EpochRecord(**fields) for fields in keeper.resume(state)] if keeper and kept else []
    if history and options.on_resume is not None:
        options.on_resume(history)
    for epoch in range(len(history), state.recipe.epochs):
        state.epoch = epoch
        record = _train_epoch(state, task, options, average)
        history.append(record)
        if keeper is not None:
            workers.first(functools.partial(keeper.save, state, history))
        if options.on_epoch is not None:
            options.on_epoch(record)
    return history


def _keeper(options: TrainingOptions, settings: Mapping[str, object]) -> Keeper | None:
    if options.checkpoint is None:
        return None
    for hook in options.hooks:
        # Now rather than at the end of the first epoch.
        hook.state()
    make_folder(options.checkpoint.parent)
    return Keeper(path=options.checkpoint, hooks=options.hooks, settings=settings)


def _train_epoch(
    state: TrainingState, task: Task, options: TrainingOptions, average: WeightAverage | None
) -> EpochRecord:
    state.model.train()
    if options.channels_last:
        # Every epoch: hooks may have left fewer channels.
        check_channels_last(state.model)
    if options.compile:
        _compile(state, options)
    device, workers = device_of(state.model), options.workers
    workers.begin(state.epoch, state.generator.initial_seed(), device)
    losses = Losses(state.epoch, state.step)
    with losses.told_first():
        for forward, group in groups_of_epoch(state, task, options.hooks):
            with workers.guarded(options.guard):
                moved = [_moved(batch, device, options) for batch in group]
                _step(state, task, forward, moved, options, losses)
    with workers.guarded(options.guard):
        workers.agree(state.model)
        for hook in options.hooks:
            hook.on_epoch_end(state)
        workers.compare(functools.partial(structure_of, state, options.hooks), state.epoch + 1)
        scores = workers.first(functools.partial(_judged, state.model, task, average))
        _check_judged(scores, state.epoch + 1)
    return EpochRecord(
        epoch=state.epoch + 1,
        loss=losses.mean(),
        accuracy=scores.accuracy,
        training_macs=state.training_macs,
        forward_macs=state.forward_macs,
        perplexity=scores.perplexity,
        metrics=scores.metrics,
    )


def _judged(model: nn.Module, task: Task, average: WeightAverage | None) -> Scores:
    with nullcontext() if average is None else average.in_place(model):
        return task.evaluate(model)


def _check_judged(scores: Scores, epoch: int) -> None:
    for name, value in scores.metrics.items():
        if not math.isfinite(value):
            raise DivergedError(f"{name} became {value} in epoch {epoch}; lower the learning rate")


def _step(
    state: TrainingState,
    task: Task,
    forward: Forward,
    batches: Sequence[InputsAndTargets],
    options: TrainingOptions,
    losses: Losses,
) -> None:
    """Take one optimizer's step, of the mean gradient of ``batches``."""
    recipe, optimizer = state.recipe, state.optimizer
    hooks = options.hooks
    state.batch_examples = sum(len(targets) for _, targets in batches)
    rate = rate_of_step(state, hooks)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    _fill_gradients(state, task, forward, batches, options, losses)
    # A list: every hook sees the gradients, also when an earlier one has replaced the update.
    wanted = [hook.before_update(state) for hook in hooks]
    if all(wanted):
        _clip(optimizer, recipe.clip_norm)
        optimizer.step()
    state.step += 1
    state.training_macs += TRAINING_PASSES * state.forward_macs * state.batch_examples
    for hook in hooks:
        hook.after_update(state)


def _fill_gradients(
    state: TrainingState,
    task: Task,
    forward: Forward,
    batches: Sequence[InputsAndTargets],
    options: TrainingOptions,
    losses: Losses,
) -> None:
    """Fill in the mean gradient of ``batches``, unscaled, and note their mean loss.

    What other workers have is added once, to the gradient of all batches. In float16 all of these
    wait for the backward pass, which may have to be made again.
    """
    hooks = options.hooks

    def complete() -> None:
        options.workers.add_up(_gradients(state.model, hooks))

    values, waiting = [], []
    for batch in batches:
        loss = _loss(state, task, forward, batch, options)
        values.append(loss.detach())
        part = loss if len(batches) == 1 else loss / len(batches)
        if state.scaling is None:
            part.backward()  # type: ignore[no-untyped-call]
        else:
            waiting.append(part)
    losses.add(values[0] if len(values) == 1 else torch.stack(values).mean())
    if state.scaling is None:
        complete()
    else:

        def forget() -> None:
            for hook in hooks:
                hook.forget_gradients()

        total = waiting[0] if len(waiting) == 1 else torch.stack(waiting).sum()
        state.loss_scale = state.scaling.backward(total, state.optimizer, forget, complete)


def _gradients(model: nn.Module, hooks: Sequence[Hook]) -> Iterator[Tensor]:
    yield from (p.grad for p in model.parameters() if p.grad is not None)
    for hook in hooks:
        yield from hook.own_gradients()


def _loss(
    state: TrainingState,
    task: Task,
    forward: Forward,
    batch: InputsAndTargets,
    options: TrainingOptions,
) -> Tensor:
    """Return the loss of a batch, of all workers' examples, with the own ones' gradient's graph."""
    for hook in options.hooks:
        batch = hook.before_forward(state, batch)
    inputs, targets = batch
    workers, smoothing = options.workers, state.recipe.label_smoothing
    network = state.model if state.compiled is None else state.compiled
    with autocast(state.recipe, inputs.device):
        with workers.reading(), _enough_examples(len(inputs)):
            outputs = forward(network, workers.share(inputs))
        outputs = workers.whole(outputs, len(inputs))
        return task.loss(outputs, targets, inputs=inputs, label_smoothing=smoothing)


@contextmanager
def _enough_examples(examples: int) -> Iterator[None]:
    """Say what helps where a BatchNorm has too few values to take their variance."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            f"batch_size: a BatchNorm cannot learn from a batch of {examples} example(s) with one "
            "value a channel; take a batch_size of 2 or more, or more examples"
        ) from error


def _moved(
    batch: InputsAndTargets, device: torch.device, options: TrainingOptions
) -> InputsAndTargets:
    inputs, targets = batch[0].to(device), batch[1].to(device)
    return (with_channels_last(inputs) if options.channels_last else inputs), targets


def _compile(state: TrainingState, options: TrainingOptions) -> None:
    """Compile the network for the epoch to come and all after it, once no hook changes it."""
    if state.compiled is None and all(hook.is_settled() for hook in options.hooks):
        # Typed as a function, it is a module around the network.
        state.compiled = cast(nn.Module, torch.compile(state.model))


def _clip(optimizer: torch.optim.Optimizer, norm: float | None) -> None:
    """Scale all gradients down together, after the hooks have seen them as they are."""
    if norm is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, norm)
