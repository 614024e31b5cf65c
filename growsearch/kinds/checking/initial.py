"""Initial weights of a study: refused by name before anything trains where they do not fit."""

from __future__ import annotations

import functools

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds.checking.context import CheckContext, space_for
from growsearch.kinds.domain import values_of
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.space import KindSpace
from growsearch.training.initial_weights import OWN, comes_with_weights


def check_init(space: KindSpace, context: CheckContext, dataset: Dataset | None = None) -> None:
    """Refuse trained weights that are not those of every network that would begin with them.

    Args:
        space: the kind's keys.
        context: the study's data, and where it stands in the study.
        dataset: what the networks learn first, where that is other data.

    Raises:
        UsageError: naming the first tensors that are missing, unexpected or of another shape; or
            weights that a network is to come with, and draws.
    """
    weights = initial_weights(space.init)
    if weights is None:
        return
    for name in map(str, values_of(space.space)):
        networks = space_for(name, dataset or context.dataset)
        try:
            build_full(networks, 0, weights)
            if space.init == OWN:
                make = functools.partial(build_full, networks)
                _check_own(name, comes_with_weights(make))
        except UsageError as error:
            key = f"trials.{context.key}.init"
            raise UsageError(f"{key}: {str(error).removeprefix('init: ')}") from error


def _check_own(name: str, drawn: str) -> None:
    if drawn:
        plain = name.partition("@")[0]
        raise UsageError(
            f"own: {plain} comes without trained weights: {drawn} is drawn anew by each seed; let "
            "it load them, or give a file"
        )
