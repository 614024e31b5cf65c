"""How good is a ticket on another task? Fine-tuned as a whole, or under a new linear classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.sparsity import SparseTraining, make_updater
from growsearch.tickets.backbone import classifier_name
from growsearch.tickets.learnable import freeze
from growsearch.tickets.on_target import start_of
from growsearch.tickets.pretraining import Pretrained
from growsearch.tickets.ticket import Ticket
from growsearch.training import (
    TRAINING_PASSES,
    EpochRecord,
    Hook,
    Recipe,
    TrainingOptions,
    TrainingState,
    task_of,
    train,
)
from growsearch.transforms import MacProfile
from search_spaces import SearchSpace

Mode = Literal["finetune", "linear"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """How a ticket is brought to a task.

    ``mode`` "finetune" trains all active weights and the new classifier, "linear" the classifier
    alone: weights, and BatchNorm's scale and shift, stay as they were drawn. In both BatchNorm's
    running statistics follow the task's data, as those of the dense network are not the ticket's.
    """

    mode: Mode
    recipe: Recipe

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"mode: unknown {self.mode!r}; valid: {', '.join(MODES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """A ticket on its task: the sparse network, with its masks, and how it got there."""

    model: nn.Module
    space: SearchSpace
    history: Sequence[EpochRecord]
    training_macs: int
    examples: int
    dense_macs: int


def transfer(
    pretrained: Pretrained,
    ticket: Ticket,
    data: Dataset,
    settings: TransferSettings,
    *,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> Transferred:
    """Train a ticket with a new classifier on ``data``; what it leaves out stays exactly zero.

    Args:
        pretrained: holds the weights that the ticket was drawn from; stays as it is.
        ticket: the masks.
        data: of the task: images of as many channels as the pretraining's.
        settings: what is trained, and how.
        seed: of the new classifier and the batches.
        options: hooks, pause guard, checkpoint.

    Raises:
        UsageError: if the ticket is of other weights, or does not fit the task's images.
        DivergedError: if the loss stops being finite.
    """
    options = options or TrainingOptions()
    task = task_of(data)
    with options.guard():
        model, space = start_of(pretrained, data, seed)
        masks = ticket.apply(model)
        profile = MacProfile.of(model, space.example_inputs())
    zeros = {name: masks[name].numel() - kept for name, kept in masks.nonzeros().items()}
    hooks: list[Hook] = [
        SparseTraining(masks, make_updater("static"), macs_per_weight=profile.per_weight)
    ]
    if settings.mode == "linear":
        classifier = f"{classifier_name(model)}."
        freeze(model, but=(classifier,))
        hooks.append(FrozenBackbone(_macs_of(classifier, profile)))
    history, state = train(
        model,
        task,
        settings.recipe,
        seed=seed,
        forward_macs=profile.macs(zeros),
        options=dataclasses.replace(options, hooks=(*hooks, *options.hooks)),
    )
    masks.check()
    freeze(model, but=("",))
    return Transferred(
        model=model,
        space=space,
        history=history,
        training_macs=state.training_macs,
        examples=state.total_steps * task.batch_examples(settings.recipe.batch_size),
        dense_macs=profile.dense_macs,
    )


class FrozenBackbone(Hook):
    """Counts a step in which the classifier alone has a backward pass.

    The whole network runs forward once; of the backward pass there is the gradient of the
    classifier's weights only.
    """

    def __init__(self, classifier_macs: int) -> None:
        """Prepare for one run; ``classifier_macs`` are those of one example, forward."""
        self._classifier_macs = classifier_macs

    def after_update(self, state: TrainingState) -> None:
        """Take back what the loop has charged for a whole backward pass."""
        there = state.forward_macs + self._classifier_macs
        saved = TRAINING_PASSES * state.forward_macs - there
        state.training_macs -= saved * state.batch_examples

    def state(self) -> Mapping[str, Tensor]:
        """Return nothing: nothing changes."""
        return {}


def _macs_of(layer: str, profile: MacProfile) -> int:
    return sum(
        profile.per_weight[name] * count
        for name, count in profile.weights.items()
        if name.startswith(layer)
    )
