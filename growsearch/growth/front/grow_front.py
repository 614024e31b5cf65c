"""Growing one trunk through several budgets, with a finished network at each. See `grow_front`."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.growth.budget.budget import Budget
from growsearch.growth.front.config import FrontConfig
from growsearch.growth.front.front import Front
from growsearch.growth.front.result import FrontResult
from growsearch.growth.grow import with_listener
from growsearch.growth.learning_task import Data
from growsearch.training import TrainingOptions
from growsearch.training.parallel.workers import ALONE
from search_spaces import SearchSpace

_SUFFIX = ".safetensors"


def grow_front(
    space: SearchSpace,
    dataset: Data,
    *,
    budgets: Sequence[Budget],
    config: FrontConfig | None = None,
    seed: int = 0,
    options: TrainingOptions | None = None,
) -> FrontResult:
    """Grow one trunk through ``budgets`` at its peak rate; a copy at each declines to its end.

    This is the warm-up, stable, decay pattern of language models (Hu et al. 2024, arXiv
    2404.06395), whose trunk grows. Widths are in uniform proportions, each network's within the
    next; new channels start with consumers' weights of zero. All layers run from the start.

    Args:
        space: a space made for the data (`SearchSpace.for_data`).
        dataset: trained on its training split, evaluated every epoch on its validation split.
        budgets: two or more, of parameters or of macs, in ascending order.
        config: recipe and lengths.
        seed: fixes weights and batches; the same seed gives the same front.
        options: as `growsearch.growth.grow` has them; a listener hears of each part, resumed or
            not, and epochs are counted from the trunk's first. A ``checkpoint`` is kept of each
            part, with .trunk-K or .branch-K in its name: a front that was interrupted goes on from
            them.

    Raises:
        UsageError: for budgets that do not ascend, are on a latency or below one channel a group.
        DivergedError: if the loss stops being finite.
        GrowsearchError: if a checkpoint is damaged, of another run, or cannot be written.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.growth import Budget, FrontConfig, grow_front
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
        >>> budgets = [Budget(macs=share) for share in (0.05, 0.2)]
        >>> config = FrontConfig(recipe=Recipe(epochs=2))
        >>> front = grow_front(space, data, budgets=budgets, config=config)
        >>> [branch.macs <= branch.limit for branch in front.branches]
        [True, True]
        >>> front.training_macs < sum(branch.training_macs for branch in front.branches)
        True
    """
    config, options = config or FrontConfig(), options or TrainingOptions()
    if options.workers is not ALONE:
        raise UsageError("workers: the parts of a front are one worker's each; leave them out")
    front = Front.of(space, dataset, budgets, config, seed)
    if options.checkpoint is not None:
        return _grown(front, options, options.checkpoint)
    with tempfile.TemporaryDirectory(prefix="growsearch-front-") as folder:
        return _grown(front, options, Path(folder) / f"front{_SUFFIX}")


def _grown(front: Front, options: TrainingOptions, checkpoint: Path) -> FrontResult:
    trunk: list[Path] = []
    branches = []
    for stage in front.stages:
        index, before = stage.index, trunk[-1] if trunk else None
        heard = with_listener(options, functools.partial(front.record, index))
        trunk.append(_part(checkpoint, f"trunk-{index}"))
        front.train_stage(index, before, dataclasses.replace(heard, checkpoint=trunk[-1]))
        own = dataclasses.replace(heard, checkpoint=_part(checkpoint, f"branch-{index}"))
        branches.append(front.train_branch(index, trunk, own))
    return FrontResult(branches=tuple(branches), training_macs=front.training_macs)


def _part(checkpoint: Path, name: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}.{name}{checkpoint.suffix}")
