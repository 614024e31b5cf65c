"""Checks of a study against its data: what would fail in every trial is told before any trains."""

from __future__ import annotations

from growsearch.datasets import Dataset
from growsearch.datasets.checking.targets import check_spread
from growsearch.datasets.tasks import needs_labels
from growsearch.errors import UsageError
from growsearch.kinds import CheckContext, KindSpace, Learning
from growsearch.kinds.domain import is_only, values_of
from growsearch.kinds.forecasts import Reach
from growsearch.pareto import Bound
from growsearch.search.config.study import StudyConfig
from growsearch.training import RECIPES, task_of
from growsearch.training.devices import training_device


def check_task(config: StudyConfig, learning: Learning) -> None:
    """Refuse objectives and recipes that the task has no use for.

    Raises:
        UsageError: naming the key and the remedy.
    """
    _check_ties(config, learning)
    if learning.text is not None:
        return
    task = task_of(learning.dataset)
    _read_labels(learning.dataset)
    known = task.metrics
    for key, names in (("objectives", config.objectives), ("constraints", config.constraints)):
        for name in names:
            direction = known.get(name)
            judged = name == "accuracy" or name in config.task_metrics
            if judged and direction is None:
                raise UsageError(
                    f"{key}.{name}: this task is judged by {', '.join(known)}; name one of these"
                )
            wanted = config.objectives.get(name)
            if judged and wanted is not None and wanted != direction:
                raise UsageError(f"objectives.{name}: {wanted}; better is to {direction} it")
    for kind, space in config.trials.items():
        _check_smoothing(f"trials.{kind.name}", space, learning)


def _check_ties(config: StudyConfig, learning: Learning) -> None:
    """Refuse a choice by standard errors where nothing counts examples that are right."""
    dataset = learning.dataset
    counted = dataset.validation.label_kind == "one an example" and not dataset.task.is_own
    if config.select.ties == "cheapest" and not counted:
        raise UsageError(
            "select.ties: cheapest takes labels that are one class an example, to count those that "
            "are right; take highest or auto"
        )


def _read_labels(dataset: Dataset) -> None:
    """Read streamed training labels here, once for all trials, and look at them as in memory."""
    train = dataset.train
    if train.streamed and needs_labels(dataset):
        labels = train.labels
        if train.label_kind == "numbers":
            check_spread(labels)


def _check_smoothing(key: str, space: KindSpace, learning: Learning) -> None:
    """Refuse label smoothing where there is none."""
    task = learning.dataset.task
    unsmoothed = task.loss == "focal" or learning.dataset.train.label_kind == "numbers"
    if not unsmoothed or task.is_own:
        return
    what = "loss: focal" if task.loss == "focal" else "a regression"
    if space.label_smoothing is not None:
        if not is_only(space.label_smoothing, 0.0):
            raise UsageError(f"{key}.label_smoothing: {what} has no labels to smooth; remove it")
        return
    for name in map(str, values_of(space.recipe)):
        if name in RECIPES and RECIPES[name].label_smoothing:
            raise UsageError(
                f"{key}.recipe: {name} smooths labels, which {what} has not; add "
                "label_smoothing: 0, or take another"
            )


def check_kinds(config: StudyConfig, dataset: Dataset) -> tuple[str, ...]:
    """Refuse networks, budgets and sources with which no trial of a kind could end.

    Returns:
        What is worth knowing of the networks before they train.

    Raises:
        UsageError: naming the key, the value and the remedy.
    """
    notes: list[str] = []
    for kind, space in config.trials.items():
        context = CheckContext(
            dataset=dataset, data_dir=config.data_dir, key=kind.name, notes=notes
        )
        kind.check(space, context)
    return tuple(notes)


def check_bounds(config: StudyConfig, dataset: Dataset) -> None:
    """Refuse a constraint that no candidate of any kind can meet, where that is certain.

    Raises:
        UsageError: naming the constraint, what its networks have, and the remedy.
    """
    bounds = [bound for bound in config.bounds() if bound.objective in ("parameters", "macs")]
    if not bounds:
        return
    reaches = {kind.name: kind.reach(space, dataset) for kind, space in config.trials.items()}
    for bound in bounds:
        told = {name: _out_of_reach(bound, reach) for name, reach in reaches.items()}
        if all(told.values()):
            raise UsageError(
                f"constraints.{bound.objective}.{bound.sense} = "
                f"{bound.value:,.10g}: no trial can meet it: "
                + "; ".join(f"{name} trials {words}" for name, words in told.items())
                + f"; loosen it, or change {' and '.join(f'trials.{name}' for name in told)}"
            )


def _out_of_reach(bound: Bound, reach: Reach) -> str:
    """Return by what a bound is out of reach, "" if it may be met."""
    known, words = (reach.least, "more") if bound.sense == "max" else (reach.most, "less")
    value = known.get(bound.objective)
    if value is None or bound.excess(value) <= 0:
        return ""
    return f"have {value:,.10g} {bound.objective} or {words}"


def check_training_device(name: str) -> None:
    """Refuse a device to train on that this machine has not.

    Raises:
        UsageError: naming what there is.
    """
    try:
        training_device(name)
    except UsageError as error:
        raise UsageError(f"training.{error}") from error
