"""Tasks on streamed data, and on images whose labels are mixed."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from growsearch.datasets import (
    AUGMENTATIONS,
    Dataset,
    Loading,
    Split,
    TaskChoice,
    from_torch,
    loaded_by,
    parse_augmentation,
)
from growsearch.errors import UsageError
from growsearch.growth.fits import check_fits
from growsearch.kinds import DataChoice
from growsearch.training import Recipe, task_of, train
from search_spaces import search_space

RECIPE = Recipe(epochs=2, batch_size=8)


class Wrong:
    metrics = {"wrong": "minimize"}  # noqa: RUF012

    def loss(self, outputs: Any, targets: Any) -> Any:
        return F.cross_entropy(outputs, targets)

    def scores(self, outputs: Any, targets: Any) -> Any:
        return {"wrong": (outputs.argmax(dim=1) != targets).float().mean()}


class Looks(Wrong):
    def scores(self, outputs: Any, targets: Any, inputs: Any = None) -> Any:
        return super().scores(outputs, targets)


def _parts(counts: tuple[int, ...] = (40, 16, 16)) -> list[Split]:
    generator = torch.Generator().manual_seed(0)
    return [
        Split(inputs=torch.rand(n, 1, 8, 8, generator=generator), labels=torch.arange(n) % 4)
        for n in counts
    ]


def _memory() -> Dataset:
    train, validation, test = _parts()
    return Dataset(name="own", train=train, validation=validation, test=test, num_classes=4)


def _streamed() -> Dataset:
    rows = [TensorDataset(part.inputs, part.labels) for part in _parts()]
    data = from_torch(rows[0], validation=rows[1], test=rows[2], num_classes=4)
    return loaded_by(data, Loading(workers=0))


def _trained(data: Dataset, recipe: Recipe = RECIPE) -> tuple[list[Any], list[torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, data.num_classes))
    history, _ = train(model, data, recipe, seed=0, forward_macs=256)
    return history, list(model.state_dict().values())


@pytest.mark.parametrize(
    "choice",
    [
        TaskChoice(name=f"{__name__}:Wrong"),
        TaskChoice(class_weights="balanced"),
        TaskChoice(loss="focal"),
    ],
    ids=str,
)
def test_a_task_learns_streamed_examples_as_those_in_memory(choice: TaskChoice) -> None:
    one, other = (
        _trained(dataclasses.replace(data, task=choice)) for data in (_memory(), _streamed())
    )
    assert one[0] == other[0]
    assert all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


def test_batches_that_share_a_step_and_an_average_may_be_streamed() -> None:
    recipe = Recipe(epochs=2, batch_size=4, accumulation=2, ema=0.9)
    assert _trained(_memory(), recipe)[0] == _trained(_streamed(), recipe)[0]


def test_an_own_task_is_tried_on_a_few_streamed_examples() -> None:
    data = dataclasses.replace(_streamed(), task=TaskChoice(name=f"{__name__}:Wrong"))
    check_fits(search_space("mlp-digits").for_data((1, 8, 8), 4), data)


def test_an_own_task_that_judges_by_all_inputs_is_refused_on_streamed_data() -> None:
    data = dataclasses.replace(_streamed(), task=TaskChoice(name=f"{__name__}:Looks"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(UsageError, match="is streamed, and this needs all of its inputs"):
        task_of(data).evaluate(model)


def test_streamed_classes_are_numbers_of_a_regression_and_no_several_labels() -> None:
    choice = DataChoice(name="given", task=TaskChoice(name="regression"))
    one, other = (_trained(choice.of(data).dataset) for data in (_memory(), _streamed()))
    assert one[0] == other[0]
    assert set(one[0][-1].metrics) == {"mse", "mae", "r2"}
    with pytest.raises(UsageError, match="has labels one an example; multi-label wants"):
        DataChoice(name="given", task=TaskChoice(name="multi-label")).of(_streamed())


def test_weights_of_classes_count_in_mixed_targets_as_their_shares_do() -> None:
    weights = (1.0, 2.0, 3.0, 4.0)
    task = task_of(dataclasses.replace(_memory(), task=TaskChoice(class_weights=weights)))
    logits = torch.tensor([[0.1, -0.3, 0.7, 0.2], [0.5, 0.0, -0.5, 0.4]])
    shares = torch.tensor([[0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    by_hand = -(shares * torch.tensor(weights) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert float(task.loss(logits, shares)) == pytest.approx(float(by_hand))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize(
    "choice",
    [
        TaskChoice(name="regression"),
        TaskChoice(name=f"{__name__}:Wrong"),
        TaskChoice(loss="focal"),
    ],
    ids=str,
)
def test_labels_are_mixed_where_they_are_classes_learned_by_cross_entropy_alone(
    name: str, choice: TaskChoice
) -> None:
    mixing = DataChoice(name="arrays", augmentation=parse_augmentation(name), task=choice)
    with pytest.raises(UsageError, match=r"augmentation: .* labels that are not mixed"):
        mixing.of(_memory())
    weighted = dataclasses.replace(mixing, task=TaskChoice(class_weights="balanced"))
    assert weighted.of(_memory()).dataset.augmentation == parse_augmentation(name)


@pytest.mark.parametrize("name", ["shift", "mirror", "random-resized-crop", "random-erasing"])
def test_images_with_numbers_or_several_labels_are_changed_as_wholes(name: str) -> None:
    assert name in AUGMENTATIONS
    memory, change = _memory(), parse_augmentation(name)
    columns = torch.rand(40, 4)
    for labels, task in ((columns, "regression"), (columns > 0.5, "multi-label")):
        parts = {
            key: Split(inputs=split.inputs, labels=labels[: len(split)])
            for key, split in (
                ("train", memory.train),
                ("validation", memory.validation),
                ("test", memory.test),
            )
        }
        data = dataclasses.replace(memory, **parts)
        choice = DataChoice(name="arrays", augmentation=change, task=TaskChoice(name=task))
        history, _ = _trained(choice.of(data).dataset)
        assert len(history) == RECIPE.epochs
