"""Status of a run from its folder alone: what its search does, how far it is, its best so far."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from growsearch.errors import GrowsearchError, UsageError
from growsearch.files import folder_inside
from growsearch.report.describe import describe_trial
from growsearch.report.live.heartbeat import Heartbeat, RepeatsState, read_heartbeat
from growsearch.report.live.signs_of_life import SignsOfLife, signs_of_life
from growsearch.report.live.starts import Started, read_starts
from growsearch.report.live.time_left import Pace, TimeLeft
from growsearch.report.run_data import STUDY_FILE, Run, eligible, meets, read_run
from growsearch.shown_text import shown, shown_data
from growsearch.trial.progress_file import TrialProgress, read_progress
from growsearch.trial.record import Trial
from growsearch.trial.repeats import REPEATS
from growsearch.trial.trial_folder import FINISHED

SCHEMA = 1
# Of so many trials under way the progress is read.
_MOST_RUNNING = 1000
# So many choices that are finished, or were, are looked at.
_MOST_FINISHES = 100
State = Literal["running", "finished", "time_up", "interrupted", "failed", "gone", "unknown"]
_STATES: Mapping[str | None, State] = {
    "complete": "finished",
    "time": "time_up",
    "interrupted": "interrupted",
    "error": "failed",
    None: "gone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial under way: what it trains, and how far it is where its worker says so."""

    started: Started
    made_by: str
    progress: TrialProgress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What a run does at ``now``, Unix time in seconds; see `to_json` for what is made of it.

    ``repeats`` of the front follow the trials where the study asks for them; ``repeating`` is how
    far the one under way is. ``finishing`` are the folders inside the run in which a choice is
    trained at full length now.
    """

    run: Run
    state: State
    life: SignsOfLife
    heartbeat: Heartbeat | None
    running: tuple[RunningTrial, ...]
    unfinished: int
    wanted: int | None
    spent_s: float
    left: TimeLeft
    now: float
    repeats: RepeatsState | None = None
    repeating: TrialProgress | None = None
    finishing: tuple[str, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The best finished trial by the first objective, of those inside the constraints."""
        return best_trial(self.run)

    def to_json(self) -> dict[str, Any]:
        """Return the status as `growsearch status --json` prints it; see docs/guides/following.md.

        A key, once there, keeps its name and its meaning; new ones raise no ``schema``.
        """
        run, best = self.run, self.best
        objective = next(iter(run.objectives))
        return {
            "schema": SCHEMA,
            "run": str(run.folder.absolute()),
            "name": run.name,
            "state": self.state,
            "at": iso_time(self.now),
            "search": self._search(),
            "trials": {
                "wanted": self.wanted,
                "finished": len(run.finished),
                "failed": len(run.failed),
                "stopped_early": len(run.stopped),
                "rejected": run.rejected,
                "running": len(self.running),
                "unfinished": self.unfinished,
                "at_once": None if self.heartbeat is None else self.heartbeat.parallel,
            },
            "repeats": self._repeats(),
            "running": [_running_json(each) for each in self.running],
            "time": {
                "spent_s": round(self.spent_s, 1),
                "left_s": None if self.left.seconds is None else round(self.left.seconds, 1),
                "left_from": self.left.basis,
            },
            "best": None
            if best is None
            else {
                "id": best.id,
                "objective": objective,
                "value": best.metrics[objective],
                "made_by": describe_trial(best),
            },
            "front": {"size": len(run.front().members), "objectives": run.objectives},
            "finishing": [*map(shown, self.finishing)],
            "notes": [*map(shown, run.notes)],
        }

    def _repeats(self) -> dict[str, Any] | None:
        found = self.repeats
        if found is None:
            return None
        running = None
        if found.running and self.life.alive:
            running = {"id": found.running, **_progress_json(self.repeating)}
        return {"done": found.done, "wanted": found.wanted, "running": running}

    def _search(self) -> dict[str, Any]:
        beat, life = self.heartbeat, self.life
        return {
            "alive": life.alive,
            "how": shown(life.how),
            "last_sign": iso_time(life.last_at),
            "process": None if beat is None else beat.process,
            "host": None if beat is None else shown(beat.host),
            "started": None if beat is None else iso_time(beat.started_at),
            "end": None if beat is None else beat.end,
            "end_words": None if beat is None or not beat.words else shown(beat.words),
        }


