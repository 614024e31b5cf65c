"""Repeats of a front: its members are trained again with other seeds once the search is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from growsearch.files import folder_inside, make_folder
from growsearch.kinds import CandidateConfig, candidate_from_json, trial_id
from growsearch.report.live.heartbeat import RepeatsState
from growsearch.search.backends.time_budget import TimeBudget, TimeIsUp, ended_in_time
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.trial.record import Trial
from growsearch.trial.repeats import REPEATS, repeat_seed
from growsearch.trial.retries import Run, run_to_its_end
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeating:
    """How often a front is repeated, with seeds drawn from the study's, and what runs it.

    ``report`` receives every epoch, and ``retry_failed`` runs failed repeats of before again.
    ``note`` hears how far they are.
    """

    count: int
    seed: int
    report: Report
    run: Run
    retry_failed: bool = False
    note: Callable[[RepeatsState], None] = lambda _: None


def run_repeats(
    members: Sequence[Trial], task: TrialTask, how: Repeating, budget: TimeBudget
) -> tuple[str, ...]:
    """Train ``members`` so many times more, in this process; what is there already is kept.

    All get their first repeat before any gets its second, so that a budget that ends leaves them
    equally sure. A network that is taken as it is has nothing to repeat.

    Args:
        members: the trials on the front.
        task: of the search; repeats have a folder of their own inside its.
        how: how often, with which seeds.
        budget: of the search.

    Returns:
        Notes for people on what was not repeated and why, and on what was odd about the files.
    """
    trained = [member for member in members if member.config.get("which") != "mine"]
    if not how.count or not trained:
        how.note(RepeatsState(wanted=0))
        return ()
    folder = folder_inside(task.folder, REPEATS)
    make_folder(folder)
    inside = dataclasses.replace(task, folder=folder)
    done, wanted = 0, how.count * len(trained)
    notes: list[str] = []
    for number in range(1, how.count + 1):
        own = dataclasses.replace(how, seed=repeat_seed(how.seed, number))
        recorder = Recorder(RunFolder(folder), own.seed, retry_failed=how.retry_failed)
        if number == 1:
            notes.extend(recorder.notes)
        for member in trained:
            candidate = candidate_from_json(member.config)
            name = trial_id(candidate, own.seed)
            how.note(RepeatsState(done=done, wanted=wanted, running=name))
            trial = _repeat(candidate, inside, own, recorder, budget)
            if trial is None:
                how.note(RepeatsState(done=done, wanted=wanted))
                left = (
                    f"{wanted - done} of {wanted} repeats of the front were left out: "
                    f"{budget.reason}; run the same command again to go on"
                )
                return (left, *notes)
            done += 1
            if trial.failed:
                notes.append(f"repeat {number} of {member.id} failed: {trial.error}")
    how.note(RepeatsState(done=done, wanted=wanted))
    return tuple(notes)


def _repeat(
    candidate: CandidateConfig,
    task: TrialTask,
    how: Repeating,
    recorder: Recorder,
    budget: TimeBudget,
) -> Trial | None:
    """Return a repeat, run or known before; None where time is up."""
    known = recorder.known(candidate)
    if known is not None:
        return known
    if not budget.admits(recorder.trials.values()):
        return None
    recorder.begin(candidate, {})
    try:
        with ended_in_time(budget):
            trial = run_to_its_end(
                candidate, task, study_seed=how.seed, report=how.report, run=how.run
            )
    except TimeIsUp:
        return None
    return recorder.finish(trial)
