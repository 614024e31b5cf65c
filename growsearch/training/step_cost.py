"""Cost of a training step: memory and seconds, measured on the first few steps of a real run."""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.metrics.placement import device_of
from growsearch.training.loop import TrainingOptions, train
from growsearch.training.peak_memory import PeakMemory
from growsearch.training.recipes.recipe import Precision, Recipe
from growsearch.training.state import Hook, TrainingState
from growsearch.training.tasks.task import InputsAndTargets, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What the first steps of a run took.

    Attributes:
        parameters: numbers that are trained or kept, zeros among them.
        network_bytes: of the network's parameters and buffers, masks among them.
        gradient_bytes: of the gradients of what is trained.
        optimizer_bytes: of what the optimizer remembers after a step.
        activation_bytes: of what the forward pass of one batch keeps for the backward pass; None
            where torch.compile makes the passes.
        peak_bytes: of the first step, see `PeakMemory`.
        first_s: the first step, which allocates, tunes or compiles.
        steps_s: the others that were measured, their data included; none if the run has one step.
        examples: of a step.
        steps_per_epoch: of the whole run.
        epochs: of the whole run.
        device: the network's.
        precision: of the passes.
        threads: of the CPU.
    """

    parameters: int
    network_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int | None
    peak_bytes: int | None
    first_s: float
    steps_s: tuple[float, ...]
    examples: int
    steps_per_epoch: int
    epochs: int
    device: str
    precision: Precision
    threads: int

    @property
    def step_s(self) -> float:
        """Seconds a step: the median of those measured."""
        return statistics.median(self.steps_s) if self.steps_s else self.first_s

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch's steps, without its evaluation."""
        return self.steps_per_epoch * self.step_s

    @property
    def counted_bytes(self) -> int:
        """The sum of what is counted: network, gradients, optimizer and activations."""
        kept = self.network_bytes + self.gradient_bytes + self.optimizer_bytes
        return kept + (self.activation_bytes or 0)


class _EnoughError(Exception):
    """Ends a run that was measured."""


def measure_steps(
    model: nn.Module, task: Task, recipe: Recipe, options: TrainingOptions, *, steps: int = 5
) -> StepCost:
    """Train ``model`` for a few steps and tell what they took; nothing is written.

    Args:
        model: is trained in place.
        task: where its batches come from.
        recipe: of the whole run, which is ended early.
        options: where and how the run computes.
        steps: are measured after the first one, as far as the run has so many.

    Raises:
        DivergedError: at a loss that is not finite.
        UsageError: for a device that is not there.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Recipe, TrainingOptions, task_of
        >>> from growsearch.training.step_cost import measure_steps
        >>> data = from_tensors(torch.eye(4).repeat(40, 1), torch.arange(4).repeat(40))
        >>> network, recipe = torch.nn.Linear(4, 4), Recipe(epochs=3, batch_size=16)
        >>> cost = measure_steps(network, task_of(data), recipe, TrainingOptions(), steps=2)
        >>> cost.parameters, cost.optimizer_bytes, cost.steps_per_epoch, len(cost.steps_s)
        (20, 80, 8, 2)
    """
    watch = _Stopwatch(steps, compiled=options.compile)
    options = dataclasses.replace(options, hooks=(*options.hooks, watch), checkpoint=None)
    try:
        train(model, task, recipe, seed=0, forward_macs=0, options=options)
    except _EnoughError:
        pass
    finally:
        watch.close()
    return watch.cost()


