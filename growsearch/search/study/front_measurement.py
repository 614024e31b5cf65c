"""Measurement of a predicted front: its networks are timed once the search is over."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from cost_models import DEVICES, CostModelError, load_profile
from cost_models.profiling.host import host_facts, machine_name
from growsearch.errors import UsageError
from growsearch.export.loading import load_built
from growsearch.fault_origin import of_the_machine
from growsearch.kinds.latency import LATENCY_BATCH
from growsearch.kinds.network import Network as TrialNetwork
from growsearch.search.ledger.recorder import Recorder
from growsearch.trial.latency_measuring import Network, measure_latencies
from growsearch.trial.record import Latency, Trial
from growsearch.trial.task import machine_lock

# So many networks take turns; more would have to be kept in memory at once.
_TOGETHER = 16


def measure_front(
    recorder: Recorder, members: Iterable[str], profiles: Mapping[str, Path]
) -> tuple[str, ...]:
    """Measure the members whose latency was predicted and write both figures into the ledger.

    Those of a device take turns, so that a slow moment meets all of them. What the search compared
    stays as it was. A profile of another machine cannot be checked here. What was measured in an
    earlier session is not measured again.

    Args:
        recorder: the run's ledger.
        members: ids of trials on the front.
        profiles: the profile that each device was predicted with.

    Returns:
        Notes for people on what could not be measured, and why.
    """
    notes, names = [], list(members)
    for device, path in profiles.items():
        unlike = _other_machine(device, path)
        if unlike:
            notes.append(unlike)
            continue
        left = [name for name in names if _is_unchecked(recorder.trials[name], device)]
        for start in range(0, len(left), _TOGETHER):
            notes += _measure(recorder, left[start : start + _TOGETHER], device)
    return tuple(notes)


def _other_machine(device: str, path: Path) -> str | None:
    """Say why a profile cannot be checked on this machine; None if it can."""
    with of_the_machine():
        profiled = machine_name(load_profile(path).record.conditions.host)
    here = machine_name(host_facts(DEVICES[device].needs.accelerator))
    if profiled == here:
        return None
    return (
        f"latency[{device}] was predicted from a profile of {profiled}; this machine is {here}, "
        "so the front was not measured"
    )


def _is_unchecked(trial: Trial, device: str) -> bool:
    entry = trial.latency.get(device)
    return entry is not None and entry.method == "fitted" and entry.measured is None


def _measure(recorder: Recorder, names: Iterable[str], device: str) -> list[str]:
    refused: dict[str, list[str]] = defaultdict(list)
    networks = {}
    for name in names:
        try:
            networks[name] = network_of(recorder, name)
        except UsageError as error:
            refused[str(error)].append(name)
    outcomes = measure_latencies(networks, device, machine_lock())
    for name, outcome in outcomes.items():
        if isinstance(outcome, CostModelError):
            refused[str(outcome)].append(name)
        else:
            recorder.check(_beside(recorder.trials[name], device, outcome))
    return [
        f"{', '.join(some)} could not be measured on {device}: {reason}"
        for reason, some in refused.items()
    ]


def _beside(trial: Trial, device: str, measured: Latency) -> Trial:
    entry = dataclasses.replace(trial.latency[device], measured=measured)
    return dataclasses.replace(trial, latency={**trial.latency, device: entry})


def network_of(recorder: Recorder, name: str) -> Network:
    """Return a trial's network as it was trained.

    Raises:
        UsageError: if its files are missing or of another network, or it is none of this study's.
    """
    data = recorder.trials[name].network
    assert data is not None
    network = TrialNetwork.from_json(data)
    model = load_built(network, recorder.folder.trial(name) / "weights.safetensors")
    return model, network.space().example_inputs(LATENCY_BATCH)
