"""Latency measurements of several networks on a device here, good enough to keep or not."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import nn

from cost_models import (
    DEVICES,
    CostModelError,
    MachineLock,
    Measurement,
    NoisyMeasurementError,
    measure_interleaved,
    unavailable,
)
from cost_models.profiling.running_minima import low_of
from growsearch.trial.record import Latency

Network = tuple[nn.Module, tuple[torch.Tensor, ...]]
# What became of a network: its latency, or why it has none.
Outcome = Latency | CostModelError

# Repeats that differ by more say nothing about a network.
MAX_NOISE = 0.25
# Other programs come and go: seconds to wait before a round, and for which each network then runs.
_ROUNDS = ((0.0, 0.3), (0.0, 0.6), (1.0, 1.2), (3.0, 1.2))


def measure_latencies(
    networks: Mapping[str, Network], device: str, lock: MachineLock
) -> dict[str, Outcome]:
    """Time one forward pass of each network on one thread, turn by turn, alone on this machine.

    Those that were disturbed are timed again, up to three times. A network that cannot be measured
    has the reason instead; nothing is raised for it.
    """
    missing = unavailable(device)
    if missing is not None:
        return {name: CostModelError(missing) for name in networks}
    found: dict[str, Outcome] = {}
    for wait_s, budget_s in _ROUNDS:
        left = {name: networks[name] for name in networks if _is_open(found.get(name))}
        if not left:
            break
        time.sleep(wait_s)
        found |= _one_round(left, device, lock, budget_s)
    return found


def _is_open(outcome: Outcome | None) -> bool:
    return outcome is None or isinstance(outcome, NoisyMeasurementError)


def _one_round(
    networks: Mapping[str, Network], device: str, lock: MachineLock, budget_s: float
) -> dict[str, Outcome]:
    """Time all turn by turn; when one cannot be measured at all, each alone."""
    try:
        with lock.exclusive():
            found = measure_interleaved(
                networks, device=device, threads=1, budget_s=budget_s, max_noise=None
            )
    except CostModelError as error:
        if len(networks) == 1:
            return dict.fromkeys(networks, error)
        return {
            name: outcome
            for each, network in networks.items()
            for name, outcome in _one_round({each: network}, device, lock, budget_s).items()
        }
    return {name: _outcome(measurement) for name, measurement in found.items()}


def _outcome(found: Measurement) -> Outcome:
    if found.noise > MAX_NOISE:
        return NoisyMeasurementError(
            f"repeats differ by {found.noise:.1%} of {found.low_s:.3g} s, above {MAX_NOISE:.0%}; "
            "stop other work on this machine"
        )
    return latency_of(found)


def latency_of(found: Measurement) -> Latency:
    """Return a measurement as a ledger holds it: the median, its spread and processor time."""
    # The CPU time of a process says nothing about a GPU that works beside it.
    on_processor = DEVICES[found.device].needs.accelerator is None
    return Latency(
        method="measured",
        value_s=found.median_s,
        low_s=found.low_s,
        high_s=found.high_s,
        processor_s=low_of(found.cpu_samples_s) if on_processor else None,
        noise=found.noise,
        batch_size=found.batch_size,
        threads=found.threads,
        device=found.device,
    )