def read_status(folder: Path, now: float | None = None) -> RunStatus:
    """Read what a run does; nothing is written, and nothing of it needs to be on this machine.

    Raises:
        UsageError: if the folder holds no run, or one that cannot be read.
    """
    now = time.time() if now is None else now
    # Before the ledger: a trial that finishes meanwhile is then among the finished ones alone.
    starts, heartbeat = read_starts(folder), read_heartbeat(folder)
    return status_of(read_run(folder), starts, heartbeat, now)


def status_of(
    run: Run, starts: Mapping[str, Started], heartbeat: Heartbeat | None, now: float
) -> RunStatus:
    """Return the status of a run that has been read."""
    life = signs_of_life(run.folder, heartbeat, now)
    known = {trial.id for trial in run.trials if not _tried_again(trial, heartbeat)}
    waiting = [started for name, started in starts.items() if name not in known]
    # Without a heartbeat nobody says which of them wait for their turn again.
    named = None if heartbeat is None else set(heartbeat.running)
    under_way = [s for s in waiting if life.alive and (named is None or s.id in named)]
    under_way = under_way[:_MOST_RUNNING]
    repeats = _repeats_of(run, heartbeat)
    running = tuple(
        RunningTrial(
            started=started,
            made_by=describe_trial(started.as_trial()),
            progress=read_progress(run.folder, started.id),
        )
        for started in under_way
    )
    wanted = _wanted(run, heartbeat)
    spent = _spent(run, heartbeat, life, now)
    done = len(run.trials)
    pace = Pace(
        wanted=wanted,
        done=done,
        done_here=max(0, done - (0 if heartbeat is None else heartbeat.resumed)),
        spent_s=spent,
        budget_s=None if heartbeat is None else heartbeat.time_budget_s,
        running=tuple(each.progress for each in running if each.progress is not None),
        repeats=_repeats_words(repeats),
    )
    return RunStatus(
        run=run,
        state=_state(life, heartbeat, done, wanted),
        life=life,
        heartbeat=heartbeat,
        running=running,
        unfinished=len(waiting) - len(running),
        wanted=wanted,
        spent_s=spent,
        left=pace.left(now) if life.alive else TimeLeft(seconds=None, basis="it does not run"),
        now=now,
        repeats=repeats,
        repeating=_repeating(run, repeats) if life.alive else None,
        finishing=tuple(_finishing(run.folder, now)),
    )


def is_run(folder: Path) -> bool:
    """Tell whether there is something of a run in ``folder``, be it damaged."""
    return os.path.lexists(folder / STUDY_FILE)


def best_trial(run: Run) -> Trial | None:
    """Return the best trial by the first objective: of equal ones the first to finish."""
    objective, direction = next(iter(run.objectives.items()))
    compared = [
        trial
        for trial in run.finished
        if eligible(trial, run.objectives) and meets(trial.metrics, run.constraints)
    ]
    pick = max if direction == "maximize" else min
    return pick(compared, key=lambda trial: trial.metrics[objective], default=None)


def _state(life: SignsOfLife, heartbeat: Heartbeat | None, done: int, wanted: int | None) -> State:
    if life.alive:
        return "running"
    if heartbeat is None and wanted is not None and done >= wanted:
        return "finished"
    if life.alive is None:
        return "unknown"
    return _STATES[None if heartbeat is None else heartbeat.end]


