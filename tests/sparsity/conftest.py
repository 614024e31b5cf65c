"""Small networks that the sparsity tests share; every fixture is a function that builds one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from search_spaces import SEARCH_SPACES


class TinyConvNet(nn.Module):
    """Conv 1->4 (3x3), conv 4->4 (3x3, stride 2), linear 4->3: 36 + 144 + 12 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        x = torch.relu(self.conv2(x))
        return self.fc(x.mean(dim=(2, 3)))


@pytest.fixture(scope="session")
def tiny() -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return TinyConvNet()

    return build


@pytest.fixture(scope="session")
def built() -> Callable[[str], nn.Module]:
    """The largest network of a search space."""

    def build(space_name: str) -> nn.Module:
        torch.manual_seed(0)
        space = SEARCH_SPACES[space_name]
        return space.build(space.largest())

    return build


@pytest.fixture(scope="session")
def from_shapes() -> Callable[[list[tuple[int, ...]]], nn.Module]:
    """One bias-free layer a weight shape; it is never run."""

    def build(shapes: list[tuple[int, ...]]) -> nn.Module:
        return nn.Sequential(
            *(
                nn.Conv2d(shape[1], shape[0], shape[2:], bias=False)
                if len(shape) == 4
                else nn.Linear(shape[1], shape[0], bias=False)
                for shape in map(tuple, shapes)
            )
        )

    return build


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
