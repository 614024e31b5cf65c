"""Retries: a trial that raises, or whose process dies in the middle, is brought to its end.

Its folder holds what it has reached: a checkpoint of the last epoch, then its outcome, a ledger
line. Whoever takes the trial up again goes on from there. Both files leave once the ledger has it.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path

from growsearch.errors import GrowsearchError
from growsearch.fault_origin import machine_error, of_the_machine, origin_of, reason_of, run_is_gone
from growsearch.files import write_text
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.reading import read_json
from growsearch.trial.progress_file import PROGRESS
from growsearch.trial.record import Trial
from growsearch.trial.run import ARCHITECTURE, CHECKPOINT, Report, run_trial
from growsearch.trial.task import TrialTask
from growsearch.trial.trial_folder import made_trial_folder

# A trial that raises is taken up again so often; one whose worker dies, too.
MAX_FAILURES = 3
_OUTCOME = "outcome.json"

# `run_trial`, or what takes its place: (config, task, study seed, report) -> outcome.
Run = Callable[[CandidateConfig, TrialTask, int, Report], Trial]


def train_and_score(config: CandidateConfig, task: TrialTask, seed: int, report: Report) -> Trial:
    """Run a candidate as `run_trial` does; its number is the ledger's."""
    return run_trial(config, task, number=0, study_seed=seed, report=report)


def run_to_its_end(
    config: CandidateConfig,
    task: TrialTask,
    *,
    study_seed: int,
    report: Report,
    run: Run = train_and_score,
) -> Trial:
    """Return a trial's outcome and keep it in its folder; one that is there is not run again.

    What fails by the candidate's own fault is a failed trial. After a bug, of the network's code or
    of ours, it goes on from its last epoch, `MAX_FAILURES` times, and is then a failed one.

    Raises:
        GrowsearchError: if the machine, the storage or the data failed; see `fault_origin`.
    """
    with of_the_machine():
        folder = made_trial_folder(task.folder, trial_id(config, study_seed))
    kept = kept_outcome(folder)
    if kept is not None:
        return kept
    trial = _with_retries(config, task, study_seed, report, run)
    if not folder.is_dir():
        raise run_is_gone(task.folder)
    keep_outcome(folder, trial)
    return trial


def keep_outcome(folder: Path, trial: Trial) -> None:
    """Write the outcome down in one atomic step, before anybody hears of it."""
    write_text(folder / _OUTCOME, trial.to_line())


def kept_outcome(folder: Path) -> Trial | None:
    """Return the outcome that was written down and reached no ledger; a damaged one counts not.

    Nor does one of another trial than the folder's.
    """
    try:
        trial = Trial.from_json(read_json(folder / _OUTCOME, "it is run again"))
    except (GrowsearchError, ValueError, TypeError, AttributeError):
        return None
    return trial if trial.id == folder.name else None


def is_complete(folder: Path) -> bool:
    """Tell whether a trial finished and its ledger line was written: its attempts are forgotten."""
    return (folder / ARCHITECTURE).is_file() and not any(file.exists() for file in _left(folder))


def forget_attempts(folder: Path) -> None:
    """Remove what only served to take the trial of ``folder`` up again."""
    for file in _left(folder):
        with contextlib.suppress(OSError):
            file.unlink()


def _left(folder: Path) -> tuple[Path, ...]:
    """Return the files that only a trial under way has: outcome, checkpoints and progress."""
    stem = CHECKPOINT.partition(".")[0]
    return (folder / _OUTCOME, folder / PROGRESS, *folder.glob(f"{stem}.*"))


def failed_trial(config: CandidateConfig, study_seed: int, error: str) -> Trial:
    """Return the ledger entry of a candidate that came to nothing."""
    return Trial(
        id=trial_id(config, study_seed),
        number=0,
        kind=config.kind,
        status="failed",
        config=config.to_json(),
        seed=trial_seed(config, study_seed),
        error=error,
    )


def _with_retries(
    config: CandidateConfig, task: TrialTask, seed: int, report: Report, run: Run
) -> Trial:
    problem = ""
    for _ in range(1 + MAX_FAILURES):
        try:
            trial = run(config, task, seed, report)
        except Exception as error:
            origin = origin_of(error)
            if origin == "machine":
                raise machine_error(error, task.folder) from error
            if origin == "candidate":
                return failed_trial(config, seed, reason_of(error))
            problem = _say(error)
        else:
            return trial
    return failed_trial(config, seed, f"{problem}, {1 + MAX_FAILURES} times")


def _say(error: Exception) -> str:
    """Return the error in one line, with the place that raised it."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {text[:300]}{place}"
