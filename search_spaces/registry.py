"""Which search spaces are there? One line a space."""

from __future__ import annotations

from search_spaces.errors import SearchSpaceError
from search_spaces.mlp import MLPSpace
from search_spaces.resnet_cifar import ResNetCifarSpace
from search_spaces.space import SearchSpace

_DIGITS = (1, 8, 8)
_CIFAR = (3, 32, 32)

_SPACES: tuple[SearchSpace, ...] = (
    ResNetCifarSpace(
        name="resnet-digits",
        description="ResNet-8 of width 16 for 8 x 8 digits: 3 stages of one basic block",
        blocks=(1, 1, 1),
        input_shape=_DIGITS,
    ),
    MLPSpace(
        name="mlp-digits",
        description="MLP of two hidden layers of 256 units for 8 x 8 digits",
        hidden=(256, 256),
        input_shape=_DIGITS,
    ),
    ResNetCifarSpace(
        name="resnet20",
        description="CIFAR ResNet-20 of width 16 (He et al. 2016), 1 x 1 shortcuts",
        blocks=(3, 3, 3),
        input_shape=_CIFAR,
    ),
)

SEARCH_SPACES: dict[str, SearchSpace] = {space.name: space for space in _SPACES}


def search_space(name: str) -> SearchSpace:
    """Return the space called ``name``.

    Raises:
        SearchSpaceError: if there is none; the message lists the valid names.
    """
    if name not in SEARCH_SPACES:
        known = ", ".join(sorted(SEARCH_SPACES))
        raise SearchSpaceError(f"unknown search space {name!r}; valid: {known}")
    return SEARCH_SPACES[name]
