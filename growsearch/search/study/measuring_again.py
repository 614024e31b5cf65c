"""Latencies that an edited study asks for and its run's networks lack, taken from their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from cost_models import CostModelError, trace
from growsearch.errors import GrowsearchError, UsageError
from growsearch.kinds.latency import latency_metric
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.front_measurement import network_of
from growsearch.search.study.latency_profiles import check_devices
from growsearch.trial.record import LayerRecord, Trial
from growsearch.trial.score import latency_on, layer_records
from growsearch.trial.task import machine_lock


def check_measurable(devices: Iterable[str], *, on_cluster: bool) -> None:
    """Refuse devices that cannot be measured on this machine, or are measured on others.

    Args:
        devices: those on which networks of a run have to be measured again.
        on_cluster: whether the search's trials, and so their latencies, are of other machines.

    Raises:
        UsageError: naming the device and the remedy.
    """
    wanted = sorted(devices)
    if wanted and on_cluster:
        raise UsageError(
            f"latency[{wanted[0]}]: the run's networks lack it and would be measured on this "
            "machine, those to come on the cluster's. Predict it: give a profile made there, "
            f"profiles: {{{wanted[0]}: FILE.json}}; or, on a machine like those that measure "
            "there, run the same command once without --address"
        )
    check_devices(wanted)


def measure_again(
    recorder: Recorder,
    devices: Mapping[str, Path | None],
    measured: tuple[str, ...],
    *,
    on_cluster: bool = False,
) -> None:
    """Give every finished trial its latency on each of a study's devices, where it has none.

    Networks are loaded one after the other and measured, or estimated, as a trial's own are; each
    gets a new ledger line at once, so that what was measured is not measured again.

    Args:
        recorder: the run's ledger.
        devices: of the study, with the profile to predict from, None to measure or estimate.
        measured: those of them that this machine has to have.
        on_cluster: whether trials run on other machines.

    Raises:
        UsageError: as `check_measurable` does, or if a network's files are missing.
        GrowsearchError: if a network cannot be measured; those before it are kept.
    """
    lacking = {
        trial.id: [device for device in devices if latency_metric(device) not in trial.metrics]
        for trial in recorder.trials.values()
        if trial.finished
    }
    wanted = {device for some in lacking.values() for device in some}
    check_measurable(wanted & {*measured}, on_cluster=on_cluster)
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
        trial,
        metrics={**trial.metrics, **metrics},
        latency={**trial.latency, **found},
        layers=_with_shares(trial.layers, layer_records(work, found)),
    )


def _with_shares(
    layers: tuple[LayerRecord, ...], fresh: tuple[LayerRecord, ...]
) -> tuple[LayerRecord, ...]:
    """Return a trial's layers with their shares of what was measured now, too."""
    if [layer.name for layer in layers] != [layer.name for layer in fresh]:
        return layers
    return tuple(
        dataclasses.replace(old, latency_share={**old.latency_share, **new.latency_share})
        for old, new in zip(layers, fresh, strict=True)
    )
