"""Run of one trial: train a candidate, score it, keep its files; no Ray in here."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from growsearch.errors import DivergedError, GrowsearchError, MachineError
from growsearch.fault_origin import machine_error, of_the_machine, origin_of, reason_of
from growsearch.files import write_bytes, write_json, write_text
from growsearch.kinds import (
    CandidateConfig,
    TrainedCandidate,
    TrainingContext,
    kind_of,
    trial_id,
    trial_seed,
)
from growsearch.tickets import write_ticket
from growsearch.training import EpochRecord, Hook, TrainingOptions, TrainingState, own_hooks
from growsearch.training.checkpoints.checkpoint import read_checkpoint
from growsearch.training.checkpoints.weights_file import weights_bytes
from growsearch.training.devices import training_device
from growsearch.training.parallel.workers import ALONE, Workers
from growsearch.trial.judged_examples import write_judged
from growsearch.trial.progress_file import ProgressFile
from growsearch.trial.record import JUDGED, LEARNED, Trial
from growsearch.trial.score import score
from growsearch.trial.task import TrialTask, machine_lock
from growsearch.trial.time_limit import limited
from growsearch.trial.trial_folder import made_trial_folder

Report = Callable[[EpochRecord], None]
Resumed = Callable[[Sequence[EpochRecord]], None]
Step = Callable[[int, int], None]

# In a trial's folder while it trains: what it was like after its last epoch.
CHECKPOINT = "checkpoint.safetensors"
# Written last: a folder with an architecture has everything.
ARCHITECTURE = "architecture.json"


@dataclass(frozen=True, slots=True)
class Listener:
    """A report that also hears of the epochs which a trial had behind it when it was cut off.

    ``step`` hears of every step: how many of its epoch are done, and how many there are.
    """

    epoch: Report
    resumed: Resumed
    step: Step | None = None

    def __call__(self, record: EpochRecord) -> None:
        """Hear of an epoch that was just trained."""
        self.epoch(record)


class StopTrialError(Exception):
    """Raised by a trial's ``report`` to end it after the epoch that it has just heard of."""


def run_trial(
    config: CandidateConfig,
    task: TrialTask,
    *,
    number: int,
    study_seed: int,
    report: Report,
    workers: Workers = ALONE,
) -> Trial:
    """Run one candidate to its end and return its ledger entry.

    A candidate that cannot be built, trained or measured (no sparsity that keeps its MACs, a
    diverging loss, a machine too noisy to measure on, more time than it is given) comes back as a
    failed trial with the reason. One that was cut off goes on after its last epoch and ends as it
    would have, bit for bit.

    Args:
        config: what to train.
        task: the study's data, devices and run folder.
        number: the trial's place in the study.
        study_seed: with the config it fixes the trial's own seed.
        report: called after every epoch; `StopTrialError` out of it ends the trial, which comes
            back as stopped, with what its last epoch told. A `Listener` hears of the epochs of an
            earlier attempt, too, and may end the trial then.
        workers: those that train its network together, each of which calls this. What the first one
            returns is the trial's outcome; the others measure and write nothing.

    Raises:
        GrowsearchError: if the machine, the storage or the data failed: no candidate's fault.
        Exception: a bug, of the network's code or of ours.
    """
    torch.set_num_threads(task.threads)
    started = time.monotonic()
    seed = trial_seed(config, study_seed)
    name = trial_id(config, study_seed)
    failed = Trial(
        id=name,
        number=number,
        kind=config.kind,
        status="failed",
        config=config.to_json(),
        seed=seed,
    )
    last: list[EpochRecord] = []

    def listen(record: EpochRecord) -> None:
        last[:] = [record]
        report(record)

    def resumed(records: Sequence[EpochRecord]) -> None:
        last[:] = records[-1:]
        if isinstance(report, Listener):
            report.resumed(records)

    try:
        step = report.step if isinstance(report, Listener) else None
        trial = _train_and_score(config, task, failed, Listener(listen, resumed, step), workers)
    except StopTrialError:
        trial = stopped_trial(failed, last[-1])
    except Exception as error:
        origin = origin_of(error)
        if origin == "machine":
            raise machine_error(error, task.folder) from error
        if origin == "program":
            raise
        trial = dataclasses.replace(failed, error=reason_of(error))
    duration = round(time.monotonic() - started, 3)
    return dataclasses.replace(trial, duration_s=duration, ended_at=round(time.time(), 3))


