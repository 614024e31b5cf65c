"""Direct design: what was grown is trained once more, from fresh weights, as a baseline.

"Direct design", a baseline of arXiv 2007.15353, figure 6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from growsearch.growth.baselines import train_fixed
from growsearch.growth.learning_task import Data
from growsearch.growth.options import GrowthListener, GrowthOptions
from growsearch.growth.result import GrowthRecord, GrowthResult
from growsearch.training import EpochRecord, Recipe, TrainingOptions
from search_spaces import SearchSpace


def train_directly(
    space: SearchSpace,
    dataset: Data,
    grown: GrowthResult,
    *,
    recipe: Recipe,
    seed: int,
    options: TrainingOptions,
) -> GrowthResult:
    """Return ``grown``'s architecture with weights that learned it from scratch with ``recipe``.

    The history goes on behind that of growing, and so do the training MACs that were spent. A
    checkpoint is kept beside that of growing, in a file that has .direct in its name.

    Raises:
        DivergedError: if the loss stops being finite.
        GrowsearchError: if the checkpoint is damaged, of another run, or cannot be written.
    """

    def record(epoch: EpochRecord) -> GrowthRecord:
        return dataclasses.replace(
            grown.history[-1],
            epoch=len(grown.history) + epoch.epoch,
            loss=epoch.loss,
            accuracy=epoch.accuracy,
            perplexity=epoch.perplexity,
            metrics=epoch.metrics,
            training_macs=grown.training_macs + epoch.training_macs,
            temperature={},
            probability={},
            created=0,
            attached=0,
            detached=0,
        )

    def on_epoch(epoch: EpochRecord) -> None:
        if options.on_epoch is not None:
            options.on_epoch(dataclasses.replace(epoch, epoch=len(grown.history) + epoch.epoch))
        if listener is not None:
            listener.epoch(record(epoch))

    def on_resume(epochs: Sequence[EpochRecord]) -> None:
        if listener is not None:
            listener.resumed([*grown.history, *map(record, epochs)])

    listener: GrowthListener | None = getattr(options, "listener", None)
    fixed = train_fixed(
        space,
        dataset,
        grown.architecture,
        recipe=recipe,
        seed=seed,
        options=dataclasses.replace(
            options, on_epoch=on_epoch, on_resume=on_resume, checkpoint=_checkpoint(options)
        ),
    )
    history = (*grown.history, *map(record, fixed.history))
    return dataclasses.replace(
        grown,
        model=fixed.model,
        history=history,
        training_macs=history[-1].training_macs,
    )


def growing_options(options: TrainingOptions) -> TrainingOptions:
    """Return ``options`` for the growing part: a listener hears of a resumed run only once."""
    checkpoint = _checkpoint(options)
    if isinstance(options, GrowthOptions) and checkpoint is not None and checkpoint.exists():
        return dataclasses.replace(options, listener=None)
    return options


def _checkpoint(options: TrainingOptions) -> Path | None:
    file = options.checkpoint
    return None if file is None else file.with_name(f"{file.stem}.direct{file.suffix}")
