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
# So many times as fast is more than a difference that nobody would notice.
_CLEAR = 1.05

# A network that a file names is known by its hash, another one by its space and its layers.
_Layers = tuple[tuple[str, str, tuple[int, ...], int, int], ...]
_Network = tuple[str | None, str, _Layers]


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
    twins = [
        t for t in _dense(run).get(_network(trial), ()) if _alike(entry, t.latency.get(device))
    ]
    if not twins:
        beside = "the same network without zeros would be"
        return f"On {device} it is no faster than {beside}: {zeros}{why}." if skips_none else ""
    one, other = point_of(trial), point_of(twins[0])
    beside = f"the same network without zeros ({twins[0].id})"
    gain = other.values[name] / one.values[name] if one.values[name] else 1.0
    if gain > 1 and told_apart(one, other, name):
        clause = faster(one, other, name)
        than = "than" if clause.endswith("faster") else "as"
        if skips_none:
            # The two ran at different times, or lie otherwise in memory.
            return (
                f"On {device} nothing skips zeros ({zeros}): that it {clause} {than} {beside} "
                "is the machine's doing and not theirs."
            )
        return f"On {device} it {clause} {than} {beside}: {zeros}."
    if gain > _CLEAR and not skips_none:
        # So noisy that it may well be faster.
        return f"On {device} its latency cannot be told from that of {beside}: {zeros}."
    return f"On {device} it is no faster than {beside}: {zeros}{why}."


@once_a_run
def _dense(run: Run) -> dict[_Network, tuple[Trial, ...]]:
    """Return the networks without zeros by their layers, the baselines first."""
    found: dict[_Network, tuple[Trial, ...]] = {}
    for trial in sorted(run.finished, key=lambda each: each.kind != "baseline"):
        if trial.layers and zeros_share(trial) < _DENSE:
            found[_network(trial)] = (*found.get(_network(trial), ()), trial)
    return found


def _network(trial: Trial) -> _Network:
    """Return what two trials of one network, with zeros and without, have in common."""
    space = str(trial.config.get("space", ""))
    layers = tuple(
        (layer.name, layer.kind, layer.output_shape, layer.dense_macs, layer.parameters)
        for layer in trial.layers
    )
    return trial.network_hash, space, layers


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
