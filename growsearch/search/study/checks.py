"""Checks of a study against its data: what would fail in every trial is told before any trains."""

from __future__ import annotations

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.kinds import CheckContext
from growsearch.search.config.study import StudyConfig
from growsearch.training.devices import training_device


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


def check_training_device(name: str) -> None:
    """Refuse a device to train on that this machine has not.

    Raises:
        UsageError: naming what there is.
    """
    try:
        training_device(name)
    except UsageError as error:
        raise UsageError(f"training.{error}") from error
