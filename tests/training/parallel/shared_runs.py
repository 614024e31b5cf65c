"""Runs that one worker or several make alike: plain, masked and growing ones."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.datasets import TaskChoice, from_tensors
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.sparsity import SparseTraining, macs_per_weight, make_updater, sparsify
from growsearch.training import SGD, Hook, Recipe, TrainingOptions, train
from growsearch.training.parallel.group import WorkerGroup
from growsearch.training.parallel.workers import ALONE
from search_spaces import search_space

SHAPE = (3, 8, 8)
RECIPE = Recipe(
    epochs=3, batch_size=24, learning_rate=0.05, warmup_epochs=0, optimizer=SGD(momentum=0.9)
)


def images():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(40)
    means = torch.randn((4, *SHAPE), generator=generator)
    inputs = means[labels] + 0.5 * torch.randn((160, *SHAPE), generator=generator)
    return from_tensors(inputs, labels)


def network(*, norm: bool = True, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 4),
    )


def options(size: int, *, sync: bool = True, **others: Any) -> TrainingOptions:
    if size > 1:
        others["workers"] = WorkerGroup(sync_batchnorm=sync)
    return TrainingOptions(**others)


def outcome(model: nn.Module, history: Any) -> dict[str, Any]:
    return {
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "losses": [record.loss for record in history],
        "accuracies": [record.accuracy for record in history],
        "macs": [record.training_macs for record in history],
        "names": [type(layer).__name__ for layer in model.modules()],
    }


def plain(_: int, size: int, settings: dict[str, Any], recipe: Recipe = RECIPE) -> dict[str, Any]:
    model = network(norm=settings.pop("norm", True), dropout=settings.pop("dropout", 0.0))
    history, state = train(
        model, images(), recipe, seed=0, forward_macs=10, options=options(size, **settings)
    )
    assert state.batch_examples == recipe.batch_size
    return outcome(model, history)


class Counting(WorkerGroup):
    """Counts how often gradients are added up."""

    sums = 0

    def add_up(self, tensors: Any) -> None:
        self.sums += 1
        super().add_up(tensors)


def counted(_: int, size: int, recipe: Recipe) -> dict[str, Any]:
    workers = Counting() if size > 1 else ALONE
    model = network()
    history, state = train(
        model, images(), recipe, seed=0, forward_macs=10, options=TrainingOptions(workers=workers)
    )
    assert state.batch_examples == recipe.batch_size * recipe.accumulation
    return {**outcome(model, history), "sums": getattr(workers, "sums", 0)}


def weighted(_: int, size: int) -> dict[str, Any]:
    """Class weights make the loss of a batch another than the mean of its parts' losses."""
    model = network()
    choice = TaskChoice(class_weights=(1.0, 2.0, 4.0, 8.0), loss="focal")
    task = dataclasses.replace(images(), task=choice)
    history, _state = train(model, task, RECIPE, seed=0, forward_macs=10, options=options(size))
    return outcome(model, history)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(inputs), inputs


def two_outputs(_: int) -> None:
    train(TwoOutputs(), images(), RECIPE, seed=0, forward_macs=1, options=options(2))


def masked(_: int, size: int, updater: str) -> dict[str, Any]:
    model = network()
    generator = torch.Generator().manual_seed(2)
    masks = sparsify(model, sparsity=0.7, generator=generator)
    costs = macs_per_weight(model, (torch.zeros(1, *SHAPE),))
    hook = SparseTraining(masks, make_updater(updater), macs_per_weight=costs, interval=4)
    history, _state = train(
        model, images(), RECIPE, seed=0, forward_macs=10, options=options(size, hooks=(hook,))
    )
    found = outcome(model, history)
    return {**found, "masks": {name: masks[name].clone() for name in masks.names}}


def growing(
    _: int, size: int, name: str, settings: dict[str, Any], budget: Budget, checkpoint: Path | None
) -> dict[str, Any]:
    data = images()
    space = search_space(name).for_data(data.input_shape, data.num_classes)
    result = grow(
        space,
        data,
        budget=budget,
        config=GrowthConfig(recipe=RECIPE, **settings),
        seed=3,
        options=options(size, checkpoint=checkpoint),
    )
    found = outcome(result.model, result.history)
    return {**found, "live": [record.live for record in result.history]}


class Killer(Hook):
    """Ends the process in the middle of an epoch, as a machine would."""

    def __init__(self, step: int | None) -> None:
        self._step = step

    def after_update(self, state: Any) -> None:
        if state.step == self._step:
            os._exit(1)

    def state(self) -> dict[str, Tensor]:
        return {}


def killed(
    rank: int, size: int, checkpoint: Path, step: int | None, recipe: Recipe = RECIPE
) -> dict[str, Any]:
    """One of the workers dies behind ``step``; the others find nobody there."""
    hook = Killer(step if rank == size - 1 else None)
    model = network(dropout=0.2)
    resumed: list[int] = []
    history, _ = train(
        model,
        images(),
        recipe,
        seed=0,
        forward_macs=10,
        options=options(
            size,
            hooks=(hook,),
            checkpoint=checkpoint,
            on_resume=lambda records: resumed.append(len(records)),
        ),
    )
    return {**outcome(model, history), "resumed": resumed}


class Stubborn(Hook):
    """Puts another mask into each worker's network in its second epoch."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._mask = torch.tensor([True, False])

    def on_epoch_end(self, state: Any) -> None:
        if state.epoch == 1 and self._rank:
            self._mask = ~self._mask

    def structure(self) -> dict[str, Tensor]:
        return {"mask": self._mask}


def differing(rank: int) -> None:
    hooks = (Stubborn(rank),)
    train(network(), images(), RECIPE, seed=0, forward_macs=1, options=options(2, hooks=hooks))


def differing_layers(rank: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4 + 4 * rank))
    train(model, images(), RECIPE, seed=0, forward_macs=1, options=options(2))


def refused_guard(rank: int) -> None:
    """The first worker's time is over in the third step."""
    entered = []

    def guard() -> Any:
        entered.append(1)
        if len(entered) > 2:
            raise TimeoutError("the time is over")
        return torch.enable_grad()

    train(network(), images(), RECIPE, seed=0, forward_macs=1, options=options(2, guard=guard))


def small_batches(_: int) -> None:
    recipe = Recipe(epochs=1, batch_size=1)
    train(network(), images(), recipe, seed=0, forward_macs=1, options=options(2))


def compiled(_: int) -> None:
    train(network(), images(), RECIPE, seed=0, forward_macs=1, options=options(2, compile=True))


def noise(rank: int) -> dict[str, Any]:
    """What layers draw in a forward pass, and what is drawn beside it."""
    torch.manual_seed(7)
    workers, device = WorkerGroup(), torch.device("cpu")
    drawn = []
    for _ in range(2):
        workers.begin(5, 0, device)
        with workers.reading():
            drawn.append(torch.rand(3))
    return {"inside": drawn, "outside": torch.rand(3)}


def failing_first(rank: int) -> Any:
    def work() -> int:
        raise OSError("the disk is full")

    return WorkerGroup().first(work)
