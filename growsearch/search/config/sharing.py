"""Data-parallel trials in a study: what several workers of one trial cannot do is told at once."""

from __future__ import annotations

from typing import Protocol

from growsearch.kinds import TrialKinds
from growsearch.search.config.training import TrainingSettings


class _Search(Protocol):
    @property
    def workers_per_trial(self) -> int: ...

    @property
    def gpus_per_trial(self) -> float: ...

    @property
    def backend(self) -> str: ...


def sharing_problem(
    workers: int, search: _Search, training: TrainingSettings, trials: TrialKinds
) -> str | None:
    """Return what is wrong with the ``workers`` of each trial of a study; None if nothing is."""
    if search.workers_per_trial > 1 and search.gpus_per_trial not in (0, search.workers_per_trial):
        return (
            f"search.workers_per_trial = {search.workers_per_trial}, but gpus_per_trial = "
            f"{search.gpus_per_trial:g}: each worker has a GPU of its own, or all train on CPUs; "
            "give as many, or remove one of the keys"
        )
    if workers == 1:
        if training.sync_batchnorm:
            return None
        return (
            "training.sync_batchnorm: false, but one worker trains each trial; remove the key, or "
            "add search.workers_per_trial"
        )
    here = f"search: {workers} workers train each trial together"
    if search.backend == "serial":
        return f"{here}, but backend: serial has one; remove the backend, or the workers"
    if training.compile == "on":
        return f"{here}, which torch.compile cannot; use training.compile: off, or one worker"
    if ":" in training.device:
        return (
            f"{here}, but training.device = {training.device} is one device; let it be auto or "
            f"{training.device.partition(':')[0]}"
        )
    reasons = (kind.not_shared(space) for kind, space in trials.items())
    reason = next(filter(None, reasons), None)
    return None if reason is None else f"{here}, but {reason}; use one worker, or leave it out"
