"""What every data set promises, for each line of DATASETS on a tiny copy of its files."""

import pytest
import torch

from growsearch.datasets import (
    DATASETS,
    DESCRIPTIONS,
    TOKEN_DATASETS,
    UNLABELLED,
    load_dataset,
    load_token_dataset,
)
from growsearch.errors import UsageError

FROM_FOLDER = sorted(set(DATASETS) - {"digits"})
TEXTS = set(TOKEN_DATASETS)


def _whole(split):
    """Everything of a split in memory, streamed or not."""
    return split.at(torch.arange(len(split)))


def test_every_data_set_has_a_description():
    assert DESCRIPTIONS.keys() == DATASETS.keys()
    assert all(DESCRIPTIONS.values())


@pytest.mark.parametrize("name", DATASETS)
def test_inputs_are_float32_or_words_and_labels_are_classes(name, write):
    dataset = load_dataset(name, write(name))
    assert dataset.name == name
    for split in map(_whole, (dataset.train, dataset.validation, dataset.test)):
        assert split.inputs.dtype == (torch.int64 if name in TEXTS else torch.float32)
        assert split.labels.dtype == torch.int64
        assert len(split.inputs) == len(split.labels) > 0
        assert split.inputs.shape[1:] == dataset.input_shape
        labels = split.labels[split.labels != UNLABELLED]
        assert 0 <= int(labels.min()) <= int(labels.max()) < dataset.num_classes
        assert torch.equal(
            dataset.zeros(3), torch.zeros_like(split.inputs[:1].repeat_interleave(3, 0))
        )


@pytest.mark.parametrize("name", sorted(set(FROM_FOLDER) - TEXTS))
def test_training_channels_have_zero_mean_and_unit_deviation(name, write):
    inputs = _whole(load_dataset(name, write(name)).train).inputs.double()
    channels = inputs.transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(len(channels)).double(), atol=1e-5)
    assert torch.allclose(
        channels.std(1, correction=0), torch.ones(len(channels)).double(), atol=1e-5
    )


@pytest.mark.parametrize("name", sorted(set(DATASETS) - TEXTS))
def test_no_image_is_in_two_splits(name, write):
    dataset = load_dataset(name, write(name))
    parts = [_whole(part) for part in (dataset.train, dataset.validation, dataset.test)]
    seen = {image.numpy().tobytes() for part in parts for image in part.inputs}
    assert len(seen) == sum(len(part) for part in parts)


@pytest.mark.parametrize("name", DATASETS)
def test_loading_twice_gives_the_same_tensors(name, write):
    data_dir = write(name)
    one, two = load_dataset(name, data_dir), load_dataset(name, data_dir)
    for first, second in (
        (one.train, two.train),
        (one.validation, two.validation),
        (one.test, two.test),
    ):
        first, second = _whole(first), _whole(second)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.labels, second.labels)


@pytest.mark.parametrize("name", FROM_FOLDER)
def test_an_empty_folder_and_no_folder_say_what_to_put_there(name, tmp_path):
    with pytest.raises(UsageError, match=r"data_dir: .*holds no folder|data_dir: .*is missing"):
        load_dataset(name, tmp_path)
    with pytest.raises(UsageError, match=r"data_dir: .*folder"):
        load_dataset(name)


@pytest.mark.parametrize("load", [load_dataset, load_token_dataset])
def test_an_unknown_name_lists_the_valid_ones(load):
    names = DATASETS if load is load_dataset else TOKEN_DATASETS
    with pytest.raises(UsageError, match="unknown 'nope'; valid: .*" + min(names)):
        load("nope")


@pytest.mark.parametrize(("load", "name"), [(load_dataset, "cifar10"), (load_token_dataset, "ptb")])
def test_a_data_dir_that_is_no_folder_is_named(load, name, tmp_path):
    with pytest.raises(UsageError, match=r"gone is not a folder; give the folder that holds"):
        load(name, tmp_path / "gone")


def test_digits_refuses_a_data_dir(tmp_path):
    with pytest.raises(UsageError, match="remove data_dir"):
        load_dataset("digits", tmp_path)


def test_digits_has_1197_300_300_images_without_augmentation():
    digits = load_dataset("digits")
    assert [len(digits.train), len(digits.validation), len(digits.test)] == [1197, 300, 300]
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert digits.augmentation.apply(digits.train.inputs, generator) is digits.train.inputs
    assert torch.equal(generator.get_state(), before)
