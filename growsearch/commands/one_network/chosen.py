"""Network that a command is about: one trial by its id, or the study's own choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.report import Run
    from growsearch.trial.record import Trial


def chosen_trial(run: Path, trial: str | None) -> Trial:
    """Return a finished trial of a run: by its id or its unique beginning, or the study's choice.

    Raises:
        UsageError: if there is no such trial, or no network is inside the study's bounds.
    """
    from growsearch.report import read_run
    from growsearch.report.choice.study_choice import network_of

    found = read_run(run)
    return _choice_of(found) if trial is None else network_of(found, trial)


def _choice_of(run: Run) -> Trial:
    """Return what the study's own ``select`` chooses.

    Raises:
        UsageError: if nothing is on the front, or inside the bounds.
    """
    from growsearch.report import study_choice

    if not run.front().members:
        raise UsageError(f"{run.folder} has no network on its front yet; name one with --trial ID")
    chosen = study_choice(run).chosen
    if chosen is None:
        raise UsageError(
            f"{run.folder}: no network is inside the bounds of the study's select; name one with "
            "--trial ID, or see growsearch select"
        )
    return chosen
