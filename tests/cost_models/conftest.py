from collections.abc import Callable

import pytest
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1:
            shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.second(self.norm1(self.first(x)).relu()))
        return (y + self.shortcut(x)).relu()


def _resnet20() -> nn.Module:
    blocks = [_Block(16, 16, 1) for _ in range(3)]
    blocks += [_Block(16, 32, 2), _Block(32, 32, 1), _Block(32, 32, 1)]
    blocks += [_Block(32, 64, 2), _Block(64, 64, 1), _Block(64, 64, 1)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*stem, *blocks, *head)


@pytest.fixture
def resnet20() -> Callable[[], nn.Module]:
    """CIFAR ResNet-20, option B: 1 x 1 convolutions where a stage changes size."""
    return _resnet20


@pytest.fixture
def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
