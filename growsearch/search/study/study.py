"""Study: a search from its first line to its front; it owns the trials and the front."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from growsearch.datasets import WITH_KEYS, Dataset, load_dataset, pinned_dataset
from growsearch.datasets.arrays import write_dataset
from growsearch.datasets.preprocessing import preprocessing_of
from growsearch.datasets.streams.known_labels import KnownLabels
from growsearch.errors import UsageError
from growsearch.export import ExportResult
from growsearch.files import write_json
from growsearch.kinds import Learning
from growsearch.pareto import Front, Point
from growsearch.reading import reading
from growsearch.report import Choice, front_of_trials, read_run, study_choice
from growsearch.report.live.heartbeat import RepeatsState
from growsearch.search.backends.serial import run_serial
from growsearch.search.backends.time_budget import TimeBudget
from growsearch.search.config.data_settings import DataSettings
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.config.python_objects import name_objects
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.mirror import mirror_of, mirrored
from growsearch.search.ledger.pulse import pulse
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder, check_local
from growsearch.search.samplers.initial_points import points_to_evaluate
from growsearch.search.samplers.warm_start import earlier_trials
from growsearch.search.study.baselines import baseline_candidates, count_baselines, run_baselines
from growsearch.search.study.checks import (
    check_bounds,
    check_kinds,
    check_task,
    check_training_device,
)
from growsearch.search.study.edits import edit_of, write_edit
from growsearch.search.study.front_measurement import measure_front
from growsearch.search.study.latency_profiles import (
    check_devices,
    check_profiles,
    keep_profiles,
    measured_devices,
)
from growsearch.search.study.measuring_again import measure_again
from growsearch.search.study.notebook import study_html
from growsearch.search.study.repeats import Repeating, run_repeats
from growsearch.search.study.run_preprocessing import keep_preprocessing
from growsearch.search.study.trial_export import export_trial, load_trial
from growsearch.search.study.trial_task import trial_task
from growsearch.search.study.typed_objects import check_can_be_sent, typed_of
from growsearch.search.trackers import followed
from growsearch.training import own_hooks
from growsearch.trial.judged_examples import examples_of
from growsearch.trial.record import Trial
from growsearch.trial.retries import Run, train_and_score
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask

# In a run's folder: the data that a study was given in memory.
_DATA = "data"
# Of a time budget, what baselines may have spent when another of them begins.
_BASELINES_SHARE = 0.5

Around = Callable[[Recorder], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """How a study runs, beside what it searches.

    ``around`` is entered for the time of the search (live progress). ``report`` receives every
    epoch of the serial backend, and as a `Listener` its steps and what a resumed trial has behind
    it. ``clock`` gives the seconds that a time budget counts, from ``started`` on, or from when
    the study runs. ``retry_failed`` runs failed trials of an earlier session again. ``address`` is
    of a running Ray cluster, "auto" or HOST:PORT. ``run`` is what runs a candidate.
    ``editable`` takes a study that was edited since its run began, see decision 0033.
    """

    retry_failed: bool = False
    address: str | None = None
    run: Run = train_and_score
    around: Around = field(default=lambda _: nullcontext())
    report: Report = field(default=lambda _: None)
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    editable: bool = True


class Study:
    """A search: its configuration, its run folder and, once run, its trials and front.

    Args:
        config: a `StudyConfig`, a mapping of a study's keys, or the path of a YAML file. In a
            mapping ``dataset`` may be a `Dataset`, a pair (inputs, labels), a
            torch.utils.data.Dataset or a function that returns one of them, ``space`` a class of
            your own networks and ``transform`` a function of your own: at the top level of a
            module, so that workers can import them, or typed into this session, which sends them
            to its own workers (decision 0034); ``notes`` then says what that means for the run.
        folder: where the run lives; default ``runs/<name>``. An existing run resumes. On a cluster
            all nodes must see it.

    Raises:
        UsageError: naming the key of the study that is wrong, its value, the rule and the remedy.
    """

    def __init__(
        self, config: StudyConfig | Mapping[str, Any] | Path | str, folder: Path | str | None = None
    ) -> None:
        self._dataset: Dataset | None = None
        self._read_labels: KnownLabels | None = None
        if isinstance(config, Path | str):
            config = load_study(Path(config))
        elif not isinstance(config, StudyConfig):
            with reading("study", "write it as in examples/digits.yaml"):
                named = name_objects(config)
            config, self._dataset = parse_study(named.settings), named.dataset
        self.config = config
        folder = Path("runs") / config.name if folder is None else Path(folder)
        check_local(folder)
        self.folder = RunFolder(folder.absolute())
        if self._in_memory is not None:
            data_dir = self.folder.path / _DATA
            self.config = config.model_copy(update={"data_dir": data_dir})
        self.trials: tuple[Trial, ...] = ()
        self.resumed_trials = 0
        self.data_lines: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = tuple(each.told for each in typed_of(self.config))
        self.incidents: tuple[str, ...] = ()
        self.check_notes: tuple[str, ...] = ()
        self.time_was_up: str | None = None

    def run(self, options: StudyOptions | None = None) -> Front:
        """Search until the ledger holds the study's trials, or time is up; return the front.

        Trials that an earlier session finished are kept and not run again; those that it started
        and did not finish run first.

        Raises:
            UsageError: for wrong input, before anything is trained.
            GrowsearchError: for storage or Ray trouble; what was finished is kept.
        """
        options = options or StudyOptions()
        self.check_notes = ()
        budget = TimeBudget(
            seconds=self.config.search.time_budget, clock=options.clock, started=options.started
        )
        if options.address is not None and self.config.search.backend == "serial":
            raise UsageError("--address: the serial backend uses no cluster; use --backend ray")
        typed = typed_of(self.config)
        if self.config.search.backend != "serial":
            check_can_be_sent(typed)
        learning = self._learning()
        dataset = learning.dataset
        self.data_lines = learning.summary
        check_task(self.config, learning)
        self._read_labels = learning.read_labels
        own_hooks(self.config.callbacks, folder=self.folder.path, seed=0)
        notes = check_kinds(self.config, dataset)
        check_bounds(self.config, dataset)
        baseline_candidates(self.config)
        quality = self.config.metrics.quality(self.config.quality_names)
        quality.check(dataset, self.config.data_dir)
        check_profiles(self.config, self.folder)
        if options.address is None:
            # Before there is a run's folder.
            check_training_device(self.config.training.device)
        points_to_evaluate(self.config.trials, self.config.search.points_to_evaluate)
        earlier_trials(self.config)
        mirror = mirror_of(self.config.mirror, self.folder)
        with self.folder.locked():
            if mirror is not None:
                mirror.fetch()
            edited = self._open(options)
            keep_preprocessing(self.folder.path, preprocessing_of(dataset, self.config.judged_by()))
            if self._in_memory is not None:
                write_dataset(self._in_memory, self.folder.path / _DATA)
            profiles = keep_profiles(self.config, self.folder)
            recorder = Recorder(
                self.folder, self.config.search.seed, retry_failed=options.retry_failed
            )
            told = (*(each.told for each in typed), *edited)
            self.notes = (*told, *notes, *recorder.notes)
            self.resumed_trials = recorder.resumed
            recorder.repeats = RepeatsState() if self.config.search.repeats else None
            try:
                with (
                    self._pulse(recorder, budget),
                    mirrored(mirror, recorder),
                    options.around(recorder),
                    followed(recorder, self.config.trackers, self.config.name),
                ):
                    self._measure_again(recorder, options, profiles)
                    self._search(recorder, options, profiles, budget)
                    self._baselines_left_out(recorder, options, profiles, budget)
                    self._check_front(recorder, profiles)
                    self._repeat_front(recorder, options, profiles, budget)
                    self.trials = _in_order(recorder)
                    recorder.check_there()
                    front = self._write_front()
            finally:
                self.trials = _in_order(recorder)
                self.incidents = tuple(recorder.incidents)
            return front

    def _open(self, options: StudyOptions) -> list[str]:
        """Open the run's folder, and write down how the study was edited; return what to tell."""
        edit = None
        if options.editable:
            on_cluster = options.address is not None
            edit = edit_of(self.folder, self.config, on_cluster=on_cluster)
        if edit is None:
            self.folder.open(self.config)
            return []
        write_edit(self.folder, edit)
        self.folder.open(self.config, [key for key, _, _ in edit.changes])
        return edit.notes()

    def _measure_again(
        self, recorder: Recorder, options: StudyOptions, profiles: Mapping[str, Path]
    ) -> None:
        """Take the latencies that an edit asked for and trials of before lack."""
        devices = {device: profiles.get(device) for device in self.config.devices}
        own = measured_devices(self.config)
        measure_again(recorder, devices, own, on_cluster=options.address is not None)

    def load(self, which: Point | str) -> nn.Module:
        """Return the trained network of a trial, its zeros in place, in evaluation mode.

        Args:
            which: a point of the front, or a trial's id or its unique beginning.

        Raises:
            UsageError: if there is no such trial, or its files are missing or of another network.
        """
        return load_trial(self.folder.path, which)

    def export(
        self, which: Point | str, folder: Path | str | None = None, *, onnx: bool = False
    ) -> ExportResult:
        """Write a trial's network to ``folder``, ready to use and proven equal.

        Args:
            which: a point of the front, or a trial's id or its unique beginning.
            folder: by default export/ID in the run's folder.
            onnx: write model.onnx, too.

        Raises:
            UsageError: if there is no such trial.
            GrowsearchError: if what was written is not equal, or cannot be written.
        """
        place = None if folder is None else Path(folder)
        return export_trial(self.folder.path, which, place, onnx=onnx)

    def _repr_html_(self) -> str:
        """Return the study for a notebook: its picture and its front, as far as it has run."""
        return study_html(self.config.name, self.folder.path, self.notes)

    def _pulse(self, recorder: Recorder, budget: TimeBudget) -> AbstractContextManager[None]:
        search = self.config.search
        beside = count_baselines(self.config, recorder)
        return pulse(
            recorder,
            wanted=None if search.trials is None else search.trials + beside,
            parallel=search.parallel,
            time_budget_s=search.time_budget,
            time_was_up=lambda: self.time_was_up,
            elapsed_s=budget.elapsed(),
        )

    @property
    def _in_memory(self) -> Dataset | None:
        """The data that the study was given and that can be written into its run."""
        given = self._dataset
        return None if given is None or given.train.streamed else given

    @property
    def _streamed(self) -> Dataset | None:
        """The data that the study was given and that goes along with its trials."""
        given = self._dataset
        return given if given is not None and given.train.streamed else None

    def _learning(self) -> Learning:
        """Load the data; own data gets the hash of its content into its name."""
        config = self.config
        if config.text is not None:
            return config.data_choice.load()
        choice = config.data_choice
        whole = self._dataset or load_dataset(
            config.dataset, config.data_dir, choice.task, keys=choice.keys
        )
        update: dict[str, Any] = {"dataset": pinned_dataset(config.dataset, whole)}
        if config.dataset in WITH_KEYS:
            # Found out once, and the same for every trial and every resume.
            size = {"image_size": whole.input_shape[1:]}
            update["data"] = (config.data or DataSettings()).model_copy(update=size)
        self.config = config.model_copy(update=update)
        return self.config.data_choice.of(whole)

    def _check_front(self, recorder: Recorder, profiles: Mapping[str, Path]) -> None:
        self.trials = _in_order(recorder)
        members = [member.id for member in self.front.members]
        notes = measure_front(recorder, members, profiles)
        self.check_notes = (*self.check_notes, *notes)

    def _repeat_front(
        self,
        recorder: Recorder,
        options: StudyOptions,
        profiles: Mapping[str, Path],
        budget: TimeBudget,
    ) -> None:
        """Train the front's members again with other seeds, as often as the study asks."""
        search = self.config.search
        if not search.repeats:
            return
        known = {trial.id: trial for trial in self.trials}
        members = [known[member.id] for member in self.front.members]
        how = Repeating(
            count=search.repeats,
            seed=search.seed,
            report=options.report,
            run=options.run,
            retry_failed=options.retry_failed,
            note=recorder.note_repeats,
        )
        notes = run_repeats(members, self._task(profiles), how, budget)
        self.check_notes = (*self.check_notes, *notes)

    def _task(self, profiles: Mapping[str, Path]) -> TrialTask:
        return trial_task(
            self.config,
            self.folder.path,
            profiles,
            given=self._streamed,
            read_labels=self._read_labels,
        )

    def _search(
        self,
        recorder: Recorder,
        options: StudyOptions,
        profiles: Mapping[str, Path],
        budget: TimeBudget,
    ) -> None:
        task = self._task(profiles)
        config = self._with_baselines(task, recorder, options, budget)
        if len(recorder.trials) >= config.search.most_trials:
            return
        if options.address is None:
            # A cluster may have a device that this machine has not.
            check_devices(measured_devices(self.config))
        if self.config.search.backend == "serial":
            run_serial(config, task, recorder, options.report, options.run, budget=budget)
            self.time_was_up = budget.reason
            return
        # Ray takes seconds to import: only a search that uses it waits.
        from growsearch.search.backends.ray.backend import RayOptions, run_ray

        how = RayOptions(address=options.address, run=options.run)
        run_ray(config, task, recorder, how, budget=budget)
        self.time_was_up = budget.reason

    def _run_baselines(
        self,
        task: TrialTask,
        recorder: Recorder,
        options: StudyOptions,
        budget: TimeBudget,
        share: float,
    ) -> int:
        """Run baselines while less than a share of the time is spent; return how many are left."""
        return run_baselines(
            self.config,
            task,
            recorder,
            options.report,
            options.run,
            budget=budget,
            share=share,
        )

    def _baselines_left_out(
        self,
        recorder: Recorder,
        options: StudyOptions,
        profiles: Mapping[str, Path],
        budget: TimeBudget,
    ) -> None:
        """Run the baselines that half of the time budget did not do for, if there is time left."""
        if left := self._run_baselines(self._task(profiles), recorder, options, budget, 1.0):
            self.check_notes = (
                *self.check_notes,
                f"{left} baselines were left out: half of the time budget is kept for the search; "
                "run the same command again to go on",
            )

    def _with_baselines(
        self, task: TrialTask, recorder: Recorder, options: StudyOptions, budget: TimeBudget
    ) -> StudyConfig:
        """Run the study's baselines, and return it with so many more trials to come to.

        Half of a time budget is for the search, whatever they take.
        """
        config = self.config
        self._run_baselines(task, recorder, options, budget, _BASELINES_SHARE)
        count = sum(trial.kind == "baseline" for trial in recorder.trials.values())
        if not count or config.search.trials is None:
            return config
        search = config.search.model_copy(update={"trials": config.search.trials + count})
        return config.model_copy(update={"search": search})

    @property
    def front(self) -> Front:
        """The front of the finished trials that meet every hard constraint."""
        config = self.config
        front = front_of_trials(self.trials, config.objectives, config.bounds())
        examples = examples_of(self.folder.path, self.trials)
        wishes = config.select.wishes().of_examples(examples)
        return dataclasses.replace(front, wishes=wishes, examples=examples)

    @property
    def choice(self) -> Choice:
        """What the study's own ``select`` chooses of its run, as the report and `select` do.

        Raises:
            UsageError: if there is no run yet, or nothing to choose from.
        """
        return study_choice(read_run(self.folder.path))

    def _write_front(self) -> Front:
        front = self.front
        write_json(self.folder.front, front_json(front, self.trials), make_folder=False)
        return front


def _in_order(recorder: Recorder) -> tuple[Trial, ...]:
    return tuple(sorted(recorder.trials.values(), key=lambda trial: trial.number))


def front_json(front: Front, trials: tuple[Trial, ...]) -> dict[str, Any]:
    """Return front.json: no dates and no durations, so that equal searches give equal files."""
    known = {trial.id: trial for trial in trials}
    return {
        "directions": dict(front.directions),
        "reference": front.nadir() if front.points else None,
        "hypervolume": front.hypervolume(),
        "members": [
            {
                "id": member.id,
                "kind": known[member.id].kind,
                "network_hash": known[member.id].network_hash,
                "values": {name: member.values[name] for name in front.directions},
                **_measured_beside(known[member.id]),
            }
            for member in front.members
        ],
    }


def _measured_beside(trial: Trial) -> dict[str, Any]:
    """Return the predicted latencies that were measured afterwards, both figures by device."""
    beside = {
        device: {"predicted_s": entry.value_s, "measured_s": entry.measured.compared_s}
        for device, entry in trial.latency.items()
        if entry.measured is not None
    }
    return {"measured": beside} if beside else {}
