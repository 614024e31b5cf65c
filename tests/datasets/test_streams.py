import dataclasses
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from growsearch.datasets import (
    AUGMENTATIONS,
    Dataset,
    Loading,
    Normalisation,
    Split,
    as_dataset,
    content_hash,
    from_torch,
    loaded_by,
    subset,
    summary_lines,
    with_augmentation,
)
from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.metrics import METRICS, MetricSettings, accuracy, evaluate, predict_split
from growsearch.training import Recipe, TrainingOptions, task_of, train

IN_PLACE = Loading(workers=0)
TWO = Loading(workers=2)


class Rows(TorchDataset):
    """Four numbers an example, their class the place of the largest; labels are listed."""

    def __init__(self, count=64, listed=True):
        values = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
        classes = torch.arange(count) % 4
        self.values = values + 3 * torch.eye(4)[classes]
        self.classes_ = classes
        if listed:
            self.targets = classes.tolist()
        self.num_classes = 4

    def __len__(self):
        return len(self.values)

    def __getitem__(self, place):
        return self.values[place], int(self.classes_[place])


class Noisy(Rows):
    """Draws from all three generators, as careless augmentation does."""

    def __getitem__(self, place):
        noise = random.random() + np.random.rand() + float(torch.rand(()))
        return self.values[place] + 0.1 * noise, int(self.classes_[place])


class Pictures(TorchDataset):
    """Images (3, 8, 8) uint8, class 1 the brighter ones."""

    classes = ("dark", "bright")

    def __init__(self, count=60):
        drawn = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        self.targets = torch.arange(count) % 2
        self.images = (100 * drawn + 155 * self.targets.view(-1, 1, 1, 1) * 0.6).to(torch.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        return self.images[place], self.targets[place]


class River(IterableDataset):
    """Rows in an order of their own, another one every epoch."""

    num_classes = 4

    def __init__(self, count=64, promised=None):
        self.rows, self.count, self.epoch = Rows(count), promised or count, 0

    def __len__(self):
        return self.count

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        for place in torch.randperm(len(self.rows), generator=generator).tolist():
            yield self.rows[place]


def rivers():
    return {"train": River(), "validation": River(16), "test": River(16)}


def _in_memory(dataset: Dataset) -> Dataset:
    """The same data with all inputs in memory."""
    parts = {}
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        parts[name] = split.at(torch.arange(len(split)))
    return dataclasses.replace(dataset, **parts)


def _trained(dataset, *, epochs=2, batch=16, checkpoint=None, seed=5):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(int(np.prod(dataset.input_shape)), 8),
        nn.Dropout(0.2),
        nn.ReLU(),
        nn.Linear(8, dataset.num_classes),
    )
    recipe = Recipe(epochs=epochs, batch_size=batch, learning_rate=0.05)
    options = TrainingOptions(checkpoint=checkpoint)
    torch.manual_seed(1)
    history, _ = train(model, dataset, recipe, seed=seed, forward_macs=1, options=options)
    return history, torch.cat([p.detach().flatten() for p in model.parameters()])


def _batches(dataset, seed=3, size=16):
    task = task_of(dataset)
    return list(task.batches(size, torch.Generator().manual_seed(seed)))


def _same(first, second):
    return all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("loading", [IN_PLACE, TWO])
def test_streamed_training_is_training_in_memory_to_the_bit(loading):
    streamed = loaded_by(from_torch(Rows()), loading)
    assert streamed.train.streamed
    history, weights = _trained(streamed)
    expected, wanted = _trained(_in_memory(streamed))
    assert history == expected
    assert torch.equal(weights, wanted)


def test_augmented_images_are_the_same_streamed_or_not():
    streamed = with_augmentation(from_torch(Pictures()), AUGMENTATIONS["shift-mirror"])
    assert _same(_batches(loaded_by(streamed, TWO)), _batches(_in_memory(streamed)))


@pytest.mark.parametrize("data", [Noisy, rivers])
def test_batches_are_the_same_whatever_the_number_of_workers(data):
    dataset = as_dataset(data(), "own")
    found = [_batches(loaded_by(dataset, Loading(workers=count))) for count in (0, 1, 2)]
    assert _same(found[0], found[1])
    assert _same(found[0], found[2])
    assert not _same(found[0], _batches(loaded_by(dataset, IN_PLACE), seed=4))