def _also(listener: Listener, progress: ProgressFile) -> Listener:
    """Return a listener that first keeps the trial's progress file."""

    def epoch(record: EpochRecord) -> None:
        progress.epoch(record)
        listener.epoch(record)

    def resumed(records: Sequence[EpochRecord]) -> None:
        progress.resumed(records)
        listener.resumed(records)

    def step(done: int, steps: int) -> None:
        progress.step(done, steps)
        if listener.step is not None:
            listener.step(done, steps)

    return Listener(epoch, resumed, step)


class _Steps(Hook):
    """Tells of every step; it takes no part in the run, and is there if nobody listens, too.

    A checkpoint names hooks by their places, which must not depend on who listens.
    """

    def __init__(self, step: Step | None) -> None:
        self._step = step

    def after_update(self, state: TrainingState) -> None:
        if self._step is not None:
            self._step(state.step - state.epoch_start, state.epoch_steps)

    def state(self) -> Mapping[str, Tensor]:
        return {}


def stopped_trial(trial: Trial, record: EpochRecord) -> Trial:
    """Return the entry of a trial that was ended after ``record``'s epoch."""
    judged = {} if record.accuracy is None else {"accuracy": record.accuracy}
    metrics = {
        "epochs": record.epoch,
        **judged,
        **record.metrics,
        "macs": record.forward_macs,
        "training_macs": record.training_macs,
    }
    return dataclasses.replace(trial, status="stopped", metrics=metrics, error=None)


def _train_and_score(
    config: CandidateConfig, task: TrialTask, trial: Trial, listener: Listener, workers: Workers
) -> Trial:
    with of_the_machine():
        folder = made_trial_folder(task.folder, trial.id)
        learning = task.data.load()
        lock = machine_lock()
        learning = dataclasses.replace(learning, device=training_device(task.computing.device))
    if task.kinds is not None:
        task.kinds.note_files()
    progress = None
    if workers.is_first:
        epochs = kind_of(config).epochs(config)
        progress = ProgressFile(folder, epochs, learned=learning.whole)
        listener = _also(listener, progress)
    callbacks = own_hooks(task.callbacks, folder=folder, seed=trial.seed)
    options = task.computing.options(
        TrainingOptions(
            hooks=(_Steps(listener.step), *callbacks),
            # The others wait for the first one at each step: one lock and one clock are enough.
            guard=limited(lock.shared, task.time_limit_s) if workers.is_first else nullcontext,
            on_epoch=listener.epoch,
            on_resume=listener.resumed,
            checkpoint=_usable(folder) if workers.is_first else folder / CHECKPOINT,
            workers=workers,
        ),
        config.own_precision,
    )
    context = TrainingContext(
        learning=learning,
        seed=trial.seed,
        run=task.folder,
        data_dir=task.data.folder,
        space=None if task.kinds is None else task.kinds.get(config.kind),
        lock=lock,
    )
    candidate = kind_of(config).train(config, context, options)
    if progress is None:
        return trial
    progress.measuring()
    check_finite(candidate)
    candidate = candidate.in_units(learning.task(candidate.model))
    found = score(
        candidate.model,
        learning,
        {device: task.profiles.get(device) for device in task.devices},
        lock,
        training_macs=candidate.training_macs,
        measure_latency=task.measure,
    )
    with lock.shared():
        quality = task.quality.take(candidate.model, learning, task.data.folder, learning.judged_by)
    check_metrics({**found.metrics, **quality})
    with of_the_machine():
        if found.right is not None:
            write_judged(folder, found.right.cpu().numpy())
        write_files(folder, candidate, learned=learning.whole)
    return dataclasses.replace(
        trial,
        status="finished",
        metrics={**found.metrics, **quality, **_training_metrics(candidate)},
        latency=found.latency,
        network=candidate.network.to_json(),
        network_hash=candidate.network.hash,
        layers=found.layers,
    )


