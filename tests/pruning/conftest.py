"""A small trained network, and data that it has learned."""

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.growth import build_full
from growsearch.training import InitialWeights, Recipe, task_of, train
from search_spaces import SearchSpace, search_space


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return subset(load_dataset("digits"), train=256, validation=128, test=64)


@pytest.fixture(scope="session")
def space(digits: Dataset) -> SearchSpace:
    return search_space("mlp-digits").for_data(digits.input_shape, digits.num_classes)


@pytest.fixture(scope="session")
def trained(space: SearchSpace, digits: Dataset) -> nn.Module:
    module = build_full(space, 0)
    train(module, task_of(digits), Recipe(epochs=3), seed=0, forward_macs=1)
    return module.eval()


@pytest.fixture(scope="session")
def init(trained: nn.Module) -> InitialWeights:
    return InitialWeights.of(trained)


class Residual(nn.Module):
    """A stream that two layers write, a norm-free hidden layer, and a frozen head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Sequential(
            nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 8, 3, padding=1)
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.block(x))
        return self.head(x.mean(dim=(2, 3)))


@pytest.fixture
def residual() -> nn.Module:
    return Residual()
