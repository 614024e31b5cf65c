"""Data-parallel trials on Ray: a trial's workers are started by Ray Train and train together."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.tune.integration.ray_train import TuneReportCallback
from torch import distributed as dist

from growsearch.errors import GrowsearchError, MachineError
from growsearch.fault_origin import machine_error, of_the_machine, origin_of
from growsearch.kinds import CandidateConfig, trial_id
from growsearch.search.backends.ray.early_stopping import rung_reports
from growsearch.search.cluster.session import check_here
from growsearch.search.config.study import StudyConfig
from growsearch.training.parallel.group import WorkerGroup
from growsearch.trial.record import Trial
from growsearch.trial.retries import keep_outcome, kept_outcome
from growsearch.trial.run import Report, run_trial
from growsearch.trial.task import TrialTask
from growsearch.trial.trial_folder import made_trial_folder

# Of a core, for the process that waits for a trial's workers: trials must not wait for each other.
WAITING_CPUS = 0.01
# In a trial's folder: what Ray Train writes about its run.
_RAYS_FILES = "workers"
# What the first worker may need to write down why all have stopped.
_LAST_WORDS_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParallelRun:
    """Runs a candidate with several workers on one node; takes the place of `train_and_score`.

    They are on one node, as measurements there must make all of them pause. Each has ``cpus`` cores
    and, with ``gpus``, a GPU of its own. What they report at ``rungs`` reaches Tune.
    """

    workers: int
    cpus: int
    gpus: bool
    sync_batchnorm: bool
    rungs: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: StudyConfig, rungs: Sequence[int]) -> DataParallelRun:
        """Return what the study asks for."""
        return cls(
            workers=config.workers,
            cpus=config.search.cpus_per_trial,
            gpus=config.search.gpus_per_trial > 0,
            sync_batchnorm=config.training.sync_batchnorm,
            rungs=tuple(rungs),
        )

    def __call__(self, config: CandidateConfig, task: TrialTask, seed: int, _: Report) -> Trial:
        """Run the workers to their end and return the first one's outcome.

        Raises:
            MachineError: if one of them met trouble of the machine's.
            RuntimeError: if one of them died; the trial's last epoch is kept.
        """
        with of_the_machine():
            folder = made_trial_folder(task.folder, trial_id(config, seed))
        try:
            self._trainer(folder, (self, config, task, seed)).fit()
        except WorkerGroupError as error:
            # A trial that failed by its own fault has said so.
            trial = kept_outcome(folder)
            if trial is None:
                raise _reason(error) from error
            return trial
        finally:
            shutil.rmtree(folder / _RAYS_FILES, ignore_errors=True)
        trial = kept_outcome(folder)
        if trial is None:
            raise RuntimeError("the workers of the trial ended without an outcome")
        return trial

    def _trainer(self, folder: Path, work: tuple[Any, ...]) -> TorchTrainer:
        resources = {"CPU": self.cpus, **({"GPU": 1} if self.gpus else {})}
        meeting = f"growsearch-workers-{uuid.uuid4().hex}"
        return TorchTrainer(
            _work,
            train_loop_config={"work": work, "meeting": meeting},
            torch_config=_MeetingInAFile(),
            scaling_config=ScalingConfig(
                num_workers=self.workers,
                use_gpu=self.gpus,
                resources_per_worker=resources,
                placement_strategy="STRICT_PACK",
            ),
            run_config=RunConfig(
                name=_RAYS_FILES,
                storage_path=str(folder.absolute()),
                callbacks=[TuneReportCallback()],
                failure_config=FailureConfig(max_failures=0),
            ),
        )


class _MeetingInAFile(TorchConfig):  # type: ignore[misc]
    """Starts no process group: Ray's would open a port to all interfaces."""

    @property
    def backend_cls(self) -> type[Any]:
        found: type[Any] = Backend
        return found


def _work(config: dict[str, Any]) -> None:
    """Train in one worker, from the start or from the trial's last epoch."""
    run, candidate, task, seed = config["work"]
    context = ray.train.get_context()
    rank = context.get_world_rank()
    try:
        task.bring_code()
        check_here(task)
        with _together(config["meeting"], rank, run):
            trial = run_trial(
                candidate,
                task,
                number=0,
                study_seed=seed,
                report=rung_reports(run.rungs, ray.train.report),
                workers=WorkerGroup(sync_batchnorm=run.sync_batchnorm),
            )
            _tell(trial, task, rank)
    except Exception as error:
        if origin_of(error) == "machine" or isinstance(error, GrowsearchError):
            # A type that can be sent, with all that is to be said.
            raise MachineError(str(machine_error(error, task.folder))) from error
        raise


def _tell(trial: Trial, task: TrialTask, rank: int) -> None:
    """Write the outcome down on the first worker; a failure ends the others, wherever they wait."""
    with of_the_machine():
        folder = made_trial_folder(task.folder, trial.id)
    if rank == 0:
        keep_outcome(folder, trial)
        if trial.status == "failed":
            raise RuntimeError(trial.error)
        return
    if trial.error is None:
        return
    # All have the same trouble mostly, and the first one writes it down. Its own is told, too.
    end = time.monotonic() + _LAST_WORDS_S
    while kept_outcome(folder) is None:
        if time.monotonic() > end:
            raise RuntimeError(f"worker {rank}: {trial.error}")
        time.sleep(0.1)


@contextmanager
def _together(meeting: str, rank: int, run: DataParallelRun) -> Iterator[None]:
    """Meet the other workers, in a file of this node's and over its loopback alone."""
    for library in ("GLOO", "NCCL"):
        os.environ[f"{library}_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    file = Path(tempfile.gettempdir()) / meeting
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if run.gpus else "gloo",
        f"file://{file}",
        rank=rank,
        world_size=run.workers,
    )
    try:
        yield
        dist.destroy_process_group()
    finally:
        file.unlink(missing_ok=True)


def _reason(error: WorkerGroupError) -> Exception:
    """Return the machine's trouble that a worker has told of, or that a worker ended."""
    failures = [getattr(e, "_base_exc", e) for e in error.worker_failures.values()]
    for failure in failures:
        if isinstance(failure, MachineError):
            return MachineError(str(failure))
    first = str(failures[0]) if failures else str(error)
    return RuntimeError(f"a worker of the trial died: {' '.join(first.split())[:300]}")
