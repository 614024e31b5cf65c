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
    from growsearch.search.study.trial_export import find_trial

    found = read_run(run)
    return find_trial(found, study_choice(found) if trial is None else trial)


def study_choice(run: Run) -> str:
    """Return the id of what the study's own ``select`` chooses.

    Raises:
        UsageError: if nothing is on the front, or inside the bounds.
    """
    from growsearch.pareto import bounds_from_mapping, select

    front, wishes = run.front(), run.study.get("select") or {}
    if not front.members:
        raise UsageError(f"{run.folder} has no network on its front yet; name one with --trial ID")
    choice = select(
        front,
        bounds_from_mapping(wishes, "select"),
        wishes.get("prefer", "accuracy"),
        weights=wishes.get("weights"),
        confidence=wishes.get("confidence"),
    )
    if choice.chosen is None:
        raise UsageError(
            f"{run.folder}: no network is inside the bounds of the study's select; name one with "
            "--trial ID, or see growsearch select"
        )
    return choice.chosen.id
