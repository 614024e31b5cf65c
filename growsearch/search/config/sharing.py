"""Sharing between trials: GPUs, data-parallel workers, training; what cannot be is told."""

from __future__ import annotations

from collections.abc import Collection

from growsearch.kinds import TrialKinds
from growsearch.search.config.search_settings import SearchSettings
from growsearch.search.config.training import TrainingSettings

# Devices that Ray shares out as "GPU".
_RAYS_GPUS = ("cuda", "xpu")


def workers_of_trial(search: SearchSettings, training: TrainingSettings) -> int:
    """Return the processes that train each trial together."""
    if search.gpus_per_trial > 1 and training.device != "cpu":
        return int(search.gpus_per_trial)
    return search.workers_per_trial


def problem_of(
    search: SearchSettings,
    training: TrainingSettings,
    trials: TrialKinds,
    devices: Collection[str],
) -> str | None:
    """Return what is wrong with GPUs, workers or shared training of a study; None if nothing is."""
    return (
        gpus_problem(search, training, devices)
        or sharing_problem(search, training, trials)
        or together_problem(search, trials)
    )


def gpus_problem(
    search: SearchSettings, training: TrainingSettings, devices: Collection[str]
) -> str | None:
    """Return what is wrong with the GPUs of each trial of a study; None if nothing is.

    ``devices`` are those whose latency is asked for.
    """
    from cost_models import DEVICES

    share, trains = search.gpus_per_trial, training.device
    if share > 1 and share != round(share):
        return f"search.gpus_per_trial = {share}: a part of one GPU, or a whole number of them"
    accelerated = [name for name, device in DEVICES.items() if device.needs.accelerator]
    if share and trains == "cpu" and not set(accelerated) & set(devices):
        return (
            "search.gpus_per_trial: trials train on the cpu and no device of this study is a "
            f"GPU; let training.device be auto, add the latency of one "
            f"({', '.join(accelerated)}), or remove the key"
        )
    if not share and search.backend == "ray" and trains.partition(":")[0] in _RAYS_GPUS:
        return (
            f"training.device = {trains}: Ray hides GPUs from trials that ask for none; give "
            "search.gpus_per_trial, such as 1, or search with backend: serial"
        )
    return None


def sharing_problem(
    search: SearchSettings, training: TrainingSettings, trials: TrialKinds
) -> str | None:
    """Return what is wrong with the workers of each trial of a study; None if nothing is."""
    workers = workers_of_trial(search, training)
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


def together_problem(search: SearchSettings, trials: TrialKinds) -> str | None:
    """Return what is wrong with trials that share their training; None if nothing is."""
    for kind, space in trials.items():
        reason, together = kind.not_judged(space), kind.sharing(space)
        if search.stop_early is not None and reason is not None:
            return f"search.stop_early: {reason}; remove stop_early, or leave it out"
        if search.trials is not None and search.trials < together:
            return (
                f"search.trials: {search.trials} are fewer than the {together} that "
                f"trials.{kind.name} trains together; give at least {together}"
            )
    return None
