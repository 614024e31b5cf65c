"""A small source, a task with other classes, and a network that was pretrained once."""

import dataclasses

import pytest
import torch

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.tickets import Pretrained, pretrain
from growsearch.training import Recipe
from search_spaces import SearchSpace, search_space

ONE_EPOCH = Recipe(epochs=1, batch_size=40)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return dataclasses.replace(search_space("resnet-digits"), base_width=4)


@pytest.fixture(scope="session")
def source() -> Dataset:
    return subset(load_dataset("digits"), train=120, validation=40, test=40)


@pytest.fixture(scope="session")
def task(source: Dataset) -> Dataset:
    """Which fifth of the digits: other images, and half as many classes."""
    other = subset(load_dataset("digits"), train=80, validation=40, test=40, seed=1)

    def halved(split):
        return dataclasses.replace(split, labels=split.labels // 2)

    return dataclasses.replace(
        other,
        name="fifths",
        train=halved(other.train),
        validation=halved(other.validation),
        test=halved(other.test),
        num_classes=5,
    )


@pytest.fixture(scope="session")
def pretrained(space: SearchSpace, source: Dataset) -> Pretrained:
    return pretrain(space, source, ONE_EPOCH, seed=0)
