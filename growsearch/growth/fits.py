"""Data checks: do the networks of a space read this data, and answer every label of it?"""

from __future__ import annotations

import torch
from torch import nn

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth.full_network import build_full
from growsearch.metrics import evaluating
from search_spaces import SearchSpace
from search_spaces.user_code import is_own

# Examples that a network is fed with to see what comes out.
_FED = 2
_REMEDY = (
    "take a space for such data: deeplabv3-resnet50 for a class a pixel, lstm-ptb-small for words, "
    "resnet20 for images with one label"
)


def check_fits(space: SearchSpace, dataset: Dataset) -> nn.Module:
    """Return the largest network of ``space``, fed with zeros once; of own code, it has weights.

    Networks of the registry are built without memory: shapes are all that is asked. Own code may
    not know how.

    Args:
        space: made for the data (``for_data``).
        dataset: gives inputs, classes and the labels' shape.

    Raises:
        UsageError: if a network cannot be fed, or gives something else than one score a class for
            every label.
        SearchSpaceError: if it cannot be built.
    """
    if is_own(space.name):
        module = build_full(space, seed=0)
    else:
        with torch.device("meta"):
            module = space.build(space.largest())
    _check_outputs(module, space.name, dataset)
    return module


@torch.no_grad()
def _check_outputs(module: nn.Module, name: str, dataset: Dataset) -> None:
    inputs = dataset.zeros(_FED)
    wanted = (_FED, *dataset.train.label_shape, dataset.num_classes)
    device = next((parameter.device for parameter in module.parameters()), inputs.device)
    try:
        with evaluating(module):
            found = tuple(module(inputs.to(device)).shape)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{name} cannot read {dataset.name}'s inputs {dataset.input_shape} ({reason}); "
            f"{_REMEDY}"
        ) from error
    if found != wanted:
        raise UsageError(
            f"{name} gives outputs {found} for {_FED} examples of {dataset.name}, whose labels "
            f"want {wanted}; {_REMEDY}"
        )
