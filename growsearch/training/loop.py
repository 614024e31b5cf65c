"""How is a network trained? One seeded loop; hooks add masks, growth or anything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Dataset
from growsearch.errors import DivergedError
from growsearch.metrics import accuracy, predict
from growsearch.training.recipe import Recipe

# Forward once, backward twice: gradients of the inputs and of the weights (spec/cost_models.md).
TRAINING_PASSES = 3


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """What hooks see and may change while training goes on.

    ``forward_macs`` are the MACs of one example through the network as it is now (masked or grown);
    ``training_macs`` is the integral over steps so far. ``batch_examples`` is the size of the
    batch that the step in progress sees.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    steps_per_epoch: int
    forward_macs: int
    generator: torch.Generator
    epoch: int = 0
    step: int = 0
    training_macs: int = 0
    batch_examples: int = 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.recipe.epochs


class Hook:
    """Takes part in training; every method does nothing unless a subclass says otherwise."""

    def on_start(self, state: TrainingState) -> None:
        """Run once before the first step."""

    def before_update(self, state: TrainingState) -> bool:  # noqa: ARG002
        """Run when gradients are there; False replaces this step's weight update."""
        return True

    def after_update(self, state: TrainingState) -> None:
        """Run after every step, also one whose update was replaced."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Run after the last step of every epoch, before the evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of a training history."""

    epoch: int
    loss: float
    accuracy: float
    training_macs: int
    forward_macs: int


Guard = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How the loop behaves around the mathematics.

    ``guard`` is entered around every step, so that a measurement on the same machine can make
    training pause. ``on_epoch`` receives every record as it is made. ``channels_last`` lays images
    and convolutions out with channels innermost: faster where channels are many.
    """

    hooks: Sequence[Hook] = ()
    guard: Guard = field(default=nullcontext)
    on_epoch: Callable[[EpochRecord], None] | None = None
    channels_last: bool = False


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters into decayed weights and undecayed vectors (biases, BatchNorm)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over the model's parameters."""
    groups = parameter_groups(model, recipe.weight_decay)
    return recipe.optimizer.over(groups, recipe.learning_rate)


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the forward pass has the recipe's precision."""
    if recipe.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    forward_macs: int,
    options: TrainingOptions | None = None,
) -> tuple[list[EpochRecord], TrainingState]:
    """Train ``model`` in place and return its history and the final state.

    Args:
        model: maps inputs (N, ...) to logits (N, classes).
        dataset: the training split is learned, the validation split evaluated every epoch.
        recipe: the hyper-parameters.
        seed: orders the batches and feeds the hooks' random choices.
        forward_macs: effective MACs of one example at the start; hooks keep it current.
        options: hooks, pause guard and epoch callback.

    Raises:
        DivergedError: at the first loss that is not finite, with its epoch and step.
    """
    options = options or TrainingOptions()
    if options.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainingState(
        model=model,
        optimizer=make_optimizer(model, recipe),
        recipe=recipe,
        steps_per_epoch=max(1, len(dataset.train) // recipe.batch_size),
        forward_macs=forward_macs,
        generator=torch.Generator().manual_seed(seed),
    )
    for hook in options.hooks:
        hook.on_start(state)
    history = []
    for epoch in range(recipe.epochs):
        state.epoch = epoch
        record = _train_epoch(state, dataset, options)
        history.append(record)
        if options.on_epoch is not None:
            options.on_epoch(record)
    return history, state


def _train_epoch(state: TrainingState, dataset: Dataset, options: TrainingOptions) -> EpochRecord:
    state.model.train()
    losses = []
    for inputs, labels in _batches(dataset, state):
        if options.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with options.guard():
            losses.append(_step(state, inputs, labels, options.hooks))
    with options.guard():
        for hook in options.hooks:
            hook.on_epoch_end(state)
        logits = predict(state.model, dataset.validation.inputs)
    return EpochRecord(
        epoch=state.epoch + 1,
        loss=sum(losses) / len(losses),
        accuracy=accuracy(logits, dataset.validation.labels),
        training_macs=state.training_macs,
        forward_macs=state.forward_macs,
    )


def _batches(dataset: Dataset, state: TrainingState) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole, augmented batches in a fresh order; the rest waits for the next epoch."""
    split = dataset.train
    order = torch.randperm(len(split), generator=state.generator)
    size = min(state.recipe.batch_size, len(split))
    for start in range(0, state.steps_per_epoch * size, size):
        chosen = order[start : start + size]
        inputs = dataset.augmentation.apply(split.inputs[chosen], state.generator)
        yield inputs, split.labels[chosen]


def _step(state: TrainingState, inputs: Tensor, labels: Tensor, hooks: Sequence[Hook]) -> float:
    recipe, optimizer = state.recipe, state.optimizer
    state.batch_examples = len(labels)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate_at(state.step / state.total_steps)
    optimizer.zero_grad(set_to_none=True)
    with autocast(recipe, inputs.device):
        logits = state.model(inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    value = float(loss.detach())
    if not math.isfinite(value):
        raise DivergedError(
            f"the loss became {value} in epoch {state.epoch + 1}, step {state.step + 1}; "
            "lower the learning rate"
        )
    # A list: every hook sees the gradients, also when an earlier one has replaced the update.
    wanted = [hook.before_update(state) for hook in hooks]
    if all(wanted):
        _clip(optimizer, recipe.clip_norm)
        optimizer.step()
    state.step += 1
    state.training_macs += TRAINING_PASSES * state.forward_macs * len(labels)
    for hook in hooks:
        hook.after_update(state)
    return value


def _clip(optimizer: torch.optim.Optimizer, norm: float | None) -> None:
    """Scale all gradients down together, after the hooks have seen them as they are."""
    if norm is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, norm)
