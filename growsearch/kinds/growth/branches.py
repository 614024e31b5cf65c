"""Branches of a trunk in a study: what is asked, checked, and trained of them and their trunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.files import storage_error
from growsearch.growth import build_full
from growsearch.growth.front.front import Front
from growsearch.growth.front.plan import plan_front
from growsearch.kinds.artifact_cache import cached, drop_damaged, shared_file
from growsearch.kinds.checking.context import CheckContext, space_for
from growsearch.kinds.domain import values_of
from growsearch.kinds.growth.bound import GrowthBound, GrowthBudget
from growsearch.kinds.growth.candidate import GrowthCandidate
from growsearch.kinds.growth.space import GrowthSpace
from growsearch.kinds.growth.training import growth_epoch, trained_growth
from growsearch.kinds.growth.trunk import Trunk
from growsearch.kinds.questions import Questions
from growsearch.kinds.trained import TrainedCandidate, TrainingContext
from growsearch.training import EpochRecord, Recipe, TrainingOptions, read_history
from search_spaces import search_space


def ask_branch(questions: Questions, space: GrowthSpace, budgets: GrowthBudget) -> GrowthCandidate:
    """Ask which trunk it is, and which of its branches."""
    name = str(questions.ask("space", space.space))
    value = questions.ask(f"budget.{budgets.metric}", budgets.domain)
    training = questions.recipe(space)
    return GrowthCandidate(
        space=name,
        budget=GrowthBound(budgets.metric, value),
        training=training,
        width_multiple=int(questions.ask("width_multiple", space.width_multiple)),
        norms=str(questions.ask("norms", space.norms)),
        trunk=space.trunk_of(training.epochs),
    )


def check_fronts(space: GrowthSpace, budgets: GrowthBudget, context: CheckContext) -> None:
    """Refuse budgets that no trunk can grow through, before anything trains.

    Raises:
        UsageError: naming the value and the remedy.
    """
    epochs = int(min(values_of(space.epochs), key=float))
    trunk = space.trunk_of(epochs)
    bounds = trunk.bounds(budgets.metric)
    config = trunk.front(Recipe(epochs=epochs), width_multiple=1, norms="reset")
    for name in map(str, values_of(space.space)):
        networks = space_for(name, context.dataset)
        try:
            plan_front(networks, build_full(networks, 0), bounds, config)
        except UsageError as error:
            text = str(error).removeprefix("budgets: ")
            raise UsageError(f"trials.{context.key}.budgets: {text} (space {name})") from error


def branches_of(candidate: GrowthCandidate) -> tuple[GrowthCandidate, ...]:
    """Return all branches of a candidate's trunk, in the order of their budgets."""
    if candidate.trunk is None:
        return (candidate,)
    metric = candidate.budget.metric
    return tuple(
        dataclasses.replace(candidate, budget=GrowthBound(metric, value))
        for value in candidate.trunk.budgets
    )


def train_branch(
    config: GrowthCandidate, trunk: Trunk, context: TrainingContext, options: TrainingOptions
) -> TrainedCandidate:
    """Train what the run has not of the trunk up to the candidate's budget, then its branch.

    A stage is trained by whoever needs it first, from the one before; others wait for it, or find
    it done. Its MACs are the trial's in either case.
    """
    dataset = context.dataset
    space = search_space(config.space).for_data(dataset.input_shape, dataset.num_classes)
    bounds = trunk.bounds(config.budget.metric)
    with options.guard():
        front = Front.of(space, context.data_for(space), bounds, config.front(), context.seed)
    index = trunk.index(config.budget.value)
    story = _Story(options, front, index)
    files: list[Path] = []
    for stage in range(index + 1):
        path = shared_file(context.run, "trunk", config.stage_key(stage, context.seed))
        _stage(front, stage, files[-1] if files else None, path, story)
        files.append(path)
    result = front.train_branch(index, files, story.heard(options))
    story.end()
    before = front.trunk_history(files)[-1].training_macs
    found = trained_growth(result, dataset)
    figures = {"trunk_training_macs": before, "front_training_macs": front.training_macs}
    return dataclasses.replace(found, metrics={**found.metrics, **figures})


def _stage(front: Front, stage: int, parent: Path | None, path: Path, story: _Story) -> None:
    """Have a stage of the trunk in ``path``."""

    def make(checkpoint: Path) -> None:
        drop_damaged(checkpoint)
        # Own hooks are a trial's: what several share must not depend on whose they are.
        alone = dataclasses.replace(story.options, hooks=(), checkpoint=checkpoint)
        front.train_stage(stage, parent, story.heard(alone))
        try:
            checkpoint.replace(path)
        except OSError as error:
            raise storage_error(path, error) from error

    history = cached(path, make, read_history)
    before = front.stages[stage].before
    story.found([dataclasses.replace(each, epoch=each.epoch + before) for each in history])


class _Story:
    """Tells whoever follows a branch of all its epochs, those of the trunk included.

    What was there before anything trained is told as what a resumed trial has behind it.
    """

    def __init__(self, options: TrainingOptions, front: Front, index: int) -> None:
        self.options = options
        self._front, self._index = front, index
        self._known = 0
        self._kept: list[EpochRecord] = []
        self._began = False

    def heard(self, options: TrainingOptions) -> TrainingOptions:
        """Return ``options`` with which a part of the front tells its epochs here."""
        return dataclasses.replace(options, on_epoch=self._epoch, on_resume=self.found)

    def found(self, records: Sequence[EpochRecord]) -> None:
        """Take in epochs that were trained before, or elsewhere."""
        fresh = [record for record in records if record.epoch > self._known]
        self._kept += fresh
        self._known = max([self._known, *(record.epoch for record in fresh)])

    def end(self) -> None:
        """Tell what has not been told yet."""
        records = [growth_epoch(self._front.record(self._index, each)) for each in self._kept]
        self._kept.clear()
        if records and not self._began and self.options.on_resume is not None:
            self.options.on_resume(records)
        elif self.options.on_epoch is not None:
            for record in records:
                self.options.on_epoch(record)
        self._began = True

    def _epoch(self, record: EpochRecord) -> None:
        self.end()
        self._known = record.epoch
        if self.options.on_epoch is not None:
            self.options.on_epoch(growth_epoch(self._front.record(self._index, record)))
