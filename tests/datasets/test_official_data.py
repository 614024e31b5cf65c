"""The official files themselves; set GROWSEARCH_DATA_DIR to the folder that holds them."""

import os
from pathlib import Path

import pytest
import torch

from growsearch.datasets import load_cifar100_test, load_dataset, load_token_dataset

DATA_DIR = os.environ.get("GROWSEARCH_DATA_DIR")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(DATA_DIR is None, reason="GROWSEARCH_DATA_DIR is not set"),
]


@pytest.fixture(scope="module")
def data_dir():
    return Path(DATA_DIR)


def test_cifar10_has_its_published_sizes_classes_and_statistics(data_dir):
    dataset = load_dataset("cifar10", data_dir)
    assert dataset.train.labels.bincount().tolist() == [4500] * 10
    assert dataset.validation.labels.bincount().tolist() == [500] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    # Of all 50,000 training images: 125.3, 123.0, 113.9 and 63.0, 62.1, 66.7.
    assert dataset.normalisation.mean == pytest.approx((125.3, 123.0, 113.9), abs=0.1)
    assert dataset.normalisation.deviation == pytest.approx((63.0, 62.1, 66.7), abs=0.1)
    # The first test images: cat, ship, ship, airplane, frog.
    assert dataset.test.labels[:5].tolist() == [3, 8, 8, 0, 6]


def test_cifar100_test_images_look_like_cifar10_to_its_normalisation(data_dir):
    normalisation = load_dataset("cifar10", data_dir).normalisation
    split = load_cifar100_test(data_dir, normalisation)
    assert split.labels.bincount().tolist() == [100] * 100
    assert float(split.inputs.mean()) == pytest.approx(0, abs=0.2)
    assert float(split.inputs.std()) == pytest.approx(1, abs=0.2)


def test_fashion_mnist_has_its_published_sizes_and_statistics(data_dir):
    dataset = load_dataset("fashion-mnist", data_dir)
    assert dataset.train.labels.bincount().tolist() == [5400] * 10
    assert dataset.validation.labels.bincount().tolist() == [600] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    # Widely published as 0.2860 and 0.3530 of 255.
    assert dataset.normalisation.mean[0] / 255 == pytest.approx(0.2860, abs=2e-3)
    assert dataset.normalisation.deviation[0] / 255 == pytest.approx(0.3530, abs=2e-3)
    # Ankle boot, pullover, trouser, trouser, shirt.
    assert dataset.test.labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_penn_treebank_has_its_published_sizes(data_dir):
    dataset = load_token_dataset("ptb", data_dir)
    sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [929_589, 73_760, 82_430]
    assert len(dataset.vocabulary) == 10_000
    assert torch.equal(dataset.train.unique(), torch.arange(10_000))
