"""Checks of a study against its data: what would fail in every trial is told before any trains."""

from __future__ import annotations

from growsearch.datasets import Dataset
from growsearch.kinds import CheckContext
from growsearch.search.config.study import StudyConfig


def check_kinds(config: StudyConfig, dataset: Dataset) -> None:
    """Refuse networks, budgets and sources with which no trial of a kind could end.

    Raises:
        UsageError: naming the key, the value and the remedy.
    """
    for kind, space in config.trials.items():
        context = CheckContext(dataset=dataset, data_dir=config.data_dir, key=kind.name)
        kind.check(space, context)
