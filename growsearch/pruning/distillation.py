"""Distillation: a network that was pruned learns from the one that it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.errors import UsageError
from growsearch.metrics.placement import device_of
from growsearch.pareto import Direction
from growsearch.pruning.config import Distillation
from growsearch.training import MultiLabel, OwnTask, Regression, Scores, Task, plain
from growsearch.training.tasks.task import Forward, InputsAndTargets, Outputs
from search_spaces.channel_groups import BatchNorm

Features = dict[str, Tensor]


class DistilledTask:
    """A task whose loss hears a teacher, too; all else is the task's own.

    Args:
        task: what is learned.
        teacher: the network that there was; it is put into evaluation mode and stays as it is.
        settings: how much it is listened to.

    Raises:
        UsageError: for a task of one's own, whose outputs have a meaning of their own.
    """

    def __init__(self, task: Task, teacher: nn.Module, settings: Distillation) -> None:
        if isinstance(task, OwnTask):
            raise UsageError(
                "distillation: what the outputs of an own task mean, only its loss knows; set "
                "distillation: 0, or let that loss ask a teacher"
            )
        self._task, self._settings = task, settings
        self._teacher = teacher.eval().requires_grad_(False)
        self._read: Forward = task.forward()
        self._seen: Features = {}

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the weighted sum of the task's loss and the distance to the teacher."""
        assert inputs is not None  # the loop gives what the network has read
        own = self._task.loss(outputs, targets, inputs=inputs, label_smoothing=label_smoothing)
        if self._teacher.training or device_of(self._teacher) != inputs.device:
            self._teacher.to(inputs.device).eval()
        student, features = self._seen, self._settings.features
        with torch.no_grad(), _features(self._teacher, features > 0) as taught:
            wanted = self._read(self._teacher, inputs)
        weight = self._settings.weight
        total = (1 - weight) * own + weight * self._apart(outputs, wanted)
        if features > 0:
            total = total + features * attention_distance(student, taught)
            self._seen = {}
        return total

    def _apart(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        heat = self._settings.temperature
        if isinstance(self._task, Regression):
            return F.mse_loss(outputs, wanted)
        if isinstance(self._task, MultiLabel):
            return F.binary_cross_entropy_with_logits(outputs, wanted.sigmoid())
        return soft_loss(outputs, wanted, heat)

    def forward(self) -> Forward:
        """Return how one epoch's batches are read; the teacher reads them alike."""
        own, self._read = self._task.forward(), self._task.forward()
        if self._settings.features <= 0:
            return own

        def read(network: nn.Module, inputs: Tensor) -> Outputs:
            with _features(network, True) as seen:
                outputs = own(network, inputs)
            self._seen = seen
            return outputs

        return read

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """The task's own."""
        return self._task.metrics

    def settings(self) -> Mapping[str, object]:
        """Return the task's own, and how the teacher is listened to."""
        return {**self._task.settings(), "distillation": plain(self._settings)}

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the task's own."""
        return self._task.steps_per_epoch(batch_size)

    def batch_examples(self, batch_size: int) -> int:
        """Return the task's own."""
        return self._task.batch_examples(batch_size)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[InputsAndTargets]:
        """Yield the task's own."""
        return self._task.batches(batch_size, generator)

    def sample(self, count: int, generator: torch.Generator) -> InputsAndTargets:
        """Return the task's own."""
        return self._task.sample(count, generator)

    def evaluate(self, model: nn.Module) -> Scores:
        """Judge ``model`` by the task alone."""
        return self._task.evaluate(model)


def soft_loss(outputs: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the divergence of softened logits (..., classes) from the teacher's.

    Example:
        >>> import torch
        >>> from growsearch.pruning.distillation import soft_loss
        >>> same = torch.tensor([[1.0, 2.0]])
        >>> float(soft_loss(same, same, 4.0)), float(soft_loss(same, -same, 4.0)) > 0.1
        (0.0, True)
    """
    ours = F.log_softmax(outputs.flatten(0, -2) / temperature, dim=-1)
    theirs = F.log_softmax(wanted.flatten(0, -2) / temperature, dim=-1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def attention_distance(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
    """Return the mean squared distance of normalised maps of attention, layer by layer.

    A map is the mean over channels of the squares, (N, positions) of (N, channels, ...).
    """
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise UsageError(
            "features: no BatchNorm with positions is in both networks; set features: 0"
        )
    apart = [(_map(ours[n]) - _map(theirs[n])).square().sum(dim=1).mean() for n in shared]
    return torch.stack(apart).mean()


def _map(values: Tensor) -> Tensor:
    return F.normalize(values.square().mean(dim=1).flatten(1), dim=1)


@contextmanager
def _features(network: nn.Module, wanted: bool) -> Iterator[Features]:
    """Keep what every BatchNorm with positions puts out inside, by its path."""
    found: Features = {}

    def keeper(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            if output.ndim > 2:
                found[name] = output

        return keep

    norms = [(n, m) for n, m in network.named_modules() if isinstance(m, BatchNorm)]
    handles = [m.register_forward_hook(keeper(n)) for n, m in norms] if wanted else []
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
