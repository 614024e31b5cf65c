"""Folder of a trial inside its run: named by an id that is checked, and reached through no link."""

from __future__ import annotations

import re
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.files import folder_inside, make_folder

TRIALS = "trials"
# In a run's folder: choices that were trained at full length, a run each.
FINISHED = "finished"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def is_trial_id(name: object) -> bool:
    """Tell whether ``name`` may name a trial's folder: letters, digits, - and _ alone."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def trial_folder(run: Path, name: str) -> Path:
    """Return the folder of trial ``name``, which need not be there yet.

    Raises:
        UsageError: for an id that would lead out of ``run``.
        MachineError: if the folder, or that of all trials, is a link.
    """
    if not is_trial_id(name):
        raise UsageError(
            f"trial id {str(name)[:80]!r} is not made of letters, digits, - and _; an id names a "
            f"folder in {run / TRIALS}"
        )
    return folder_inside(run, TRIALS, name)


def made_trial_folder(run: Path, name: str) -> Path:
    """Return the folder of trial ``name``, which is there afterwards.

    Raises:
        MachineError: if it cannot be made, or is a link.
    """
    folder = trial_folder(run, name)
    make_folder(folder)
    return folder
