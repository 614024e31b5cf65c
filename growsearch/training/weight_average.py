"""Exponential moving average (EMA) of a network's weights, which is judged and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from growsearch.training.state import Hook, TrainingState


class WeightAverage(Hook):
    """Follows weights and BatchNorm statistics: average <- d average + (1 - d) weight a step.

    After t steps d is the smaller of ``decay`` and (1 + t) / (10 + t), so that a short run does not
    keep its first weights. A weight that is exactly zero, as masked ones are, is zero in the
    network that is judged.
    """

    def __init__(self, decay: float) -> None:
        """Prepare for one run; ``decay`` is in (0, 1)."""
        self._decay = decay
        self._average: dict[str, Tensor] = {}

    def on_start(self, state: TrainingState) -> None:
        """Start at the first weights."""
        self._average = {n: t.detach().clone() for n, t in _averaged(state.model).items()}

    @torch.no_grad()
    def after_update(self, state: TrainingState) -> None:
        """Follow the weights."""
        decay = min(self._decay, (1 + state.step) / (10 + state.step))
        for name, tensor in _averaged(state.model).items():
            self._average[name].lerp_(tensor, 1 - decay)

    def settings(self) -> Mapping[str, object]:
        """Return the decay."""
        return {"decay": self._decay}

    def state(self) -> Mapping[str, Tensor]:
        """Return the averages."""
        return dict(self._average)

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take the averages back."""
        own = _averaged(training.model)
        self._average = {name: tensors[name].to(tensor.device) for name, tensor in own.items()}

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Let ``model`` have the averages inside, and its own weights again afterwards."""
        before = {name: tensor.detach().clone() for name, tensor in _averaged(model).items()}
        self.settle(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in _averaged(model).items():
                    tensor.copy_(before[name])

    @torch.no_grad()
    def settle(self, model: nn.Module) -> None:
        """Give ``model`` the averages for good."""
        for name, tensor in _averaged(model).items():
            tensor.copy_(self._average[name] * (tensor != 0))


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers of floating point by name: masks and counters are not."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
