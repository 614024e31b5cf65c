"""Zeros that save no time: a sparse network beside the same network without zeros, on each device.

A network half of whose weights are zero is faster only where something skips them. Where the run
has the same layers without zeros, the two latencies are compared; where it has not, a measured
device that skips no zeros says by itself what they are worth.
"""

from __future__ import annotations

from cost_models import DEVICES
from growsearch.pareto.uncertainty import told_apart
from growsearch.report.choice.told_apart import faster
from growsearch.report.run_data import Run, once_a_run, point_of
from growsearch.trial.record import Latency, Trial

# Biases begin at zero, and some stay there: below the first share of its weights a network is no
# sparse one, above the second it is no dense one.
_SPARSE, _DENSE = 0.1, 0.01

_Shape = tuple[tuple[str, int, int], ...]


def zeros_share(trial: Trial) -> float:
    """Return which share of a network's layers' weights are zero, in [0, 1]."""
    all_of_them = sum(layer.parameters for layer in trial.layers)
    left = sum(layer.nonzero_parameters for layer in trial.layers)
    return 1 - left / all_of_them if all_of_them else 0.0


def sparse_lines(run: Run, trial: Trial) -> dict[str, str]:
    """Return by device what the zeros of a network are worth in latency, as a sentence.

    Nothing of a network without zeros, nor of a device of which neither the run nor the device's
    own description tells.

    Example:
        On cpu it is no faster than the same network without zeros (3f2a91c0de): 80 % of its
        weights are zero, and nothing there skips them.
    """
    share = zeros_share(trial)
    if share < _SPARSE:
        return {}
    found = {device: _line(run, trial, device, share) for device in trial.latency}
    return {device: line for device, line in found.items() if line}


def _line(run: Run, trial: Trial, device: str, share: float) -> str:
    zeros = f"{100 * share:.0f} % of its weights are zero"
    name, entry = f"latency[{device}]", trial.latency[device]
    if name not in trial.metrics:
        return ""
    known = DEVICES.get(device) if entry.method == "measured" else None
    skips_none = known is not None and not known.skips.kinds
    why = ", and nothing there skips them" if skips_none else ""
    twins = [t for t in _dense(run).get(_shape(trial), ()) if _alike(entry, t.latency.get(device))]
    if twins:
        one, other = point_of(trial), point_of(twins[0])
        beside = f"the same network without zeros ({twins[0].id})"
        if told_apart(one, other, name) and one.values[name] < other.values[name]:
            gain = faster(one, other, name)
            than = "than" if gain.endswith("faster") else "as"
            return f"On {device} it {gain} {than} {beside}: {zeros}."
        return f"On {device} it is no faster than {beside}: {zeros}{why}."
    return f"On {device} it is no faster than dense: {zeros}{why}." if skips_none else ""


@once_a_run
def _dense(run: Run) -> dict[_Shape, tuple[Trial, ...]]:
    """Return the networks without zeros by their layers, the baselines first."""
    found: dict[_Shape, tuple[Trial, ...]] = {}
    for trial in sorted(run.finished, key=lambda each: each.kind != "baseline"):
        if trial.layers and zeros_share(trial) < _DENSE:
            found[_shape(trial)] = (*found.get(_shape(trial), ()), trial)
    return found


def _shape(trial: Trial) -> _Shape:
    return tuple((layer.name, layer.dense_macs, layer.parameters) for layer in trial.layers)


def _alike(one: Latency, other: Latency | None) -> bool:
    """Tell whether two latencies of a device were found in the same way."""
    if other is None:
        return False
    return (one.method, one.batch_size, one.threads, one.device) == (
        other.method,
        other.batch_size,
        other.threads,
        other.device,
    )
