"""Finishing: the network that a search chose, trained at full length under several seeds.

A search trains many networks for a short time on a part of the data. What it chose is trained once
more, for longer, on the training and validation examples together, and judged by the test examples
at the end alone. The candidate is that of its trial: what grew or was pruned does so again, within
the same budget.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from growsearch.datasets.preprocessing import preprocessing_of
from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.files import folder_inside
from growsearch.kinds import CandidateConfig, candidate_from_json, trial_id
from growsearch.kinds.longer import trained_for
from growsearch.search.config.file import load_study
from growsearch.search.config.select_settings import SelectSettings
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.pulse import pulse
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder, Start
from growsearch.search.study.latency_profiles import keep_profiles
from growsearch.search.study.run_preprocessing import keep_preprocessing
from growsearch.search.study.trial_task import trial_task
from growsearch.trial.record import Trial
from growsearch.trial.retries import run_to_its_end
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask
from growsearch.trial.trial_folder import FINISHED
from search_spaces import SearchSpaceError
from search_spaces.code_origin import FOUND_HERE, CodeNames
from search_spaces.user_code import is_own

# A search's trials are short: what it chose trains so many times as long, where nobody says more.
_TIMES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishOptions:
    """How a choice is finished.

    ``epochs`` None is four times those of its trial. Without ``with_validation`` it learns the
    training examples alone. ``report`` gives what hears of the epochs of each seed, by its place.
    """

    epochs: int | None = None
    seeds: int = 3
    with_validation: bool = True
    threads: int | None = None
    names: CodeNames = FOUND_HERE
    report: Callable[[int], Report] = lambda _: _silent


def _silent(record: object) -> None:
    """Hear of an epoch and do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Networks of one choice, a seed each.

    ``trials`` are those that came to an end, in the order of their seeds; ``failed`` those that did
    not, by the place of their seed. ``before`` is the trial that was chosen. ``notes`` say what was
    odd about the folder's files.
    """

    folder: Path
    before: Trial
    epochs: int
    trials: tuple[Trial, ...]
    failed: Mapping[int, Trial] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Trial:
        """The one to take: that of the first seed that came to an end, whatever the test says."""
        return self.trials[0]

    def values(self, metric: str) -> tuple[float, ...]:
        """Return a metric of every seed that has it."""
        return tuple(t.metrics[metric] for t in self.trials if metric in t.metrics)

    def mean_and_deviation(self, metric: str) -> tuple[float, float | None]:
        """Return the mean over seeds, and their standard deviation where there are several."""
        values = self.values(metric)
        return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishPlan:
    """What `finish` will do: the candidate, its seeds, its data and its place."""

    study: StudyConfig
    before: Trial
    candidate: CandidateConfig
    epochs: int
    seeds: tuple[int, ...]
    folder: RunFolder

    @property
    def forecast_s(self) -> float:
        """Seconds that all seeds take, judged by the trial that was chosen."""
        times = self.epochs / epochs_of(self.before)
        return float(self.before.duration_s or 0.0) * times * len(self.seeds)


def plan_finish(
    run: Path, trial: Trial, options: FinishOptions, out: Path | None = None
) -> FinishPlan:
    """Return what finishing ``trial`` of a run comes to; nothing is trained or written.

    Args:
        run: the run's folder.
        trial: a finished one of it.
        options: how.
        out: the folder; by default RUN/finished/ID-EPOCHS.

    Raises:
        UsageError: for a network that no training made, epochs or seeds out of range, or own code
            of the run that may not be imported.
    """
    study = load_study(run / "study.yaml", run=True)
    _check_names(study, trial, options.names)
    # The candidate first: it checks what a ledger says.
    chosen = candidate_from_json(trial.config)
    epochs = _TIMES * epochs_of(trial) if options.epochs is None else options.epochs
    if epochs < 1:
        raise UsageError(f"--epochs: {epochs} is no whole number above 0")
    if options.seeds < 1:
        raise UsageError(f"--seeds: {options.seeds} is no whole number above 0")
    candidate = trained_for(chosen, epochs)
    part = "" if options.with_validation else "-train"
    place = out or folder_inside(run, FINISHED) / f"{trial.id}-{epochs}{part}"
    training = study.training
    if options.threads is not None:
        training = training.model_copy(update={"threads": options.threads})
    # Its limit is one of short trials.
    search = study.search.model_copy(update={"time_limit": None, "trials": options.seeds})
    changed = study.model_copy(
        update={
            "name": f"{study.name[:70]}-finished",
            "whole": True if options.with_validation else None,
            "subset": None,
            "baselines": (),
            # The network was chosen; what it comes to is told and not asked again.
            "select": SelectSettings(),
            "search": search,
            "training": training,
        }
    )
    first = study.search.seed + 1
    return FinishPlan(
        study=changed,
        before=trial,
        candidate=candidate,
        epochs=epochs,
        seeds=tuple(first + index for index in range(options.seeds)),
        folder=RunFolder(place.absolute()),
    )


def finish(plan: FinishPlan, options: FinishOptions) -> Finished:
    """Train the choice under each seed, or what is left of that, and return the outcome.

    Its folder is a run like any other, for predict, export, evaluate and report, and for whoever
    follows it. What is there already is kept; a seed that was cut off goes on after its last epoch,
    and one that failed is trained again.

    Raises:
        UsageError: if the folder holds something else.
        GrowsearchError: if no seed comes to an end, or for trouble of the machine; with the seed.
    """
    dataset = plan.study.data_choice.load().dataset
    with plan.folder.locked():
        plan.folder.open(plan.study)
        reads = preprocessing_of(dataset, plan.study.judged_by())
        keep_preprocessing(plan.folder.path, reads)
        profiles = keep_profiles(plan.study, plan.folder)
        task = trial_task(plan.study, plan.folder.path, profiles)
        recorder = Recorder(plan.folder, plan.seeds[0], retry_failed=True)
        with pulse(
            recorder,
            wanted=len(plan.seeds),
            parallel=1,
            time_budget_s=None,
            time_was_up=lambda: None,
        ):
            for index in range(len(plan.seeds)):
                _train_seed(index, plan, task, recorder, options.report(index))
            found = [recorder.trials[trial_id(plan.candidate, seed)] for seed in plan.seeds]
            trials = tuple(trial for trial in found if trial.finished)
            failed = {index: trial for index, trial in enumerate(found) if not trial.finished}
            if not trials:
                each = "; ".join(f"seed {index + 1}: {t.error}" for index, t in failed.items())
                raise GrowsearchError(f"{plan.folder.path}: no seed came to an end: {each}")
    return Finished(
        folder=plan.folder.path,
        before=plan.before,
        epochs=plan.epochs,
        trials=trials,
        failed=failed,
        notes=recorder.notes,
    )


def _train_seed(
    index: int, plan: FinishPlan, task: TrialTask, recorder: Recorder, report: Report
) -> None:
    """Train the choice under one seed, unless the ledger has that.

    Raises:
        MachineError: for trouble of the machine, naming the seed.
    """
    seed = plan.seeds[index]
    name = trial_id(plan.candidate, seed)
    if name in recorder.trials:
        return
    now = round(time.time(), 3)
    start = Start(id=name, number=index, candidate=plan.candidate, params={}, started_at=now)
    try:
        recorder.begin_as(start)
        trial = run_to_its_end(plan.candidate, task, study_seed=seed, report=report)
        recorder.finish(dataclasses.replace(trial, number=index))
    except MachineError as error:
        place = f"seed {index + 1} of {len(plan.seeds)}"
        raise MachineError(f"{place}: {error}") from error


def epochs_of(trial: Trial) -> int:
    """Return the epochs of a trial's recipe."""
    return int(trial.config["epochs"])


def _check_names(study: StudyConfig, trial: Trial, names: CodeNames) -> None:
    """Refuse own code that the run names and that may not be imported.

    Raises:
        UsageError: with the key, the reason and the remedy.
    """
    check_data = getattr(names, "check_data", names.check)
    found: list[tuple[str, str, Callable[[str], None]]] = [
        ("dataset", study.dataset, check_data),
        ("task", study.task or "", names.check),
        *(("callbacks", name, names.check) for name in study.callbacks),
        *((key, name, names.check) for key, name in _own_names(trial.config)),
    ]
    for key, name, check in found:
        try:
            check(name)
        except SearchSpaceError as error:
            raise UsageError(f"{key}: {error}") from error


def _own_names(config: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the keys of a candidate that name own code."""
    return [(k, v) for k, v in config.items() if isinstance(v, str) and is_own(v)]