def checkpoints(folder: Path) -> tuple[Path, ...]:
    """Return what a trial with this folder keeps of its epochs: of each of its parts a file."""
    stem, _, suffix = CHECKPOINT.partition(".")
    return tuple(sorted(folder.glob(f"{stem}*.{suffix}")))


def _usable(folder: Path) -> Path:
    """Return the checkpoint's path; files that were damaged are removed: that part starts again."""
    for file in checkpoints(folder):
        try:
            read_checkpoint(file)
        except MachineError:
            raise
        except GrowsearchError:
            file.unlink()
    return folder / CHECKPOINT


def check_finite(candidate: TrainedCandidate) -> None:
    """Refuse a network that the last update broke: no loss was computed after it.

    Raises:
        DivergedError: naming the tensor.
    """
    for name, tensor in candidate.model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DivergedError(
                f"{name} is not finite after the last step, in epoch {len(candidate.history)}; "
                "lower the learning rate"
            )


def check_metrics(found: Mapping[str, float]) -> None:
    """Refuse a measure that is no number: logits overflowed.

    Raises:
        DivergedError: naming it.
    """
    for name, value in found.items():
        if not math.isfinite(value):
            raise DivergedError(f"{name} is {value}: the logits overflow; lower the learning rate")


def _training_metrics(candidate: TrainedCandidate) -> dict[str, float]:
    """Return what training cost beside the dense network, and how near a transform came to it."""
    metrics: dict[str, float] = {
        "dense_training_macs": candidate.dense_training_macs,
        "dense_gradient_macs": candidate.dense_gradient_macs,
    }
    if candidate.mac_error is not None:
        metrics["mac_error"] = candidate.mac_error
    return {**metrics, **candidate.metrics}


def write_files(folder: Path, candidate: TrainedCandidate, *, learned: bool = False) -> None:
    """Write architecture.json, weights.safetensors and history.csv of a trained candidate.

    What it recorded goes into one file of JSON lines each, such as spectra.jsonl, and the ticket
    that it started from into ticket.safetensors. ``folder`` must be there: one that was deleted
    meanwhile is not made anew. ``learned``: see `history_csv`.
    """
    write_bytes(
        folder / "weights.safetensors",
        weights_bytes(candidate.model.state_dict()),
        make_folder=False,
    )
    write_text(folder / "history.csv", history_csv(candidate, learned=learned), make_folder=False)
    for name, lines in candidate.records.items():
        text = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines)
        write_text(folder / f"{name}.jsonl", text, make_folder=False)
    if candidate.ticket is not None:
        write_ticket(folder / "ticket.safetensors", candidate.ticket)
    write_json(folder / ARCHITECTURE, candidate.network.to_json(), make_folder=False)


def history_csv(candidate: TrainedCandidate, *, learned: bool = False) -> str:
    """Return one line an epoch; a grown network has a column "width.<group>" a channel group.

    What no epoch has, such as the perplexity of an image classifier, has no column; a task's own
    metrics have one each. Epochs are judged by the validation examples; where these are ``learned``
    as well, the columns are "learned_accuracy" and so on, and say nothing of unseen examples.
    """
    groups = list(candidate.widths[0]) if candidate.widths else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in dataclasses.fields(EpochRecord) if field.name != "metrics"]
    fields = [n for n in names if any(getattr(r, n) is not None for r in candidate.history)]
    metrics = list(candidate.history[0].metrics) if candidate.history else []
    before = LEARNED if learned else ""
    heads = [f"{before}{name}" if name in JUDGED else name for name in fields]
    judged = [f"{before}{name}" for name in metrics]
    writer.writerow([*heads, *judged, *(f"width.{group}" for group in groups)])
    for index, record in enumerate(candidate.history):
        widths = [candidate.widths[index][group] for group in groups]
        own = [record.metrics[name] for name in metrics]
        writer.writerow([*(getattr(record, field) for field in fields), *own, *widths])
    return text.getvalue()
