"""Data checks: do the networks of a space read this data, and answer every label of it?"""

from __future__ import annotations

import torch
from torch import nn

from growsearch.datasets import Dataset, Split
from growsearch.errors import UsageError
from growsearch.growth.full_network import build_full
from growsearch.metrics import evaluating, undisturbed
from growsearch.training import task_of
from search_spaces import SearchSpace
from search_spaces.user_code import is_own

# Examples that a network is fed with to see what comes out.
_FED = 2
# So many are learned from and judged by an own task, whose measures may want more than two.
_JUDGED = 32
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
    if dataset.task.is_own:
        _check_own_task(build_full(space, seed=0), space.name, dataset)
    else:
        _check_outputs(module, space.name, dataset)
    return module


def _check_own_task(module: nn.Module, name: str, dataset: Dataset) -> None:
    """Refuse a network whose outputs an own task cannot learn from or judge."""
    task, some = task_of(dataset), _first(dataset.train)
    inputs, targets = some.inputs, some.labels
    try:
        with undisturbed(module):
            loss = task.loss(module(inputs), targets, inputs=inputs)
        task.scores(module, _first(dataset.validation))
    except UsageError:
        raise
    except Exception as error:  # whatever own code raises, the cause is kept
        reason = " ".join(str(error).split())[:200]
        own = str(dataset.task.name).partition("@")[0]
        raise UsageError(
            f"{name}: the task {own} cannot learn from its outputs or judge them "
            f"({type(error).__name__}: {reason}); let both agree"
        ) from error
    if not loss.requires_grad:
        own = str(dataset.task.name).partition("@")[0]
        raise UsageError(
            f"{name}: the loss of the task {own} does not depend on the network's outputs; do not "
            "detach them"
        )


def _first(split: Split) -> Split:
    return split.at(torch.arange(min(_JUDGED, len(split))))


@torch.no_grad()
def _check_outputs(module: nn.Module, name: str, dataset: Dataset) -> None:
    inputs, train = dataset.zeros(_FED), dataset.train
    several = train.label_kind in ("numbers", "several an example")
    wanted = (_FED, *(() if several else train.label_shape), dataset.num_classes)
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
