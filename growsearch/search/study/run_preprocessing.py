"""Preprocessing that a run keeps: what its networks read and give, for use without the data."""

from __future__ import annotations

import os
from pathlib import Path

from growsearch.datasets.preprocessing import (
    PREPROCESSING_FILE,
    Preprocessing,
    read_preprocessing,
)
from growsearch.errors import UsageError
from growsearch.files import write_json

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
