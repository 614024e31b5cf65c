"""Measuring nodes: latencies on a cluster are measured on the one node that is kept for it.

Such a node is the target device itself, started with 0 CPUs and one `growsearch_measure_D`: no
trial runs there, and one measurement at a time holds the resource.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import nn

from cost_models import DEVICES, MachineLock
from growsearch.errors import GrowsearchError, MachineError
from growsearch.trial.record import Latency
from growsearch.trial.score import measured_latency
from growsearch.trial.task import TrialTask, machine_lock

# A node that dies while it measures comes back, or another one takes its place.
_MAX_RETRIES = 3


def resource_of(device: str) -> str:
    """Return the Ray resource that the measuring node of a device offers."""
    return f"growsearch_measure_{device}"


def start_command(device: str) -> str:
    """Return the command that makes a machine the measuring node of a device."""
    return (
        f"ray start --address=HEAD:6379 --num-cpus=0 --resources='{{\"{resource_of(device)}\": 1}}'"
    )


def with_measuring_nodes(task: TrialTask, processors: Iterable[str]) -> TrialTask:
    """Return the task with its measurements sent to the cluster's measuring nodes.

    A device without one is measured where the trial runs, which only nodes of one kind may do.

    Args:
        task: of a study; devices with a profile are predicted, not measured.
        processors: those of the nodes that run trials.

    Raises:
        GrowsearchError: if a measuring node would run trials too, or if a device's latency would
            be that of different processors.
    """
    measured = [d for d in task.devices if d not in task.profiles and _is_measured(d)]
    nodes = [node for node in ray.nodes() if node["Alive"]]
    kept = {device: _nodes_with(resource_of(device), nodes) for device in measured}
    for device, found in kept.items():
        for node in found:
            if node["Resources"].get("CPU", 0):
                raise GrowsearchError(
                    f"node {node['NodeManagerHostname']} offers {resource_of(device)} and CPUs: "
                    "trials would fill it, and a measurement could wait for ever; start it with "
                    f"{start_command(device)}"
                )
    kinds = sorted(set(processors))
    alone = [device for device, found in kept.items() if not found]
    if alone and len(kinds) > 1:
        raise GrowsearchError(
            f"latency[{alone[0]}] would be measured on different processors ({', '.join(kinds)}); "
            f"make the one that counts its measuring node: {start_command(alone[0])}"
        )
    remote = frozenset(device for device, found in kept.items() if found)
    return dataclasses.replace(task, measure=_Measurer(remote)) if remote else task


def _is_measured(device: str) -> bool:
    return DEVICES[device].kind == "measured"


def _nodes_with(resource: str, nodes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [node for node in nodes if node["Resources"].get(resource, 0) > 0]


@dataclasses.dataclass(frozen=True, slots=True)
class _Measurer:
    """Measures the devices that have a node of their own there, the others here."""

    remote: frozenset[str]

    def __call__(
        self, model: nn.Module, example: tuple[torch.Tensor, ...], device: str, lock: MachineLock
    ) -> Latency:
        if device not in self.remote:
            return measured_latency(model, example, device, lock)
        there = ray.remote(num_cpus=0, max_retries=_MAX_RETRIES)(measure_there)
        # Tune gives every trial a placement group, which has no part of that node: leave it.
        anywhere = PlacementGroupSchedulingStrategy(placement_group=None)
        placed = there.options(resources={resource_of(device): 1}, scheduling_strategy=anywhere)
        try:
            found = ray.get(placed.remote(model, example, device))
        except ray.exceptions.RayTaskError as error:
            # What was wrong with the measurement, as if it had been made here.
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise MachineError(
                f"latency[{device}]: the node that is kept for it has left the cluster "
                f"({' '.join(str(error).split())[:200]}); bring it back with "
                f"{start_command(device)}"
            ) from error
        measured: Latency = found
        return measured


def measure_there(model: nn.Module, example: tuple[torch.Tensor, ...], device: str) -> Latency:
    """Measure on the node that this runs on."""
    torch.set_num_threads(1)
    found = measured_latency(model, example, device, machine_lock())
    node = ray.get_runtime_context().get_node_id()[:8]
    note = f"measured on the node kept for it, {platform.node()} ({node})"
    return dataclasses.replace(found, note=note)