class _Stopwatch(Hook):
    """Measures the steps of a run and ends it; it takes no part in the mathematics."""

    def __init__(self, steps: int, *, compiled: bool) -> None:
        self._wanted = steps
        self._saved = None if compiled else _SavedTensors()
        self._times: list[float] = []
        self._began, self._judged = 0.0, False
        self._found: dict[str, Any] = {}

    def on_start(self, state: TrainingState) -> None:
        """Begin to count memory: the network is on its device by now."""
        tensors = [*state.model.parameters(), *state.model.buffers()]
        device = device_of(state.model)
        self._found = {
            "parameters": sum(p.numel() for p in state.model.parameters()),
            "network_bytes": sum(_bytes(tensor) for tensor in tensors),
            "gradient_bytes": sum(_bytes(p) for p in state.model.parameters() if p.requires_grad),
            "steps_per_epoch": state.steps_per_epoch,
            "epochs": state.recipe.epochs,
            "device": str(device),
            "precision": state.recipe.precision,
            "threads": torch.get_num_threads(),
        }
        if self._saved is not None:
            self._saved.leave_out(tensors)
        self._peak = PeakMemory(device)
        self._began = _now(device)

    def before_forward(self, state: TrainingState, batch: InputsAndTargets) -> InputsAndTargets:
        """Watch what the very first batch keeps, of those that make one step."""
        if self._judged:
            self._began, self._judged = _now(device_of(state.model)), False
        if self._saved is not None:
            self._saved.end() if self._saved.begun else self._saved.begin()
        return batch

    def before_update(self, state: TrainingState) -> bool:  # noqa: ARG002
        """Watch no more."""
        self.close()
        return True

    def after_update(self, state: TrainingState) -> None:
        """Stop the time; of the first step look at its memory, too."""
        now = _now(device_of(state.model))
        self._times.append(now - self._began)
        if len(self._times) == 1:
            memories = [v for m in state.optimizer.state.values() for v in m.values()]
            self._found |= {
                "peak_bytes": self._peak.bytes(),
                "optimizer_bytes": sum(_bytes(v) for v in memories if isinstance(v, Tensor)),
                "examples": state.batch_examples,
                "activation_bytes": None if self._saved is None else self._saved.bytes,
            }
        if len(self._times) > self._wanted:
            raise _EnoughError
        self._began = _now(device_of(state.model))

    def on_epoch_end(self, state: TrainingState) -> None:  # noqa: ARG002
        """Leave the evaluation that follows out of the next step."""
        self._judged = True

    def close(self) -> None:
        """Take the watch of tensors off, also after an error."""
        if self._saved is not None:
            self._saved.end()

    def cost(self) -> StepCost:
        """Return what was found."""
        first, *others = self._times
        return StepCost(first_s=first, steps_s=tuple(others), **self._found)


class _SavedTensors:
    """Counts the bytes that a forward pass keeps for its backward pass, each storage once."""

    def __init__(self) -> None:
        self.begun = False
        self._open: torch.autograd.graph.saved_tensors_hooks | None = None
        self._known: set[int | None] = set()
        self._untold = 0
        self._sizes: dict[int, int] = {}

    def leave_out(self, tensors: list[Tensor]) -> None:
        self._known = {_place(tensor) for tensor in tensors}

    def begin(self) -> None:
        self.begun = True
        self._open = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept)
        self._open.__enter__()

    def end(self) -> None:
        if self._open is not None:
            self._open.__exit__()
            self._open = None

    @property
    def bytes(self) -> int:
        return self._untold + sum(self._sizes.values())

    def _keep(self, tensor: Tensor) -> Tensor:
        place = _place(tensor)
        if place is None:
            # All that is kept counts, then, also twice.
            self._untold += _bytes(tensor)
        elif place not in self._known:
            self._sizes[place] = tensor.untyped_storage().nbytes()
        # Without its own graph: a tensor that is an output would keep itself alive.
        return tensor.detach()


def _place(tensor: Tensor) -> int | None:
    """Return what storages are told apart by; None where a backend does not tell."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except RuntimeError:
        return None


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _now(device: torch.device) -> float:
    """Return the time once the device has done what it was given."""
    if device.type != "cpu" and hasattr(torch.get_device_module(device.type), "synchronize"):
        torch.get_device_module(device.type).synchronize()
    return time.perf_counter()