@pytest.mark.parametrize("loading", [IN_PLACE, TWO])
@pytest.mark.parametrize("data", [Noisy, rivers])
def test_a_run_resumed_from_a_checkpoint_sees_the_same_batches(loading, data, tmp_path):
    dataset = loaded_by(as_dataset(data(), "own"), loading)
    whole, wanted = _trained(dataset)

    class KilledError(Exception):
        pass

    def kill(record):
        if record.epoch == 1:
            raise KilledError

    file = tmp_path / "checkpoint.safetensors"
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 4)
    )
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.05)
    torch.manual_seed(1)
    options = TrainingOptions(checkpoint=file, on_epoch=kill)
    with pytest.raises(KilledError):
        train(model, dataset, recipe, seed=5, forward_macs=1, options=options)
    # Whatever was drawn meanwhile.
    torch.manual_seed(99)
    np.random.seed(99)
    resumed, weights = _trained(dataset, checkpoint=file)
    assert resumed == whole
    assert torch.equal(weights, wanted)


def test_reading_leaves_the_shared_generators_alone():
    dataset = loaded_by(from_torch(Noisy()), IN_PLACE)
    torch.manual_seed(7)
    np.random.seed(7)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(7)
    np.random.seed(7)
    _batches(dataset)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_a_tenth_is_held_out_for_each_split_by_class():
    data = from_torch(Rows(80))
    assert (len(data.train), len(data.validation), len(data.test)) == (65, 7, 8)
    assert data.num_classes == 4
    assert data.test.labels.bincount().tolist() == [2, 2, 2, 2]
    together = torch.cat(
        [s.at(torch.arange(len(s))).inputs for s in (data.train, data.validation, data.test)]
    )
    assert len(together.unique(dim=0)) == 80


def test_images_are_normalised_by_the_training_images():
    data = from_torch(Pictures())
    images = data.train.at(torch.arange(len(data.train))).inputs
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    assert data.normalisation != Normalisation()
    assert data.num_classes == 2


def test_what_needs_all_inputs_is_refused_by_name():
    data = from_torch(Rows())
    with pytest.raises(UsageError, match=r"own is streamed.*raise data\.memory"):
        _ = data.train.inputs


