"""Regression task: a network learns to predict numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.datasets.dataset import Split
from growsearch.errors import UsageError
from growsearch.metrics import mean_absolute_error, mean_squared_error, predict_split, r2_score
from growsearch.pareto import Direction
from growsearch.training.tasks.augmented import AugmentedExamples
from growsearch.training.tasks.target_scale import InUnits, TargetScale
from growsearch.training.tasks.task import Outputs, Scores


@dataclass(frozen=True, slots=True)
class Regression(AugmentedExamples):
    """Targets are (N,) or (N, K), outputs (N, K); the loss is the mean squared error.

    A network learns targets that are standardised by the training split (``scale``), so that one
    learning rate suits all units. It is judged in the targets' own unit, and so is a finished trial
    of a study: its network is `InUnits`.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Regression
        >>> inputs = torch.arange(40.0).view(40, 1)
        >>> task = Regression(from_tensors(inputs, 3 * inputs[:, 0], task="regression"))
        >>> dict(task.metrics)
        {'mse': 'minimize', 'mae': 'minimize', 'r2': 'maximize'}
    """

    @property
    def scale(self) -> TargetScale:
        """Mean and deviation of the training targets; reads them all where they are streamed."""
        if "scale" not in self.found:
            self.found["scale"] = TargetScale.of(self.dataset.train.labels)
        scale: TargetScale = self.found["scale"]
        return scale

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        *,
        inputs: Tensor | None = None,  # noqa: ARG002
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the mean squared error of standardised outputs (N, K).

        Raises:
            UsageError: for label smoothing, or outputs that are not one a target.
        """
        if label_smoothing:
            raise UsageError(
                f"label_smoothing: {label_smoothing} of a regression, which has no labels to "
                "smooth; take another recipe, or 0"
            )
        wanted = self.scale.standardised(targets)
        if outputs.shape != wanted.shape:
            raise UsageError(
                f"space: its networks give {tuple(outputs.shape)} for targets "
                f"{tuple(wanted.shape)}; take a space with one output a number"
            )
        return F.mse_loss(outputs.float(), wanted)

    @property
    def metrics(self) -> Mapping[str, Direction]:
        """Mean squared error, mean absolute error and R², in the targets' unit."""
        return {"mse": "minimize", "mae": "minimize", "r2": "maximize"}

    def scores(self, model: nn.Module, split: Split) -> Scores:
        """Return the metrics on ``split``, of a network in training or one that is `InUnits`."""
        found, targets = predict_split(model, split)
        found = found.float()
        if not isinstance(model, InUnits):
            found = self.scale.in_units(found)
        judged = {"mse": mean_squared_error, "mae": mean_absolute_error, "r2": r2_score}
        return Scores(metrics={name: measure(found, targets) for name, measure in judged.items()})
