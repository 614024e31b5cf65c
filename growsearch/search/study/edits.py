"""Edits of a study whose run goes on: what of the run stays, and what it has to be asked again.

A run's trials are networks with what made them, whatever the study asks next. So a study may get
other ranges, kinds, epochs, objectives and constraints, as long as every network can be compared by
them: what a trial did not record is measured again from its weights where a device tells it, and
refused elsewhere. Networks that the edited study would not draw stay in the run and on its front;
the sampler does not hear of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from growsearch.errors import UsageError
from growsearch.export.loading import WEIGHTS_FILE
from growsearch.files import append_line
from growsearch.search.config.file import load_study
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.run_folder import (
    EDITABLE,
    RunFolder,
    check_code,
    check_same,
    differences,
)
from growsearch.search.samplers.replay import answers_of
from growsearch.search.study.latency_profiles import measured_devices
from growsearch.search.study.measuring_again import check_measurable
from growsearch.shown_text import shown
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial

# Other weights in the file of before are nobody's edit.
_FIXED = ("init",)

# A setting by its dotted key, what it was and what it is; None where there is none.
Change = tuple[str, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """How a study differs from that of its run, and what of the run it keeps.

    ``drawn`` finished trials are
    of the edited study too, ``others`` are not, ``open_starts`` were started, have not finished
    and are not gone on with. ``to_measure`` trials lack a latency by which they are compared now.
    """

    changes: tuple[Change, ...]
    drawn: int
    others: int
    open_starts: int
    to_measure: int

    def notes(self) -> list[str]:
        """Return what people are told: each change, and what it means for what has run."""
        lines = [f"edited: {shown(key)}: {_said(old, new)}" for key, old, new in self.changes]
        if self.others:
            lines.append(
                f"{self.others} of {self.drawn + self.others} networks are none that the edited "
                "study draws: they stay in the run and are compared, and the sampler does not "
                "learn from them"
            )
        if self.open_starts:
            lines.append(
                f"{self.open_starts} trials that had begun are not of the edited study and are not "
                "gone on with"
            )
        if self.to_measure:
            lines.append(f"{self.to_measure} networks are measured again from their weights")
        return lines


def edit_of(folder: RunFolder, now: StudyConfig, *, on_cluster: bool = False) -> Edit | None:
    """Return how a study was edited since its run began; None where nothing of it was.

    Args:
        folder: the run's.
        now: the study as it is.
        on_cluster: whether its trials run on other machines than this one.

    Raises:
        UsageError: if what has run cannot be compared by the edited study; the message says why and
            how a new run learns from this one.
    """
    if not folder.study.exists():
        return None
    before = load_study(folder.study, run=True)
    found = tuple(_differences(before, now))
    if not found:
        # As nearly always: the ledger, which may be long, is not asked.
        return None
    trials = read_ledger(folder.ledger).trials
    finished, ended = [t for t in trials if t.finished], {t.id for t in trials}
    changes = tuple(change for change in found if _is_edit(change, finished))
    if not changes:
        return None
    for key, old, new in changes:
        check_code(key, old, new)
    # Before anything is written of an edit.
    check_same(folder.path, before, now, [key for key, _, _ in changes])
    starts = folder.read_starts()
    seed = now.search.seed
    asked = {
        name for name, start in starts.items() if answers_of(start, now.trials, seed) is not None
    }
    # No sampler draws baselines.
    searched = [trial for trial in finished if trial.kind != "baseline"]
    drawn = [trial for trial in searched if trial.id in asked]
    _check_comparable(folder, now, finished)
    judged = {t.id for t in trials if t.kind != "baseline" and (t.finished or t.rungs)}
    _check_early_stopping(folder, now, changes, whole=judged <= asked)
    to_measure = [trial for trial in finished if _unmeasured(trial, now)]
    wanted = {device for trial in to_measure for device in _unmeasured(trial, now)}
    check_measurable(wanted & {*measured_devices(now)}, on_cluster=on_cluster)
    _check_weights(folder, to_measure)
    return Edit(
        changes=changes,
        drawn=len(drawn),
        others=len(searched) - len(drawn),
        open_starts=sum(name not in ended and name not in asked for name in starts),
        to_measure=len(to_measure),
    )


def write_edit(folder: RunFolder, edit: Edit) -> None:
    """Append an edit to the run's edits.jsonl, so that no setting of before is lost."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "changes": [{"key": key, "old": old, "new": new} for key, old, new in edit.changes],
    }
    append_line(folder.edits, json.dumps(line, default=str, separators=(",", ":")))


def _differences(before: StudyConfig, now: StudyConfig) -> Iterator[Change]:
    yield from differences(before.to_plain(), now.to_plain())
    old_order, new_order = list(before.objectives), list(now.objectives)
    # A choice is ranked by the first.
    if old_order != new_order and set(old_order) == set(new_order):
        yield "objectives", ", ".join(old_order), ", ".join(new_order)


def _is_edit(change: Change, finished: list[Trial]) -> bool:
    """Tell whether a difference may be an edit; any other makes another study."""
    key, old, _ = change
    section, _, device = key.partition(".")
    if section == "profiles" and old is None:
        # It may come with a latency that no trial has: all are predicted from it.
        return not any(f"latency[{device}]" in trial.metrics for trial in finished)
    return section in EDITABLE and key.rpartition(".")[2] not in _FIXED


def _unmeasured(trial: Trial, now: StudyConfig) -> list[str]:
    """Return the devices on which the study compares and the trial has no latency."""
    return [device for device in now.devices if f"latency[{device}]" not in trial.metrics]


def _check_comparable(folder: RunFolder, now: StudyConfig, finished: list[Trial]) -> None:
    measured = {f"latency[{device}]" for device in now.devices}
    for key, names in (("objectives", now.objectives), ("constraints", now.constraints)):
        for name in names:
            without = [t for t in finished if name not in t.metrics and name not in measured]
            if without:
                raise UsageError(
                    f"{key}.{name}: {len(without)} of {len(finished)} finished trials in "
                    f"{folder.path} have no {name}, and their weights do not tell it; remove it, "
                    "or use --fresh for a new run"
                )


def _check_weights(folder: RunFolder, to_measure: list[Trial]) -> None:
    gone = [t.id for t in to_measure if not (folder.trial(t.id) / WEIGHTS_FILE).is_file()]
    if gone:
        raise UsageError(
            f"{folder.trial(gone[0])} has no {WEIGHTS_FILE}: without it trial {gone[0]} cannot be "
            f"measured again, which {len(gone)} of {len(to_measure)} networks lack; restore their "
            "files, or use --fresh for a new run"
        )


def _check_early_stopping(
    folder: RunFolder, now: StudyConfig, changes: tuple[Change, ...], *, whole: bool
) -> None:
    """Refuse what would let trials be stopped by what others reached under other rules."""
    if now.search.stop_early is None:
        return
    ranked = [key for key, _, _ in changes if key.partition(".")[0] == "objectives"]
    if whole and not ranked:
        return
    key = ranked[0] if ranked else changes[0][0]
    raise UsageError(
        f"{key} was edited, and search.stop_early compares trials with those that ran before "
        "under other settings. Use --fresh for a new folder, or --out for one of your own; with "
        f"search: {{warm_start: [{folder.path}]}} the new run learns from its trials"
    )


def _said(old: Any, new: Any) -> str:
    if old is None:
        return f"added, {_text(new)}"
    if new is None:
        return f"removed, was {_text(old)}"
    return f"{_text(old)} -> {_text(new)}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    return shown(str(value))
