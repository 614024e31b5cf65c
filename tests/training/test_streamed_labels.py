"""Numbers, several labels and targets of own tasks, learned from streams as from memory."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import TensorDataset

from growsearch.datasets import (
    Dataset,
    Loading,
    TaskChoice,
    for_task,
    from_tensors,
    from_torch,
    loaded_by,
    parse_augmentation,
    with_augmentation,
)
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.growth.fits import check_fits
from growsearch.metrics import class_confusion, predict_split
from growsearch.training import InUnits, Recipe, TrainingOptions, task_of, train
from search_spaces import search_space

RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.02)


class Boxes:
    """Two boxes (2, 4) an example, by their absolute error."""

    metrics = {"error": "minimize"}  # noqa: RUF012

    def loss(self, outputs: Any, targets: Any) -> Any:
        return F.l1_loss(outputs.view(-1, 2, 4), targets)

    def scores(self, outputs: Any, targets: Any) -> Any:
        return {"error": (outputs.view(-1, 2, 4) - targets).abs().mean()}


def _images() -> torch.Tensor:
    drawn = torch.rand(80, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return (255 * drawn).to(torch.uint8)


def _labels(task: str) -> torch.Tensor:
    means = _images().float().flatten(1) / 255
    return {
        "regression": 500 + 100 * means.mean(dim=1),
        "multi-label": means[:, :3] > 0.5,
        f"{__name__}:Boxes": means[:, :8].view(-1, 2, 4),
    }[task]


TASKS = ("regression", "multi-label", f"{__name__}:Boxes")


class Rows(TorchDataset):
    """Images and labels that nothing lists; reads are counted."""

    def __init__(self, task: str) -> None:
        self.images, self.given, self.read = _images(), _labels(task), 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.read += 1
        return self.images[place], self.given[place]


class Noisy(Rows):
    """Draws from all three shared generators."""

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        image, label = super().__getitem__(place)
        return image, label + noise


def _in_place(data: Dataset) -> Dataset:
    return loaded_by(data, Loading(workers=0))


def _streamed(task: str) -> Dataset:
    return _in_place(from_torch(Rows(task), task=task))


def _memory(task: str) -> Dataset:
    return from_tensors(_images(), _labels(task), task=task)


def _trained(data: Dataset, **options: Any) -> tuple[list[Any], torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, data.num_classes), nn.Dropout(0.1))
    torch.manual_seed(1)
    history, _ = train(
        model, data, RECIPE, seed=5, forward_macs=1, options=TrainingOptions(**options)
    )
    return history, torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("change", ["none", "shift-mirror", "random-erasing"])
@pytest.mark.parametrize("task", TASKS)
def test_training_is_that_in_memory_to_the_bit(task: str, change: str) -> None:
    augmentation = parse_augmentation(change)
    found = [
        _trained(with_augmentation(data, augmentation)) for data in (_streamed(task), _memory(task))
    ]
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][0][-1].metrics


@pytest.mark.parametrize("task", TASKS)
def test_a_network_grows_by_streamed_labels_as_by_those_in_memory(task: str) -> None:
    results = []
    for data in (_streamed(task), _memory(task)):
        space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
        check_fits(space, data)
        config = GrowthConfig(recipe=RECIPE, birth="gradient")
        results.append(grow(space, data, budget=Budget(parameters=0.3), config=config, seed=0))
    assert results[0].history == results[1].history


@pytest.mark.parametrize("task", ["regression", f"{__name__}:Boxes"])
def test_a_run_resumed_at_an_epoch_ends_the_same(task: str, tmp_path: Path) -> None:
    data = _in_place(from_torch(Noisy(task), task=task))
    whole, wanted = _trained(data)

    class KilledError(Exception):
        pass

    def kill(record: Any) -> None:
        if record.epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        _trained(data, checkpoint=tmp_path / "checkpoint.safetensors", on_epoch=kill)
    np.random.seed(99)
    random.seed(99)
    # Of another process: nothing is known of its labels.
    again = _in_place(from_torch(Noisy(task), task=task))
    resumed, weights = _trained(again, checkpoint=tmp_path / "checkpoint.safetensors")
    assert resumed == whole
    assert torch.equal(weights, wanted)


@pytest.mark.parametrize("task", TASKS)
def test_predictions_have_their_labels(task: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, _memory(task).num_classes))
    pairs = [predict_split(model, data.test) for data in (_streamed(task), _memory(task))]
    for one, other in zip(*pairs, strict=True):
        assert torch.equal(one, other)


def test_no_confusion_is_made_of_streamed_numbers() -> None:
    data = _streamed("regression")
    with pytest.raises(UsageError, match="this data has numbers"):
        class_confusion(nn.Flatten(), data.test, classes=1)


def test_judging_a_finished_network_reads_its_split_alone() -> None:
    rows = Rows("regression")
    data = _in_place(from_torch(rows, task="regression"))
    known = task_of(_memory("regression"))
    model = InUnits(nn.Sequential(nn.Flatten(), nn.Linear(48, 1)), known.scale)
    before = rows.read
    scores = task_of(data).scores(model, data.test)
    assert rows.read == before + len(data.test)
    assert scores == known.scores(model, _memory("regression").test)


def test_balanced_weights_are_found_when_training_asks_for_them() -> None:
    rows = Rows("regression")
    rows.given = torch.arange(80) % 3 % 2
    data = _in_place(from_torch(rows, num_classes=2))
    before = rows.read
    task = task_of(for_task(data, TaskChoice(class_weights="balanced")))
    assert rows.read == before
    assert task.weight is not None
    assert rows.read == before + len(data.train)
    counts = data.train.labels.bincount().float()
    assert torch.allclose(task.weight, counts.sum() / (2 * counts))


def test_all_numbers_are_listed_by_a_tensor_dataset_and_nothing_is_read_for_the_scale() -> None:
    images, labels = _images(), _labels("regression")
    data = from_torch(TensorDataset(images, labels), task="regression")
    assert data.train.labels_are_known
    assert task_of(data).scale == task_of(_memory("regression")).scale