@pytest.mark.parametrize(
    "name",
    sorted(n for n, m in METRICS.items() if m.measure.labels in (None, "one an example")),
)
def test_every_measure_of_a_classifier_is_the_same_streamed_or_not(name):
    streamed = from_torch(Pictures())
    settings = MetricSettings(normalisation=streamed.normalisation, attacked=10, certified=3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    found = evaluate([name], model, loaded_by(streamed, IN_PLACE).validation, settings)
    assert found == evaluate([name], model, _in_memory(streamed).validation, settings)


def test_predictions_have_their_labels():
    data = loaded_by(from_torch(Rows(40), validation=Rows(1030)), TWO)
    model = nn.Linear(4, 4, bias=False)
    model.weight.data.copy_(torch.eye(4))
    logits, labels = predict_split(model, data.validation)
    assert torch.equal(logits, Rows(1030).values)
    assert labels.tolist() == Rows(1030).targets
    assert accuracy(logits, labels) > 0.9


def test_a_subset_is_stratified_and_stays_streamed():
    data = subset(from_torch(Rows(80)), train=20, validation=4, test=4)
    assert data.train.streamed
    assert data.train.labels.bincount().tolist() == [5, 5, 5, 5]
    assert len(_batches(data)) == 1


def test_labels_that_are_not_listed_are_read():
    data = from_torch(Rows(40, listed=False))
    assert not data.train.labels_are_known
    assert sorted(
        torch.cat([s.labels for s in (data.train, data.validation, data.test)]).tolist()
    ) == sorted(Rows(40).targets)
    assert data.train.labels_are_known


@pytest.mark.parametrize(
    ("dataset", "labels"),
    [
        (TensorDataset(torch.rand(40, 4), torch.arange(40) % 2), [i % 2 for i in range(40)]),
        (Subset(Rows(80), range(10, 50)), [i % 4 for i in range(10, 50)]),
    ],
)
def test_torchs_own_wrappers_list_their_labels(dataset, labels):
    parts = from_torch(dataset)
    known = [s.labels for s in (parts.train, parts.validation, parts.test)]
    assert sorted(torch.cat(known).tolist()) == sorted(labels)


def test_a_streamed_data_set_goes_to_other_processes():
    data = from_torch(Rows())
    again = pickle.loads(pickle.dumps(data))
    assert _same(_batches(data), _batches(again))


def test_the_hash_is_of_the_content():
    first = content_hash(from_torch(Rows()))
    assert first == content_hash(from_torch(Rows()))
    assert first != content_hash(from_torch(Rows(68)))
    other = Rows()
    other.values = other.values + 1
    assert first != content_hash(from_torch(other))


def test_the_summary_says_how_it_is_read():
    lines = summary_lines(loaded_by(from_torch(Rows()), TWO))
    assert lines[0] == "Data own: 53 training, 5 validation and 6 test inputs of 4"
    assert "streamed: read batch by batch by 2 workers" in "\n".join(lines)
    lines = summary_lines(loaded_by(from_torch(Rows(listed=False)), IN_PLACE))
    assert "  classes: 4" in lines
    assert "the process that trains" in "\n".join(lines)


class _Broken(Rows):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def __getitem__(self, place):
        value, label = super().__getitem__(place)
        if place != 50:
            return value, label
        return {
            "raises": lambda: 1 / 0,
            "shape": lambda: (value[:3], label),
            "class": lambda: (value, 3 - label),
            "nan": lambda: (value * float("nan"), label),
            "single": lambda: value,
        }[self.what]()


@pytest.mark.parametrize("loading", [IN_PLACE, TWO])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raises", "example 50 of own: cannot be read: division by zero"),
        ("shape", r"example 50 of own has an input torch.float32 \(3,\), and the first"),
        ("class", "example 50 of own has class 1, and class 2 in the data set's own list"),
        ("nan", "example 50 of own has values that are not finite"),
        ("single", "example 50 of own is a Tensor; give a pair"),
    ],
)
def test_an_example_that_cannot_be_read_is_named_and_no_network_blamed(loading, what, said):
    split = loaded_by(from_torch(_Broken(what), validation=Rows(), test=Rows()), loading).train
    with pytest.raises(MachineError, match=said):
        list(split.batches(16))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: from_torch([1, 2, 3] * 20), "is a int; give a pair"),
        (lambda: from_torch(River()), "give validation and test"),
        (lambda: from_torch(Rows(20)), "20 examples are too few"),
        (lambda: from_torch(Rows(), validation=Pictures()), "give all one shape"),
        (lambda: from_torch(Rows(), num_classes=1), "num_classes = 1"),
        (
            lambda: from_torch(Rows(), num_classes=3, validation=Rows(), test=Rows()).train.at(
                torch.arange(8)
            ),
            "has class 3; classes are numbered from 0 to 2",
        ),
        (lambda: as_dataset({"train": Rows(), "tset": Rows()}, "own"), "has the key 'tset'"),
        (lambda: as_dataset({"test": Rows()}, "own"), "has no train"),
        (lambda: as_dataset(3, "own"), "torch.utils.data.Dataset"),
        (lambda: from_torch(TensorDataset(torch.rand(40, 4), torch.rand(40))), "one class each"),
        (
            lambda: from_torch(TensorDataset(torch.rand(40, 4).double(), torch.zeros(40).long())),
            "give float32",
        ),
        (
            lambda: from_torch(TensorDataset(torch.rand(40, 4), torch.arange(40) % 2 * 2)),
            "2 labels occur in own, which would make 3 classes",
        ),
        (lambda: from_torch(iter([])), "give a torch.utils.data.Dataset"),
    ],
)
def test_data_that_no_network_can_read_is_refused(made, said):
    with pytest.raises(GrowsearchError, match=said):
        made()


def test_a_pass_that_ends_early_is_told():
    data = from_torch(River(60, promised=64), validation=River(8), test=River(8))
    with pytest.raises(MachineError, match="ended after 60 examples of the 64"):
        list(data.train.batches(16))


def test_a_part_of_what_orders_itself_is_refused():
    data = from_torch(River(), validation=River(8), test=River(8))
    with pytest.raises(UsageError, match="no part can be taken"):
        subset(data, train=8, validation=8, test=8)
    some = data.train.at(torch.tensor([5, 0]))
    assert isinstance(some, Split)
    assert len(some) == 2
