"""Transfer of a ticket to another task: fine-tuned whole, or under a new linear classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.sparsity import SparseTraining, make_updater
from growsearch.tickets.frozen import FrozenBackbone, backward_macs, freeze
from growsearch.tickets.pretraining import Pretrained
from growsearch.tickets.retargeting import retarget
from growsearch.tickets.ticket import Ticket
from growsearch.training import (
    EpochRecord,
    Hook,
    Recipe,
    TrainingOptions,
    examples_per_step,
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
    ``space`` has the task's networks where they are others than the pretraining's over the same
    backbone, such as a DeepLab-v3 for a class a pixel; all that they have beyond the backbone is
    new, and trained in both modes.

    Example:
        >>> from growsearch.tickets import TransferSettings
        >>> from growsearch.training import Recipe
        >>> TransferSettings(mode="linear", recipe=Recipe(epochs=5)).space is None
        True
    """

    mode: Mode
    recipe: Recipe
    space: SearchSpace | None = None

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
    """Train a ticket under a new head on ``data``; what it leaves out stays exactly zero.

    Args:
        pretrained: holds the weights that the ticket was drawn from; stays as it is.
        ticket: the masks.
        data: of the task: images of as many channels as the pretraining's, with one label each or
            one a pixel.
        settings: what is trained, and how.
        seed: of the new classifier and the batches.
        options: hooks, pause guard, checkpoint.

    Raises:
        UsageError: if the ticket is of other weights, or does not fit the task's images.
        DivergedError: if the loss stops being finite.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import DrawSettings, TransferSettings, draw, pretrain, transfer
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> source = from_tensors(images, torch.arange(4).repeat(10))
        >>> task = from_tensors(images, torch.arange(2).repeat(20))
        >>> recipe = Recipe(epochs=1)
        >>> pretrained = pretrain(search_space("mlp-digits"), source, recipe, seed=0)
        >>> ticket = draw(pretrained, DrawSettings(scheme="omp", sparsity=0.75)).ticket
        >>> settings = TransferSettings(mode="finetune", recipe=recipe)
        >>> found = transfer(pretrained, ticket, task, settings)
        >>> found.model(images[:3]).shape, len(found.history)
        (torch.Size([3, 2]), 1)
    """
    options = options or TrainingOptions()
    task = task_of(data)
    with options.guard():
        target = retarget(pretrained, data, seed, settings.space)
        model, example = target.model, target.space.example_inputs()
        masks = ticket.apply(model)
        profile = MacProfile.of(model, example)
    zeros = {name: masks[name].numel() - kept for name, kept in masks.nonzeros().items()}
    hooks: list[Hook] = [
        SparseTraining(masks, make_updater("static"), macs_per_weight=profile.per_weight)
    ]
    if settings.mode == "linear":
        freeze(model, but=target.new)
        hooks.append(FrozenBackbone(backward_macs(model, example, target.new, profile)))
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
        space=target.space,
        history=history,
        training_macs=state.training_macs,
        examples=state.total_steps * examples_per_step(task, settings.recipe),
        dense_macs=profile.dense_macs,
    )
