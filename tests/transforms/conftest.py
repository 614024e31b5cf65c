"""Small networks that the tests of transforms share, and each transformed once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from growsearch.transforms import Transformed, transform
from search_spaces.families.gpt import GPT
from search_spaces.families.mlp import MLP
from search_spaces.families.resnet_cifar import ResNetCifar

SPARSITY = 0.6


@dataclass(frozen=True)
class Example:
    """A dense network in evaluation mode and an input that tells networks apart."""

    module: nn.Module
    inputs: tuple[torch.Tensor, ...]
    done: dict[str, Transformed] = field(default_factory=dict)

    def __call__(self, module: nn.Module | None = None) -> torch.Tensor:
        with torch.no_grad():
            return (module or self.module).eval()(*self.inputs)

    def transformed(self, name: str) -> Transformed:
        """Give a copy of the network transformed at SPARSITY with ERK."""
        if name not in self.done:
            self.done[name] = transform(
                self.module,
                name,
                sparsity=SPARSITY,
                distribution="erk",
                example_inputs=self.inputs,
            )
        return copy.deepcopy(self.done[name])


def _residual() -> Example:
    widths = {"stage0": 6, "stage0.block0": 6, "stage1": 12, "stage1.block0": 12}
    module = ResNetCifar(widths, blocks=(1, 1), input_shape=(1, 6, 6), num_classes=5)
    return Example(module.eval(), (torch.randn(2, 1, 6, 6),))


def _perceptron() -> Example:
    module = MLP(20, {"hidden0": 48, "hidden1": 48, "hidden2": 48}, 5)
    return Example(module.eval(), (torch.randn(2, 20),))


def _decoder() -> Example:
    widths = {"model": 24, "block0": 96, "block1": 96}
    module = GPT(widths, heads=4, head_size=6, context=6, vocabulary=20)
    return Example(module.eval(), (torch.randint(20, (2, 6)),))


_MAKERS: dict[str, Callable[[], Example]] = {
    "residual": _residual,
    "perceptron": _perceptron,
    "decoder": _decoder,
}


@pytest.fixture(params=_MAKERS, scope="session")
def example(request: pytest.FixtureRequest) -> Example:
    """Every network in turn."""
    torch.manual_seed(0)
    return _MAKERS[request.param]()


@pytest.fixture(scope="session")
def residual() -> Example:
    torch.manual_seed(0)
    return _residual()


@pytest.fixture
def separable() -> Example:
    """A convolution, a depthwise one, a 1 x 1 one and a classifier."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 12, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 3),
    )
    return Example(module.eval(), (torch.randn(2, 1, 5, 5),))
