"""Were the front's latencies predicted well? Its networks are measured once the search is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from cost_models import DEVICES, CostModelError, load_profile
from cost_models.profiling.host import host_facts
from growsearch.search.recorder import Recorder
from growsearch.trial.network import Network
from growsearch.trial.record import Latency, Trial
from growsearch.trial.score import LATENCY_BATCH, measured_latency
from growsearch.trial.task import machine_lock


def measure_front(
    recorder: Recorder, members: Iterable[str], profiles: Mapping[str, Path]
) -> tuple[str, ...]:
    """Measure the members whose latency was predicted and write both figures into the ledger.

    What the search compared stays as it was. A profile of another machine cannot be checked here.
    What was measured in an earlier session is not measured again.

    Args:
        recorder: the run's ledger.
        members: ids of trials on the front.
        profiles: the profile that each device was predicted with.

    Returns:
        Notes for people on what could not be measured, and why.
    """
    here = host_facts()["processor"]
    notes, devices = [], []
    for device, path in profiles.items():
        host = load_profile(path).record.conditions.host.get("processor", "unknown")
        if DEVICES[device].kind == "measured" and host == here:
            devices.append(device)
        else:
            notes.append(
                f"latency[{device}] was predicted from a profile of {host}; this machine is "
                f"{here}, so the front was not measured"
            )
    for name in members:
        notes += _measure_trial(recorder, recorder.trials[name], devices)
    return tuple(notes)


def _measure_trial(recorder: Recorder, trial: Trial, devices: Iterable[str]) -> list[str]:
    open_devices = [
        device
        for device in devices
        if (entry := trial.latency.get(device)) and entry.method == "fitted" and not entry.measured
    ]
    if not open_devices:
        return []
    notes, found = [], dict(trial.latency)
    model, example = _network(recorder, trial)
    for device in open_devices:
        try:
            measured = measured_latency(model, example, device, machine_lock())
        except CostModelError as error:
            notes.append(f"{trial.id} could not be measured on {device}: {error}")
            continue
        found[device] = _beside(found[device], measured)
    if found != trial.latency:
        recorder.check(dataclasses.replace(trial, latency=found))
    return notes


def _beside(predicted: Latency, measured: Latency) -> Latency:
    return dataclasses.replace(predicted, measured=measured)


def _network(recorder: Recorder, trial: Trial) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    assert trial.network is not None
    network = Network.from_json(trial.network)
    model = network.build()
    model.load_state_dict(
        load_file(recorder.folder.path / "trials" / trial.id / "weights.safetensors")
    )
    return model.eval(), (torch.zeros(LATENCY_BATCH, *network.input_shape),)
