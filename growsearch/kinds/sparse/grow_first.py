"""Growing before sparse training: where a trial starts from, and what the whole run costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from growsearch.growth import GrowthConfig, build_full, grow
from growsearch.kinds.growth.space import LEARNED
from growsearch.kinds.growth.training import plain_history, staying_lines, structure_lines
from growsearch.kinds.initial_weights import initial_weights
from growsearch.kinds.sparse.candidate import SparseCandidate
from growsearch.kinds.trained import Line, TrainingContext
from growsearch.training import (
    TRAINING_PASSES,
    EpochRecord,
    InitialWeights,
    Recipe,
    TrainingOptions,
)
from growsearch.transforms import MacProfile
from search_spaces import Architecture, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The dense network that a sparse trial starts from, and the training that it has behind it.

    ``full_macs`` are those of the full configuration, for one example. A network that was not grown
    has no history.
    """

    model: nn.Module
    architecture: Architecture
    full_macs: int
    history: tuple[EpochRecord, ...] = ()
    widths: tuple[Mapping[str, int], ...] = field(default=())
    training_macs: int = 0
    dense_training_macs: int = 0
    records: Mapping[str, Sequence[Line]] = field(default_factory=dict)

    def behind(self, epochs: Sequence[EpochRecord]) -> tuple[EpochRecord, ...]:
        """Return the whole history: growing, then ``epochs``."""
        return (*self.history, *map(self.shifted, epochs))

    def shifted(self, epoch: EpochRecord) -> EpochRecord:
        """Return a record of the sparse part as one of the whole run."""
        return dataclasses.replace(
            epoch,
            epoch=len(self.history) + epoch.epoch,
            training_macs=self.training_macs + epoch.training_macs,
        )

    def all_widths(self, epochs: int) -> tuple[Mapping[str, int], ...]:
        """Return the widths of every epoch; they stay what they were over the ``epochs`` behind."""
        return (*self.widths, *self.widths[-1:] * epochs)

    def dense_macs_with(self, examples: int) -> int:
        """Return the full configuration's MACs of the whole run, with ``examples`` still to see."""
        return self.dense_training_macs + TRAINING_PASSES * self.full_macs * examples

    def options(self, options: TrainingOptions) -> TrainingOptions:
        """Return ``options`` for the sparse part: who listens hears of one run."""
        listen, resumed = options.on_epoch, options.on_resume
        if not self.history:
            return options
        return dataclasses.replace(
            options,
            on_epoch=listen and (lambda epoch: listen(self.shifted(epoch))),
            on_resume=resumed and (lambda epochs: resumed([*map(self.shifted, epochs)])),
        )


def base_of(
    config: SparseCandidate,
    space: SearchSpace,
    context: TrainingContext,
    options: TrainingOptions,
) -> Base:
    """Return the full configuration, or grow a network under the trial's budget.

    Raises:
        UsageError: for a budget below one channel a group.
        DivergedError: if the loss stops being finite.
    """
    if config.grow is None:
        with options.guard():
            full = build_full(space, context.seed, initial_weights(config.init))
            macs = MacProfile.of(full, space.example_inputs()).dense_macs
        return Base(model=full, architecture=space.largest(), full_macs=macs)
    training = dataclasses.replace(config.training, epochs=config.grow.epochs)
    result = grow(
        space,
        context.data_for(space),
        budget=config.grow.budget.budget(),
        config=_how(config.grow.policy, training.recipe(), initial_weights(config.init)),
        seed=context.seed,
        options=dataclasses.replace(
            options, checkpoint=options.checkpoint and _growing_checkpoint(options.checkpoint)
        ),
    )
    return Base(
        model=result.model,
        architecture=result.architecture,
        full_macs=result.full_macs,
        history=plain_history(result),
        widths=tuple(record.widths for record in result.history),
        training_macs=result.training_macs,
        dense_training_macs=result.dense_training_macs,
        records={**structure_lines(result), **staying_lines(result)},
    )


def _how(policy: str, recipe: Recipe, init: InitialWeights | None) -> GrowthConfig:
    """Return the letter of the paper for its policy, and how one grows now for the others."""
    letter = GrowthConfig.paper if policy == LEARNED else GrowthConfig
    return letter(policy=policy, recipe=recipe, init=init)


def _growing_checkpoint(checkpoint: Path) -> Path:
    """Return where the growing part of a trial with ``checkpoint`` keeps its own."""
    return checkpoint.with_name(f"{checkpoint.stem}.grown{checkpoint.suffix}")
