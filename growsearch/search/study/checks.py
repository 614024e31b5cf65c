"""Checks of a study against its data: what would fail in every trial is told before any trains."""

from __future__ import annotations

from growsearch.datasets import Dataset, labels_are
from growsearch.errors import UsageError
from growsearch.kinds import CheckContext, Learning
from growsearch.kinds.domain import values_of
from growsearch.search.config.study import StudyConfig
from growsearch.training import RECIPES, task_of


def check_task(config: StudyConfig, learning: Learning) -> None:
    """Refuse objectives and recipes that the task has no use for.

    Raises:
        UsageError: naming the key and the remedy.
    """
    if learning.text is not None:
        return
    task = task_of(learning.dataset)
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
        for name in map(str, values_of(space.recipe)):
            _check_recipe(f"trials.{kind.name}.recipe", name, learning)


def _check_recipe(key: str, name: str, learning: Learning) -> None:
    """Refuse label smoothing where there is none."""
    smoothing = RECIPES[name].label_smoothing if name in RECIPES else 0.0
    task = learning.dataset.task
    unsmoothed = task.loss == "focal" or labels_are(learning.dataset.train.labels) == "numbers"
    if smoothing and unsmoothed and not task.is_own:
        what = "loss: focal" if task.loss == "focal" else "a regression"
        raise UsageError(f"{key}: {name} smooths labels, which {what} has not; take another")


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
