"""Preprocessing that a run keeps: what its networks read and give, for use without the data."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import torch

from growsearch.datasets.preprocessing import (
    PREPROCESSING_FILE,
    OutputKind,
    Preprocessing,
    read_preprocessing,
)
from growsearch.errors import UsageError
from growsearch.export.proving import outputs_of
from growsearch.files import write_json
from growsearch.kinds import Network
from growsearch.report import Run
from growsearch.trial.record import Trial

_NOT_KEPT = (
    "its run was made before runs kept their preprocessing; run the same search again with its "
    "data there: it resumes, trains nothing that is finished, and keeps it"
)


def keep_preprocessing(run: Path, found: Preprocessing) -> None:
    """Write the run's preprocessing.json, or compare it with that of an earlier session.

    Names of classes that an earlier session was not given are added.

    Raises:
        UsageError: if the run's trials saw other data.
        MachineError: if it cannot be written.
    """
    path = run / PREPROCESSING_FILE
    if os.path.lexists(path):
        before = read_preprocessing(path)
        difference = before.difference(found)
        if difference:
            raise UsageError(
                f"{path}: this run's trials saw other data: {difference} of the data are not what "
                "they were; restore the data, or start anew with --fresh"
            )
        if before.classes or not found.classes:
            return
    write_json(path, found.to_json(), make_folder=False)


def preprocessing_of_run(run: Path) -> Preprocessing:
    """Return what the networks of a run read and give; raw inputs where it was not kept.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    path = run / PREPROCESSING_FILE
    if not os.path.lexists(path):
        return Preprocessing(raw_because=_NOT_KEPT)
    return read_preprocessing(path)


def preprocessing_of_trial(run: Run, trial: Trial, network: Network) -> Preprocessing:
    """Return what a run's network reads and gives, also where the run did not keep it.

    Then its input is raw. Of its outputs the trial tells what they are: where no task of one's own
    was learned, and an accuracy was judged, they are classes, of each example or of each pixel.

    Raises:
        UsageError: if the file is there and cannot be read.
    """
    found = preprocessing_of_run(run.folder)
    if os.path.lexists(run.folder / PREPROCESSING_FILE):
        return found
    return dataclasses.replace(found, outputs=_outputs(run, trial, network))


def _outputs(run: Run, trial: Trial, network: Network) -> OutputKind:
    if network.reads_words:
        return "words"
    if "accuracy" not in trial.metrics or ":" in str(run.study.get("task") or ""):
        return "own"
    shape = outputs_of(network.build().eval(), torch.zeros(1, *network.input_shape)).shape[1:]
    return "classes" if len(shape) == 1 else "pixels"