def _wanted(run: Run, heartbeat: Heartbeat | None) -> int | None:
    """Return how many trials the search goes for: as the session says, else as the study does."""
    if heartbeat is not None:
        return heartbeat.wanted
    asked = (run.study.get("search") or {}).get("trials")
    return asked if type(asked) is int and asked > 0 else None


def _tried_again(trial: Trial, heartbeat: Heartbeat | None) -> bool:
    """Tell whether a trial failed in an earlier session and is run again in this one."""
    if heartbeat is None or not trial.failed or trial.id not in heartbeat.running:
        return False
    return trial.ended_at is not None and trial.ended_at < heartbeat.started_at


def _repeats_of(run: Run, heartbeat: Heartbeat | None) -> RepeatsState | None:
    """Return how far the repeats are: as the session says, else that the study asks for some."""
    if heartbeat is not None:
        return heartbeat.repeats
    asked = (run.study.get("search") or {}).get("repeats")
    return RepeatsState() if type(asked) is int and asked > 0 else None


def _repeats_words(repeats: RepeatsState | None) -> str:
    if repeats is None or not repeats.open:
        return ""
    return "follow" if repeats.wanted is None else "are under way"


def _repeating(run: Run, repeats: RepeatsState | None) -> TrialProgress | None:
    if repeats is None or not repeats.running:
        return None
    try:
        folder = folder_inside(run.folder, REPEATS)
    except GrowsearchError:
        return None
    return read_progress(folder, repeats.running)


def _finishing(run: Path, now: float) -> Iterator[str]:
    """Yield the folders inside the run in which a choice is being finished."""
    try:
        folder = folder_inside(run, FINISHED)
        places = sorted(folder.iterdir())[:_MOST_FINISHES]
    except (GrowsearchError, OSError):
        return
    for place in places:
        if place.is_symlink() or not is_run(place):
            continue
        if signs_of_life(place, read_heartbeat(place), now).alive:
            yield f"{FINISHED}/{place.name}"


def _spent(run: Run, heartbeat: Heartbeat | None, life: SignsOfLife, now: float) -> float:
    """Return the seconds of the last session; without a heartbeat those that trials took."""
    if heartbeat is None:
        return float(sum(trial.duration_s for trial in run.trials))
    last = now if life.alive else heartbeat.written_at
    return max(0.0, last - heartbeat.started_at)


def _running_json(trial: RunningTrial) -> dict[str, Any]:
    started = trial.started
    return {
        "id": started.id,
        "number": started.number,
        "kind": shown(str(started.config.get("kind", ""))),
        "made_by": trial.made_by,
        "started": iso_time(started.started_at),
        **_progress_json(trial.progress),
    }


def _progress_json(progress: TrialProgress | None) -> dict[str, Any]:
    """Return how far a trial is; the same keys where nothing says so."""
    data: dict[str, Any] = {
        "phase": None,
        "epoch": None,
        "epochs": None,
        "step": None,
        "steps": None,
        "share": None,
        "values": {},
        "last_sign": None,
        "host": None,
    }
    if progress is None:
        return data
    return data | {
        "phase": progress.phase,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "step": progress.step or None,
        "steps": progress.steps or None,
        "share": None if progress.share is None else round(progress.share, 4),
        "values": shown_data(progress.values),
        "last_sign": iso_time(progress.written_at),
        "host": shown(progress.host),
    }


def iso_time(seconds: float | None) -> str | None:
    """Return Unix time as a date in UTC, such as 2026-11-28T17:20:01Z; None for none.

    Example:
        >>> from growsearch.report.live.status import iso_time
        >>> iso_time(0.0)
        '1970-01-01T00:00:00Z'
    """
    try:
        found = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return None if found is None else found.strftime("%Y-%m-%dT%H:%M:%SZ")


def check_is_run(folder: Path) -> None:
    """Refuse a folder in which there is no run yet, with what can be done.

    Raises:
        UsageError: naming the folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{shown(str(folder))} is not a folder; give the folder of a run")
