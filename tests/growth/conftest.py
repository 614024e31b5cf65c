import pytest
import torch

from growsearch.datasets import Dataset, Split
from search_spaces.families.mlp import MLPSpace
from search_spaces.families.plain_net import PlainNetSpace
from search_spaces.families.residual_units import BasicResNetSpace, BottleneckResNetSpace
from search_spaces.families.resnet_cifar import ResNetCifarSpace

SHAPE, CLASSES = (1, 6, 6), 3


@pytest.fixture
def space():
    """Two stages of one block, width 4 and 8: all four kinds of channel group at 1,400 weights."""
    return ResNetCifarSpace(
        name="tiny",
        description="for tests",
        blocks=(1, 1),
        base_width=4,
        input_shape=SHAPE,
        num_classes=CLASSES,
    )


@pytest.fixture
def unit_space():
    """Two stages of up to 3 and 2 basic blocks, width 4 and 8; 3 units may be detached."""
    return BasicResNetSpace(
        name="tiny-units",
        description="for tests",
        most_units=(3, 2),
        base_width=4,
        input_shape=SHAPE,
        num_classes=CLASSES,
    )


@pytest.fixture
def bottleneck_space():
    return BottleneckResNetSpace(
        name="tiny-bottlenecks",
        description="for tests",
        most_units=(2, 2),
        base_width=4,
        input_shape=(1, 16, 16),
        num_classes=CLASSES,
    )


@pytest.fixture
def plain_space():
    return PlainNetSpace(
        name="tiny-plain",
        description="for tests",
        most_units=(3, 2),
        base_width=6,
        input_shape=SHAPE,
        num_classes=CLASSES,
    )


@pytest.fixture
def mlp_space():
    return MLPSpace(
        name="tiny-mlp",
        description="for tests",
        hidden=(16, 12),
        input_shape=SHAPE,
        num_classes=CLASSES,
    )


def _split(examples: int, seed: int) -> Split:
    """Bright rows, columns or corners under noise: easy to tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(examples) % CLASSES
    inputs = 0.5 * torch.randn(examples, *SHAPE, generator=generator)
    inputs[labels == 0, :, 1] += 2
    inputs[labels == 1, :, :, 4] += 2
    inputs[labels == 2, :, :2, :2] += 2
    return Split(inputs=inputs, labels=labels)


@pytest.fixture
def dataset():
    return Dataset(
        name="shapes",
        train=_split(96, 0),
        validation=_split(48, 1),
        test=_split(48, 2),
        num_classes=CLASSES,
    )
