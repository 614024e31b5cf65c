"""Score of a trained network: accuracy, MACs, parameters, and latencies by device."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cost_models import (
    DEVICES,
    Cost,
    LayerWork,
    MachineLock,
    Measurement,
    NoisyMeasurementError,
    Workload,
    estimate,
    layer_shares,
    measure,
    trace,
    unavailable,
)
from growsearch.errors import MachineError
from growsearch.kinds import Learning
from growsearch.kinds.latency import LATENCY_BATCH, fitted_profile, latency_metric
from growsearch.training import Scores
from growsearch.trial.latency_measuring import latency_of
from growsearch.trial.record import Latency, LayerRecord
from growsearch.trial.task import Measure

# Other programs come and go: how long to wait after each refused measurement.
_WAITS_S = (1.0, 3.0)
# The executor that runs layer by layer.
_EAGER = "eager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The metrics of one trained network, its latencies by device and its layers.

    ``right`` (N,) tells which validation examples it is right about, where they have one label.
    """

    metrics: dict[str, float]
    latency: dict[str, Latency]
    layers: tuple[LayerRecord, ...]
    right: Tensor | None = None


def score(
    model: nn.Module,
    learning: Learning,
    devices: Mapping[str, Path | None],
    lock: MachineLock,
    *,
    training_macs: int,
    measure_latency: Measure | None = None,
) -> Score:
    """Evaluate a trained network, zeros in place.

    "accuracy" is on the validation split, which the search sees (on the test where the network has
    learned that one); "test_accuracy" on the split that it does not; other tasks have their own
    metrics in the place of both. "macs" are effective (zeros skipped), "dense_macs" beside them;
    "parameters" are those that are not zero, "dense_parameters" all. ``devices`` gives the profile
    to predict a device's latency from; None measures it with ``measure_latency``, by default here
    and now, or asks its analytic model.

    Raises:
        CostModelError: if a layer cannot be counted, or a measurement is too noisy to be trusted.
    """
    example = (learning.dataset.zeros(LATENCY_BATCH),)
    with lock.shared():
        work = trace(model, example)
        test = learning.scores(model, "test")
        whole = learning.judged_by == "test"
        validation = test if whole else learning.scores(model, learning.judged_by)
    latency = {
        device: latency_on(model, example, work, device, profile, lock, measure_latency)
        for device, profile in devices.items()
    }
    metrics: dict[str, float] = {
        **_judged(validation, test),
        "macs": work.effective_macs,
        "dense_macs": work.dense_macs,
        "parameters": work.nonzero_parameters,
        "dense_parameters": work.parameters,
        "training_macs": training_macs,
    }
    if test.perplexity is not None:
        metrics["test_perplexity"] = test.perplexity
    metrics |= {latency_metric(device): found.value_s for device, found in latency.items()}
    return Score(
        metrics=metrics,
        latency=latency,
        layers=layer_records(work, latency),
        # What is kept beside a trial is of the validation examples.
        right=None if whole else validation.right,
    )


def _judged(validation: Scores, test: Scores) -> dict[str, float]:
    """Return what the task is judged by: what the search sees, and beside it the test's."""
    found: dict[str, float] = {}
    if validation.accuracy is not None and test.accuracy is not None:
        found = {"accuracy": validation.accuracy, "test_accuracy": test.accuracy}
    tested = {f"test_{name}": value for name, value in test.metrics.items()}
    return {**found, **validation.metrics, **tested}


def latency_on(
    model: nn.Module,
    example: tuple[torch.Tensor, ...],
    work: Workload,
    device: str,
    profile: Path | None,
    lock: MachineLock,
    measure_latency: Measure | None = None,
) -> Latency:
    """Return a network's latency on a device, as a study compares it.

    Args:
        model: zeros in place.
        example: its inputs, of `LATENCY_BATCH` examples.
        work: its trace with them.
        device: a name in `DEVICES`.
        profile: what to predict it from; None measures it, or asks its analytic model.
        lock: of this machine, taken alone while something is timed.
        measure_latency: what times it, by default here and now.

    Raises:
        CostModelError: if it cannot be measured or estimated.
        MachineError: if the device is not there.
    """
    if profile is not None:
        cost = estimate(work, fitted_profile(profile), LATENCY_BATCH, "inference")
        return _estimated(cost, work)
    if DEVICES[device].kind == "measured":
        return (measure_latency or measured_latency)(model, example, device, lock)
    return _estimated(estimate(work, device, LATENCY_BATCH, "inference"), work)


def _estimated(cost: Cost, work: Workload) -> Latency:
    layers: dict[str, float] = defaultdict(float)
    for layer, seconds in zip(work.layers, cost.layers_s or (), strict=False):
        layers[layer.name] += seconds / cost.latency_s
    return Latency(
        layers=dict(layers),
        method=cost.method,
        value_s=cost.latency_s,
        low_s=cost.interval[0],
        high_s=cost.interval[1],
        batch_size=cost.batch_size,
        device=cost.device,
        note=cost.note,
    )


def measured_latency(
    model: nn.Module, example: tuple[torch.Tensor, ...], device: str, lock: MachineLock
) -> Latency:
    """Time one forward pass of ``example`` on the device itself, alone on this machine.

    Raises:
        CostModelError: if the network cannot be measured, or not well enough to be trusted.
        MachineError: if the device is not there, or lacks something.
    """
    missing = unavailable(device)
    if missing is not None:
        raise MachineError(f"latency[{device}] cannot be measured here: {missing}")
    found = _quiet_measurement(model, example, device, lock)
    if DEVICES[device].executor != _EAGER:
        # Elsewhere layers are fused or captured, and none has a time of its own.
        return latency_of(found)
    with lock.exclusive():
        return dataclasses.replace(latency_of(found), layers=layer_shares(model, example))


def _quiet_measurement(
    model: nn.Module, example: tuple[torch.Tensor, ...], device: str, lock: MachineLock
) -> Measurement:
    """Measure alone; a disturbed machine gets a few seconds to calm down, then another try."""
    for wait_s in _WAITS_S:
        try:
            with lock.exclusive():
                return measure(model, example, device=device, threads=1)
        except NoisyMeasurementError:
            time.sleep(wait_s)
    with lock.exclusive():
        return measure(model, example, device=device, threads=1)


def layer_records(work: Workload, latency: Mapping[str, Latency]) -> tuple[LayerRecord, ...]:
    """Return the layers, with their shares of each latency by device.

    One that is called several times shares its time among its calls.
    """
    calls = Counter(layer.name for layer in work.layers)
    return tuple(
        _layer_record(
            layer,
            {
                device: round(found.layers[layer.name] / calls[layer.name], 4)
                for device, found in latency.items()
                if layer.name in found.layers
            },
        )
        for layer in work.layers
    )


def _layer_record(layer: LayerWork, latency_share: Mapping[str, float]) -> LayerRecord:
    return LayerRecord(
        name=layer.name,
        kind=layer.kind,
        output_shape=tuple(layer.output_shape),
        dense_macs=layer.dense_macs,
        effective_macs=layer.effective_macs,
        parameters=layer.parameters,
        nonzero_parameters=layer.nonzero_parameters,
        latency_share=latency_share,
    )
