"""Training state: what hooks and checkpoints share with the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.training.loss_scale import LossScale
from growsearch.training.recipes.recipe import Recipe
from growsearch.training.tasks.task import InputsAndTargets


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """What hooks see and may change while training goes on.

    ``forward_macs`` are the MACs of one example through the network as it is now (masked or grown);
    ``training_macs`` is the integral over steps so far. ``batch_examples`` is the size of the
    batch that the step in progress sees. The model, its gradients and batches are on one device,
    the generator is always the CPU's: draw on the CPU, then move the draw.

    ``loss_scale`` is what the loss was multiplied by before the backward pass, in float16, where
    ``scaling`` is there: gradients of parameters are divided by it already, those of other tensors
    are not. ``compiled`` is the network as torch.compile made it, where it is asked for.
    ``epoch_steps`` is the number of steps of the epoch in progress, ``epoch_start`` the step that
    it began with.
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
    epoch_start: int = 0
    epoch_steps: int = 0
    scaling: LossScale | None = None
    loss_scale: float = 1.0
    compiled: nn.Module | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, where no hook lengthens its epochs."""
        return self.steps_per_epoch * self.recipe.epochs


class Hook:
    """Takes part in training; every method does nothing unless a subclass says otherwise.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Hook, Recipe, TrainingOptions, train
        >>> class Rates(Hook):
        ...     def __init__(self):
        ...         self.rates = []
        ...     def on_epoch_end(self, state):
        ...         self.rates.append(round(state.optimizer.param_groups[0]["lr"], 3))
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> hook = Rates()
        >>> recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=64, warmup_epochs=0)
        >>> options = TrainingOptions(hooks=(hook,))
        >>> _ = train(torch.nn.Linear(4, 4), data, recipe, seed=0, forward_macs=16, options=options)
        >>> hook.rates
        [0.1, 0.05]
    """

    def on_start(self, state: TrainingState) -> None:
        """Run once before the first step."""

    def steps_of_epoch(self, state: TrainingState) -> int | None:  # noqa: ARG002
        """Return the steps of the epoch that begins; None is one pass over the examples."""
        return None

    def learning_rate(self, state: TrainingState) -> float | None:  # noqa: ARG002
        """Return that of the step in progress; None is the recipe's by the share of all steps."""
        return None

    def before_forward(self, state: TrainingState, batch: InputsAndTargets) -> InputsAndTargets:  # noqa: ARG002
        """Return the batch that the network shall learn in the place of ``batch``."""
        return batch

    def before_update(self, state: TrainingState) -> bool:  # noqa: ARG002
        """Run when gradients are there; False replaces this step's weight update."""
        return True

    def after_update(self, state: TrainingState) -> None:
        """Run after every step, also one whose update was replaced."""

    def forget_gradients(self) -> None:
        """Run when the backward pass overflowed float16 and is made again.

        Drop the gradients of tensors that are no parameters of the network.
        """

    def own_gradients(self) -> Sequence[Tensor]:
        """Return the gradients of tensors that are no parameters of the network.

        Where several workers train it together, the loop puts their sums in place.
        """
        return ()

    def structure(self) -> Mapping[str, Tensor]:
        """Return what the hook decided and must be the same on all workers of one run."""
        return {}

    def is_settled(self) -> bool:
        """Tell whether the network's layers stay as they are from here on, so as to compile it."""
        return True

    def on_epoch_end(self, state: TrainingState) -> None:
        """Run after the last step of every epoch, before the evaluation."""

    def settings(self) -> Mapping[str, object]:
        """Return what must be the same when a run goes on from a checkpoint."""
        return {}

    def state(self) -> Mapping[str, Tensor]:
        """Return all that changes while the hook takes part; asked for at the end of an epoch.

        Raises:
            UsageError: by default, as an incomplete checkpoint would resume another run.
        """
        raise UsageError(
            f"{type(self).__name__} cannot be kept in a checkpoint; give it the methods state() "
            "and load_state(), or train without a checkpoint"
        )

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take back what `state` returned; give the model the shape that it had then.

        The loop puts the model's own values, the optimizer's and the random streams in afterwards.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of a training history.

    ``accuracy`` is of classes only, ``perplexity`` of language models, and ``metrics`` are what
    other tasks are judged by.
    """

    epoch: int
    loss: float
    accuracy: float | None
    training_macs: int
    forward_macs: int
    perplexity: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
