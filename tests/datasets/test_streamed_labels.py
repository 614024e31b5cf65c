"""Streamed labels that are no classes: numbers, several labels, and tensors for own tasks."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Subset, TensorDataset

from growsearch.datasets import (
    Loading,
    Split,
    TaskChoice,
    as_dataset,
    content_hash,
    for_task,
    from_tensors,
    from_torch,
    load_dataset,
    loaded_by,
    subset,
    summary_lines,
    with_augmentation,
)
from growsearch.datasets.augmentation import AUGMENTATIONS
from growsearch.datasets.checking.consistency import check_dataset
from growsearch.errors import UsageError

OWN = "my_tasks:Boxes"


class Rows(TorchDataset):
    """Four numbers an example, and the label of its place; counts what is read."""

    def __init__(self, labels: Any, listed: bool = False, examples: int = 60) -> None:
        self.values = torch.rand(examples, 4, generator=torch.Generator().manual_seed(0))
        self.given, self.read = labels, 0
        if listed:
            self.targets = labels

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, Any]:
        self.read += 1
        return self.values[place], self.given[place]


def _numbers() -> torch.Tensor:
    return 100 + torch.randn(60, generator=torch.Generator().manual_seed(1))


def _marks() -> torch.Tensor:
    return torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) > 0.5


def _boxes() -> torch.Tensor:
    return torch.rand(60, 2, 4, generator=torch.Generator().manual_seed(1))


def _in_place(dataset: Any) -> Any:
    return loaded_by(dataset, Loading(workers=0))


def _whole(split: Split) -> Split:
    return split.at(torch.arange(len(split)))


LABELS = {
    "one number": ("regression", _numbers),
    "numbers": ("regression", lambda: _boxes()[:, 0]),
    "a column": ("regression", lambda: _numbers()[:, None]),
    "several": ("multi-label", _marks),
    "tensors": (OWN, _boxes),
    "counts": (OWN, lambda: (5 * _boxes()).long()),
    "truth": (OWN, _marks),
}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("name", LABELS)
def test_labels_are_held_out_and_typed_as_those_in_memory(name: str, listed: bool) -> None:
    task, labels = LABELS[name][0], LABELS[name][1]()
    streamed = _in_place(from_torch(Rows(labels, listed), task=task))
    memory = from_tensors(Rows(labels).values, labels, task=task)
    assert streamed.num_classes == memory.num_classes
    assert streamed.task == memory.task
    assert streamed.train.labels_are_known == listed
    for part in ("train", "validation", "test"):
        one, other = streamed.split(part), memory.split(part)
        assert (one.label_shape, one.label_kind, one.label_type) == (
            other.label_shape,
            other.label_kind,
            other.label_type,
        )
        assert torch.equal(_whole(one).inputs, other.inputs)
        assert torch.equal(_whole(one).labels, other.labels)
        assert torch.equal(one.labels, other.labels)
        assert one.labels.dtype == other.labels.dtype
        batches = torch.cat([labels for _, labels in one.batches(7)])
        assert torch.equal(batches, other.labels)


@pytest.mark.parametrize(
    ("task", "label", "wanted"),
    [
        ("regression", 3, torch.tensor(3.0)),
        ("regression", 0.1, torch.tensor(0.1)),
        ("regression", np.float64(0.1), torch.tensor(0.1)),
        ("regression", np.uint16(7), torch.tensor(7.0)),
        ("regression", [0.5, 2], torch.tensor([0.5, 2.0])),
        ("regression", torch.tensor([1, 2], dtype=torch.int32), torch.tensor([1.0, 2.0])),
        ("regression", torch.tensor(0.5, dtype=torch.bfloat16), torch.tensor(0.5)),
        ("multi-label", (True, False), torch.tensor([True, False])),
        ("multi-label", np.array([0, 1], dtype=np.uint8), torch.tensor([False, True])),
        ("multi-label", torch.tensor([0.0, 1.0]), torch.tensor([False, True])),
        (OWN, np.float64(2.5), torch.tensor(2.5)),
        (OWN, np.zeros((2, 3), dtype=np.uint8), torch.zeros(2, 3, dtype=torch.int64)),
        (OWN, [torch.zeros(2), torch.ones(2)], torch.tensor([[0.0, 0.0], [1.0, 1.0]])),
    ],
)
def test_a_label_may_be_any_number_or_array(task: str, label: Any, wanted: torch.Tensor) -> None:
    rows = Rows([label] * 60)
    data = _in_place(from_torch(rows, validation=rows, test=rows, task=task))
    found = data.train.at(torch.arange(2)).labels
    assert torch.equal(found, torch.stack([wanted, wanted]))
    assert found.dtype == wanted.dtype


def test_a_list_of_labels_is_used_without_reading_examples() -> None:
    rows = Rows(_numbers().tolist(), listed=True)
    data = from_torch(rows, task="regression")
    assert data.train.labels_are_known
    assert torch.equal(torch.sort(torch.cat([s.labels for s in _parts(data)]))[0], _sorted())
    # The first example tells the kind, and whether inputs are images.
    assert rows.read == 2


def _parts(data: Any) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def _sorted() -> torch.Tensor:
    return torch.sort(_numbers())[0]


def test_a_list_of_something_else_is_left_alone() -> None:
    rows = Rows(_numbers(), listed=True)
    rows.targets = 2 * rows.targets
    data = _in_place(from_torch(rows, task="regression"))
    assert not data.train.labels_are_known
    assert torch.equal(torch.sort(torch.cat([s.labels for s in _parts(data)]))[0], _sorted())
    boxes = Rows(_boxes())
    boxes.labels = ["cat"] * 60
    assert not from_torch(boxes, task=OWN).train.labels_are_known


def test_torchs_wrappers_list_numbers_too() -> None:
    rows = TensorDataset(torch.rand(60, 4), _numbers())
    assert from_torch(rows, task="regression").train.labels_are_known
    part = Subset(Rows(_numbers(), listed=True), list(range(10, 50)))
    data = from_torch(part, task="regression")
    labels = torch.cat([split.labels for split in _parts(data)])
    assert torch.equal(torch.sort(labels)[0], torch.sort(_numbers()[10:50])[0])


def test_labels_are_read_once_for_all_parts_of_the_same_examples() -> None:
    rows = Rows(_numbers())
    data = _in_place(from_torch(rows, task="regression"))
    before = rows.read
    labels = data.train.labels
    assert rows.read == before + len(data.train)
    again = loaded_by(subset(data, train=20, validation=5, test=6), Loading(workers=0))
    assert torch.equal(torch.isin(again.train.labels, labels), torch.ones(20, dtype=torch.bool))
    assert torch.equal(pickle.loads(pickle.dumps(data)).train.labels, labels)
    assert torch.equal(data.train.labels, labels)
    assert rows.read == before + len(data.train)


def test_a_subset_of_numbers_is_that_of_memory_and_reads_nothing() -> None:
    rows = Rows(_numbers())
    streamed, memory = (
        from_torch(rows, task="regression"),
        from_tensors(rows.values, _numbers(), task="regression"),
    )
    before = rows.read
    part = subset(streamed, train=20, validation=len(memory.validation), test=3)
    assert rows.read == before
    wanted = subset(memory, train=20, validation=len(memory.validation), test=3)
    for one, other in zip(_parts(_in_place(part)), _parts(wanted), strict=True):
        assert torch.equal(one.labels, other.labels)


def test_classes_are_numbers_of_a_streamed_regression_as_in_memory() -> None:
    classes = torch.arange(60) % 4
    choice = TaskChoice(name="regression")
    streamed = for_task(_in_place(from_torch(Rows(classes, listed=True))), choice)
    memory = for_task(from_tensors(Rows(classes).values, classes), choice)
    assert (streamed.num_classes, streamed.task) == (memory.num_classes, memory.task)
    for one, other in zip(_parts(streamed), _parts(memory), strict=True):
        assert (one.label_kind, one.label_type) == (other.label_kind, other.label_type)
        assert torch.equal(_whole(one).labels, other.labels)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(torch.cat([y for _, y in one.batches(8)]), other.labels)


def test_own_classes_are_counted_or_stated() -> None:
    classes = torch.arange(60) % 4
    assert from_torch(Rows(classes, listed=True), task=OWN).num_classes == 4
    assert from_torch(Rows(classes, listed=True), task=OWN, num_classes=6).num_classes == 6
    said = Rows(classes)
    said.classes = ["a", "b", "c", "d", "e"]
    assert from_torch(said, task=OWN).num_classes == 5
    with pytest.raises(UsageError, match="does not say how many classes it has"):
        from_torch(Rows(classes), task=OWN)
    assert from_torch(Rows(_boxes()), task=OWN, num_classes=6).num_classes == 6


def test_a_stated_task_reaches_torchs_data_sets_by_any_way() -> None:
    choice = TaskChoice(name="regression")
    one = as_dataset(Rows(_numbers()), "own", choice)
    several = {part: Rows(_numbers()) for part in ("train", "validation", "test")}
    for data in (one, as_dataset(several, "own", choice)):
        assert (data.train.label_kind, data.task) == ("numbers", choice)
        check_dataset(data, "dataset: own")


@pytest.mark.parametrize("name", LABELS)
def test_the_hash_is_of_labels_of_every_kind(name: str) -> None:
    task, labels = LABELS[name][0], LABELS[name][1]()
    first = content_hash(from_torch(Rows(labels), task=task))
    assert first == content_hash(from_torch(Rows(labels, listed=True), task=task))
    changed = ~labels if labels.dtype == torch.bool else labels + 1
    assert first != content_hash(from_torch(Rows(changed), task=task))


def test_the_hash_of_streamed_classes_is_that_of_earlier_versions() -> None:
    data = from_torch(TensorDataset(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10)))
    assert content_hash(data) == "e4b4a828ff11"


@pytest.mark.parametrize(
    ("labels", "task", "listed", "said"),
    [
        (_numbers, "regression", True, "targets: 9"),
        (_numbers, "regression", False, "targets: a number"),
        (lambda: _boxes()[:, 0], "regression", False, "targets: 4 numbers"),
        (_marks, "multi-label", True, "labels: 3, each of"),
        (_marks, "multi-label", False, "labels: 3"),
        (_boxes, OWN, False, r"targets: (2, 4) an example"),
    ],
)
def test_the_summary_tells_what_is_known_and_reads_nothing(
    labels: Callable[[], Any], task: str, listed: bool, said: str
) -> None:
    rows = Rows(labels(), listed)
    data = from_torch(rows, task=task)
    before = rows.read
    lines = summary_lines(data)
    assert rows.read == before
    assert any(line.strip().startswith(said) for line in lines)
    needed = task == "regression" and not listed
    assert any("labels of the 49 training examples are not listed" in x for x in lines) == needed


def test_a_pass_for_labels_is_told_where_it_has_been_needed() -> None:
    data = _in_place(from_torch(Rows(torch.arange(60) % 2), num_classes=2))
    assert not any("not listed" in line for line in summary_lines(data))
    part = subset(data, train=20, validation=4, test=4)
    assert any("not listed" in line for line in summary_lines(part))
    weighted = for_task(
        from_torch(Rows(torch.arange(60) % 2), num_classes=2), TaskChoice(class_weights="balanced")
    )
    assert any("not listed" in line for line in summary_lines(weighted))


@pytest.mark.parametrize("task", ["regression", "multi-label"])
def test_images_with_other_labels_are_mirrored_and_never_mixed(task: str) -> None:
    labels = _numbers() if task == "regression" else _marks()
    images = (255 * torch.rand(60, 3, 4, 4)).to(torch.uint8)
    data = _in_place(from_torch(TensorDataset(images, labels), task=task))
    changed = with_augmentation(data, AUGMENTATIONS["shift-mirror"])
    inputs, wanted = next(iter(changed.train.batches(8)))
    _, found = changed.augmented(inputs, wanted, torch.Generator().manual_seed(0))
    assert torch.equal(found, wanted)
    with pytest.raises(UsageError, match="labels that are not mixed"):
        with_augmentation(data, AUGMENTATIONS["mixup"])


def test_own_code_named_in_a_study_gives_numbers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streamed_numbers.py").write_text(
        "import torch\n"
        "from torch.utils.data import TensorDataset\n\n"
        "def data():\n"
        "    values = torch.arange(160.0).view(40, 4)\n"
        "    return TensorDataset(values, values.sum(dim=1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = load_dataset("streamed_numbers:data", task=TaskChoice(name="regression"))
    assert data.train.streamed
    assert data.train.label_kind == "numbers"
    with pytest.raises(UsageError, match="task: in a study"):
        load_dataset("streamed_numbers:data")
