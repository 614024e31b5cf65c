"""Ledger file: the trials of a run, one a line, read to the last whole line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from growsearch.errors import UsageError
from growsearch.garbage import without_cycle_search
from growsearch.reading import read_limited, reason
from growsearch.shown_text import shown
from growsearch.trial.record import Trial

_MAX_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The trials of a run in the order they finished, and what was odd about the file."""

    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()

    def by_id(self) -> dict[str, Trial]:
        """Return the trials by id."""
        return {trial.id: trial for trial in self.trials}


def read_ledger(path: Path) -> Ledger:
    """Read ``trials.jsonl``; a file that is not there is an empty ledger.

    A line cut short by a crash is skipped with a note, also where a later append closed it off with
    a line break. An id that comes twice keeps its later entry, in the earlier one's place where
    that is the same trial with more measured of it.

    Raises:
        UsageError: for a line that is whole and still no trial, with file, line and remedy.
    """
    # A link that leads nowhere is no ledger that was never begun.
    if not os.path.lexists(path):
        return Ledger(trials=())
    try:
        content = read_limited(path, _MAX_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {shown(str(path))}: {reason(error)}; restore the file, or start anew "
            "with --fresh"
        ) from error
    return _parse(path, content.split(b"\n"))


@without_cycle_search()
def _parse(path: Path, lines: list[bytes]) -> Ledger:
    trials: dict[str, Trial] = {}
    notes: list[str] = []
    for number, whole in enumerate(lines, start=1):
        # A power cut leaves NUL bytes where a file had grown and its content was not written yet.
        line = whole.strip(b"\0")
        if not line.strip():
            continue
        place = f"{shown(str(path))}:{number}"
        try:
            trial = Trial.from_line(line)
        except MemoryError:
            raise
        except Exception as error:
            if number == len(lines) or _cut_short(line):
                notes.append(f"{place}: a line cut short by a crash was ignored")
                continue
            raise UsageError(
                f"{place}: not a trial ({reason(error)}). Remove this line (the trial is then run "
                "again when the search resumes) or restore the file."
            ) from error
        before = trials.get(trial.id)
        if before is not None and not trial.checked and not _has_more(trial, before):
            notes.append(f"{place}: trial {trial.id} comes again; the later entry counts")
            del trials[trial.id]
        trials[trial.id] = trial
    return Ledger(trials=tuple(trials.values()), notes=tuple(notes))


def _has_more(later: Trial, before: Trial) -> bool:
    """Tell whether a later entry is the earlier one with what was measured again beside it."""
    return (
        later.finished
        and (later.config, later.seed, later.ended_at)
        == (before.config, before.seed, before.ended_at)
        and later.metrics.keys() > before.metrics.keys()
        and all(later.metrics[name] == value for name, value in before.metrics.items())
    )


def _cut_short(line: bytes) -> bool:
    """Tell whether ``line`` starts an object that never closes.

    `growsearch.files.append_line` closes a torn line off with a line break, so that one may stand
    in the middle of a ledger; its trial was never recorded and runs again.
    """
    if b"\0" in line:
        return True
    if not line.startswith(b"{"):
        return False
    depth, in_string, escaped = 0, False, False
    for byte in line:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        else:
            depth += (byte in b"{[") - (byte in b"}]")
            if depth == 0:
                return False
    return True
