"""Trial task of a study: what its configuration tells every trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from growsearch.datasets import Dataset
from growsearch.datasets.streams.known_labels import KnownLabels
from growsearch.search.config.study import StudyConfig
from growsearch.search.study.typed_objects import typed_of
from growsearch.trial.task import TrialTask


def trial_task(
    config: StudyConfig,
    folder: Path,
    profiles: Mapping[str, Path],
    *,
    given: Dataset | None = None,
    read_labels: KnownLabels | None = None,
) -> TrialTask:
    """Return the task of a study's trials.

    Args:
        config: the study.
        folder: the run's.
        profiles: files of latency models by device.
        given: data that no name leads to.
        read_labels: labels of streamed examples that took a pass.
    """
    return TrialTask(
        data=dataclasses.replace(config.data_choice, given=given, train_labels=read_labels),
        devices=config.devices,
        folder=folder,
        profiles=profiles,
        time_limit_s=config.search.time_limit,
        code_dir=config.code_dir,
        kinds=config.trials,
        threads=config.threads,
        computing=config.training.computing,
        quality=config.metrics.quality(config.quality_names),
        callbacks=config.callbacks,
        typed=typed_of(config),
    )
