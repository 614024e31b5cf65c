"""Diagnostics of a sparse network: spectra and gradient flow, written down epoch by epoch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from growsearch.errors import UsageError
from growsearch.metrics import layer_gradient_norms, layer_spectra, mean_spectra, undisturbed
from growsearch.sparsity import Masks, prunable_parameters
from growsearch.training import Hook, Loss, TrainingState

Recorded = Literal["spectra", "gradient_flow"]
RECORDED: tuple[Recorded, ...] = get_args(Recorded)

# One line of a record: the epoch (0 is before training), figures by layer, and over all layers.
_Line = dict[str, Any]


def check_recorded(names: Iterable[str]) -> None:
    """Raise UsageError unless every name is in RECORDED and none comes twice."""
    names = tuple(names)
    for name in names:
        if name not in RECORDED:
            raise UsageError(f"record: unknown {name!r}; valid: {', '.join(RECORDED)}")
    if len(set(names)) < len(names):
        raise UsageError("record: a name stands twice; remove one")


class Recording(Hook):
    """Measures the masked layers before training and after every epoch; training does not notice.

    "spectra" has the figures of `Spectra` by layer, and their mean over the layers that define
    them. "gradient_flow" has the norm of the loss's gradient over each layer's active weights, on
    one fixed batch in training mode, their root sum of squares "all" and their "mean". A network
    without masks is measured as if all of its prunable weights were active.
    """

    def __init__(
        self, masks: Masks, names: Iterable[Recorded], batch: tuple[Tensor, Tensor], loss: Loss
    ) -> None:
        """Prepare for one run.

        Args:
            masks: of the model that will be trained.
            names: what to record; see RECORDED.
            batch: inputs (N, ...) and targets, for the gradients.
            loss: maps (outputs, targets) to a scalar.
        """
        self._masks = masks
        self._batch = batch
        self._loss = loss
        self._lines: dict[str, list[_Line]] = {name: [] for name in names}

    @property
    def records(self) -> Mapping[str, list[_Line]]:
        """The lines so far, by what they record."""
        return self._lines

    def on_start(self, state: TrainingState) -> None:
        """Measure the network as it was initialised."""
        self._measure(state, epoch=0)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Measure the network after an epoch."""
        self._measure(state, epoch=state.epoch + 1)

    def settings(self) -> Mapping[str, object]:
        """Return what is recorded."""
        return {"record": list(self._lines)}

    def state(self) -> Mapping[str, Tensor]:
        """Return the lines so far as bytes of JSON."""
        content = json.dumps(self._lines).encode()
        return {"lines": torch.tensor(list(content), dtype=torch.uint8)}

    def load_state(
        self,
        tensors: Mapping[str, Tensor],
        training: TrainingState,  # noqa: ARG002
    ) -> None:
        """Take the lines back."""
        self._lines = json.loads(bytes(tensors["lines"].tolist()))

    def _measure(self, state: TrainingState, epoch: int) -> None:
        for name, lines in self._lines.items():
            lines.append({"epoch": epoch, **_MEASURES[name](self, state)})

    def _layers(self, state: TrainingState) -> dict[str, Tensor]:
        """Return the masks by parameter name."""
        if len(self._masks):
            return {name: self._masks[name] for name in self._masks}
        weights = prunable_parameters(state.model)
        return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}

    def _spectra(self, state: TrainingState) -> _Line:
        layers = {
            name: layer_spectra(mask, state.model.get_parameter(name))
            for name, mask in self._layers(state).items()
        }
        return {
            "layers": {name: dataclasses.asdict(found) for name, found in layers.items()},
            "mean": dataclasses.asdict(mean_spectra(layers)),
        }

    def _gradient_flow(self, state: TrainingState) -> _Line:
        with undisturbed(state.model):
            norms = layer_gradient_norms(
                state.model, *self._batch, self._layers(state), loss=self._loss
            )
        return {
            "layers": norms,
            "all": math.hypot(*norms.values()),
            "mean": math.fsum(norms.values()) / len(norms),
        }


_MEASURES: dict[str, Callable[[Recording, TrainingState], _Line]] = {
    "spectra": Recording._spectra,
    "gradient_flow": Recording._gradient_flow,
}
