"""Latencies that an edited study asks for and its run's networks lack, taken from their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch

from cost_models import CostModelError, trace
from growsearch.errors import GrowsearchError, UsageError
from growsearch.kinds.latency import latency_metric
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.front_measurement import network_of
from growsearch.search.study.latency_profiles import check_devices
from growsearch.trial.record import Trial
from growsearch.trial.score import latency_on
from growsearch.trial.task import machine_lock


def measure_again(
    recorder: Recorder, devices: Mapping[str, Path | None], measured: tuple[str, ...]
) -> None:
    """Give every finished trial its latency on each of a study's devices, where it has none.

    Networks are loaded one after the other and measured, or estimated, as a trial's own are; each
    gets a new ledger line at once, so that what was measured is not measured again.

    Args:
        recorder: the run's ledger.
        devices: of the study, with the profile to predict from, None to measure or estimate.
        measured: those of them that this machine has to have.

    Raises:
        UsageError: if a device is not here, or a network's files are missing.
        GrowsearchError: if a network cannot be measured; those before it are kept.
    """
    lacking = {
        trial.id: [device for device in devices if latency_metric(device) not in trial.metrics]
        for trial in recorder.trials.values()
        if trial.finished
    }
    wanted = {device for some in lacking.values() for device in some}
    check_devices(device for device in measured if device in wanted)
    for name, some in lacking.items():
        if some:
            recorder.check(_measured(recorder, name, {d: devices[d] for d in some}))


def _measured(recorder: Recorder, name: str, devices: Mapping[str, Path | None]) -> Trial:
    trial = recorder.trials[name]
    try:
        model, example = network_of(recorder, name)
        lock = machine_lock()
        with lock.shared(), torch.no_grad():
            work = trace(model, example)
        found = {
            device: latency_on(model, example, work, device, profile, lock)
            for device, profile in devices.items()
        }
    except UsageError as error:
        raise UsageError(
            f"{error}; without its files trial {name} cannot be measured again: restore them, or "
            "use --fresh for a new run"
        ) from error
    except CostModelError as error:
        raise GrowsearchError(
            f"trial {name} could not be measured on {', '.join(devices)}: {error}; run the same "
            "command again to go on, or take the objective out again"
        ) from error
    metrics = {latency_metric(device): entry.value_s for device, entry in found.items()}
    return dataclasses.replace(
        trial, metrics={**trial.metrics, **metrics}, latency={**trial.latency, **found}
    )
