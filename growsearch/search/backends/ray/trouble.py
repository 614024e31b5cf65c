"""Trouble of a search on Ray: what ends it as a whole, and workers that die under a trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayTaskError

from growsearch.errors import GrowsearchError, MachineError
from growsearch.kinds import candidate_from_json, trial_id
from growsearch.search.backends.time_budget import TimeBudget
from growsearch.search.ledger.recorder import Recorder
from growsearch.trial.retries import MAX_FAILURES, failed_trial

# In what a worker reports: a problem that every other trial would meet too.
FATAL = "fatal"


class Trouble:
    """What ends a whole search: the first problem that every other trial would meet too."""

    def __init__(self) -> None:
        self.error: GrowsearchError | None = None

    @property
    def message(self) -> str | None:
        """What is to be said about it, if there is trouble."""
        return None if self.error is None else str(self.error)

    def note(self, error: GrowsearchError) -> None:
        """Keep the first one."""
        self.error = self.error or error


class TrialWatch(tune.Callback):  # type: ignore[misc]
    """Notes what workers report beside results, and workers that died."""

    def __init__(self, recorder: Recorder, seed: int, trouble: Trouble) -> None:
        self._recorder = recorder
        self._seed = seed
        self._trouble = trouble

    def on_trial_result(self, *, result: Mapping[str, Any], **_: Any) -> None:
        """Keep a fatal message."""
        if result.get(FATAL):
            self._trouble.note(MachineError(str(result[FATAL])))

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:
        """Say that a worker died and what becomes of its trial."""
        name = trial_id(candidate_from_json(trial.config["candidate"]), self._seed)
        self._recorder.incidents.append(
            f"trial {name}: its worker died ({trial.num_failures} of at most "
            f"{MAX_FAILURES} times); it was taken up again where it had been"
        )

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Record a trial whose worker died too often as failed; it would kill the next one too.

        One that never came to run stays unfinished. A worker that cannot even start the trial is
        the machine's trouble.
        """
        candidate = candidate_from_json(trial.config["candidate"])
        failures = trial.num_failures
        error = trial.get_pickled_error()
        if isinstance(error, RayTaskError):
            self._recorder.abandon(trial_id(candidate, self._seed))
            self._trouble.note(
                MachineError(
                    f"a worker cannot start a trial ({str(error).strip().splitlines()[-1][:300]}); "
                    "install the same version of everything on every node, and run again"
                )
            )
            return
        if failures <= MAX_FAILURES:
            self._recorder.abandon(trial_id(candidate, self._seed))
            return
        reason = (
            f"WorkerDied: its worker died {failures} times ({_last_line(trial.error_file)}); a "
            "trial that needs more memory than there is does that"
        )
        try:
            self._recorder.finish(failed_trial(candidate, self._seed, reason))
        except GrowsearchError as problem:
            self._trouble.note(problem)


def _last_line(file: str | None) -> str:
    try:
        lines = Path(file or "").read_text(errors="replace").strip().splitlines()
    except OSError:
        return "Ray kept no reason"
    return lines[-1][:200] if lines else "Ray kept no reason"


class StopAtTrouble(tune.Stopper):  # type: ignore[misc]
    """Ends the whole search at the first trouble, or when time is up."""

    def __init__(self, trouble: Trouble, budget: TimeBudget) -> None:
        self._trouble, self._budget = trouble, budget

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Tell whether to stop; Tune asks before it tells the callbacks."""
        if result.get(FATAL):
            self._trouble.note(MachineError(str(result[FATAL])))
        return self.stop_all()

    def stop_all(self) -> bool:
        """Tell whether all trials are to stop; Tune asks all the time."""
        return self._trouble.error is not None or self._budget.is_over()
