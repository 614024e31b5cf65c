"""Streamed labels that cannot be learned, or are unlike the first: each is named, or refused."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from growsearch.datasets import (
    Dataset,
    Loading,
    TaskChoice,
    for_task,
    from_tensors,
    from_torch,
    loaded_by,
)
from growsearch.datasets.checking.consistency import check_dataset
from growsearch.errors import MachineError, UsageError

OWN = "my_tasks:Boxes"


class Rows(TorchDataset):
    """Four numbers an example, and the label of its place."""

    def __init__(self, labels: Any, listed: bool = False) -> None:
        self.values = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
        self.given = labels
        if listed:
            self.targets = labels

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, Any]:
        return self.values[place], self.given[place]


class River(IterableDataset):
    """Numbers in an order of their own."""

    def __init__(self, labels: Any) -> None:
        self.rows = Rows(labels)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Any:
        return (self.rows[place] for place in range(len(self.rows)))


def _numbers() -> torch.Tensor:
    return 100 + torch.randn(60, generator=torch.Generator().manual_seed(1))


def _marks() -> torch.Tensor:
    return torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) > 0.5


def _boxes() -> torch.Tensor:
    return torch.rand(60, 2, 4, generator=torch.Generator().manual_seed(1))


def _in_place(data: Dataset) -> Dataset:
    return loaded_by(data, Loading(workers=0))


_BROKEN: dict[str, tuple[str, Callable[[], Any], Any, str]] = {
    "nan": ("regression", _numbers, float("nan"), "has a label that is not finite"),
    "too large": ("regression", _numbers, 1e300, "has a label that is not finite"),
    "text": ("regression", _numbers, "much", "a label much of type str; a regression wants a num"),
    "nothing": ("regression", _numbers, None, "a label None of type NoneType"),
    "longer": (
        "regression",
        _numbers,
        torch.ones(2),
        r"has a label torch.float32 \(2,\), and the first one is torch.float32 \(\)",
    ),
    "square": ("regression", _numbers, torch.ones(2, 2), r"\(2, 2\); a regression wants"),
    "two": ("multi-label", _marks, [0, 1, 2], "has labels other than 0 and 1"),
    "half": ("multi-label", _marks, [0, 1, 0.5], "has labels other than 0 and 1"),
    "class": ("multi-label", _marks, 1, r"has a label torch.int64 \(\); multi-label wants \(K,\)"),
    "boxes": (OWN, _boxes, torch.ones(3, 4), "give all one shape and type"),
    "types": (OWN, _boxes, torch.ones(2, 4).long(), "give all one shape and type"),
    "dict": (OWN, _boxes, {"boxes": 1}, "of type dict; an own task wants numbers"),
    "ragged": (OWN, _boxes, [[1.0], [1.0, 2.0]], "of type list; an own task wants numbers"),
    "infinite": (OWN, _boxes, torch.full((2, 4), torch.inf), "a label that is not finite"),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_an_example_whose_label_is_not_as_the_first_is_named(name: str) -> None:
    task, labels, wrong, said = _BROKEN[name]
    rows = Rows([*labels()[:50], wrong, *labels()[51:]])
    fine = Rows(labels())
    split = _in_place(from_torch(rows, validation=fine, test=fine, task=task)).train
    with pytest.raises(MachineError, match=f"example 50 of own.*{said}"):
        list(split.batches(16))
    split = _in_place(from_torch(rows, validation=fine, test=fine, task=task)).train
    with pytest.raises(MachineError, match=f"example 50 of own.*{said}"):
        _ = split.labels


def test_an_example_of_a_pass_is_named() -> None:
    labels = _numbers()
    labels[7] = torch.nan
    parts = {"validation": River(_numbers()), "test": River(_numbers())}
    with pytest.raises(MachineError, match="example 7 of a pass through own has a label that"):
        from_torch(River(labels), **parts, task="regression")
    fine = _in_place(from_torch(River(_numbers()), **parts, task="regression"))
    assert torch.equal(fine.train.labels, _numbers())


@pytest.mark.parametrize(
    ("labels", "task", "keys", "said"),
    [
        (_numbers, None, {}, "state task='regression'"),
        (_marks, None, {}, "task='multi-label'"),
        (lambda: torch.zeros(60), "regression", {}, "all training labels are 0"),
        (
            lambda: torch.where(torch.arange(60) == 40, torch.nan, _numbers()),
            "regression",
            {},
            "example 40 of own has a label that is not finite",
        ),
        (lambda: torch.zeros(60, 2), "multi-label", {}, "no training example has any label"),
        (lambda: torch.ones(60, 1), "multi-label", {}, "for at least two labels"),
        (lambda: torch.zeros(60, 0), OWN, {}, r"has a label torch.float32 \(0,\)"),
        (_numbers, "regresion", {}, "unknown 'regresion'; valid: regression, multi-label"),
        (_numbers, "regression", {"num_classes": 3}, "regression has 1 targets an example; leave"),
        (_marks, "multi-label", {"num_classes": 4}, "multi-label has 3 targets"),
        (_boxes, OWN, {"num_classes": 0}, "whole number from 1"),
        (
            _boxes,
            OWN,
            {"test": Rows(_boxes()[:, 0])},
            r"own \(test\) has labels torch.float32 \(4,\), training has torch.float32 \(2, 4\)",
        ),
    ],
)
def test_labels_that_a_task_cannot_learn_are_refused(
    labels: Callable[[], Any], task: str | None, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        from_torch(Rows(labels(), listed=True), task=task, **keys)


@pytest.mark.parametrize(
    ("labels", "made", "asked", "said"),
    [
        (lambda: torch.arange(60) % 4, None, "multi-label", "has labels one an example; multi-l"),
        (_marks, "multi-label", "regression", "has labels several an example; regression wants"),
        (_boxes, OWN, "regression", "has labels of another kind; regression wants numbers"),
        (_numbers, "regression", "multi-label", "has labels numbers; multi-label wants"),
    ],
)
def test_streamed_labels_of_another_task_are_refused_as_those_in_memory(
    labels: Callable[[], torch.Tensor], made: str | None, asked: str, said: str
) -> None:
    streamed = from_torch(Rows(labels(), listed=True), task=made)
    memory = from_tensors(Rows(labels()).values, labels(), task=made)
    for data in (streamed, memory):
        with pytest.raises(UsageError, match=said):
            for_task(data, TaskChoice(name=asked))


@pytest.mark.parametrize("choice", [{"class_weights": "balanced"}, {"loss": "focal"}])
def test_what_goes_with_classes_is_refused_for_data_made_for_another_task(
    choice: dict[str, Any],
) -> None:
    for data in (
        from_torch(Rows(_numbers(), listed=True), task="regression"),
        from_tensors(Rows(_numbers()).values, _numbers(), task="regression"),
    ):
        with pytest.raises(UsageError, match=r"goes with classes.* not with the task regression"):
            for_task(data, TaskChoice(**choice))


def test_an_example_that_differs_from_the_list_is_named() -> None:
    rows = Rows(_numbers(), listed=True)
    rows.targets = rows.targets.clone()
    rows.targets[50] = 3.5
    data = _in_place(from_torch(rows, validation=rows, test=rows, task="regression"))
    with pytest.raises(MachineError, match=r"example 50 of own has label .*, and label 3\.5 in"):
        list(data.train.batches(16))


def test_a_streamed_data_set_whose_parts_do_not_fit_is_refused() -> None:
    data = from_torch(Rows(_numbers()), task="regression")
    with pytest.raises(UsageError, match="num_classes is 3, and train has 1 targets"):
        check_dataset(dataclasses.replace(data, num_classes=3), "dataset: own")
    other = from_torch(Rows(_marks()), task="multi-label")
    with pytest.raises(UsageError, match=r"test has labels torch.bool \(3,\) an example; give"):
        check_dataset(dataclasses.replace(data, test=other.test), "dataset: own")
