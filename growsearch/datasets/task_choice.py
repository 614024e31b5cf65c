"""Task choice: what is to be learned from a data set's labels, where they alone do not say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from growsearch.errors import UsageError

BuiltIn = Literal["regression", "multi-label"]
BUILT_IN: tuple[BuiltIn, ...] = get_args(BuiltIn)
ClassLoss = Literal["cross-entropy", "focal"]
CLASS_LOSSES: tuple[ClassLoss, ...] = get_args(ClassLoss)
BALANCED: Literal["balanced"] = "balanced"

# Lin et al. 2017 found 2 to work best.
GAMMA = 2.0


def check_task_name(task: str | None) -> None:
    """Refuse a name that no task has; own code is not looked for.

    Raises:
        UsageError: listing the valid names.
    """
    if task is not None and task not in BUILT_IN and ":" not in task:
        raise UsageError(
            f"task: unknown {task!r}; valid: {', '.join(BUILT_IN)}, or your own as MODULE:ATTRIBUTE"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """What a study says of its task.

    Attributes:
        name: "regression", "multi-label", or own code "module:attribute"; None goes by the labels:
            classes of examples, words or pixels.
        class_weights: of classes: the factor of each in the loss, or "balanced": inversely
            proportional to its frequency in the training split, N / (classes x count).
        loss: of classes: "cross-entropy", or "focal" (Lin et al. 2017, arXiv 1708.02002, eq. 5).
        gamma: the focusing parameter of the focal loss, at least 0; at 0 it is the cross-entropy.

    Raises:
        UsageError: for values out of range, or what goes with classes alone.
    """

    name: str | None = None
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    loss: ClassLoss = "cross-entropy"
    gamma: float = GAMMA

    def __post_init__(self) -> None:
        if self.loss not in CLASS_LOSSES:
            raise UsageError(f"loss: unknown {self.loss!r}; valid: {', '.join(CLASS_LOSSES)}")
        if not 0 <= self.gamma < math.inf:
            raise UsageError(f"gamma: {self.gamma} is not a number from 0 on")
        weights = self.class_weights
        if isinstance(weights, str) and weights != BALANCED:
            raise UsageError(f"class_weights: {weights!r}; write balanced, or a number a class")
        if isinstance(weights, tuple) and not all(0 < weight < math.inf for weight in weights):
            raise UsageError(f"class_weights: {list(weights)} are not all numbers above 0")
        if self.name is not None and (weights is not None or self.loss != "cross-entropy"):
            key = "loss" if weights is None else "class_weights"
            raise UsageError(
                f"{key}: goes with classes, of examples, words or pixels, and not with the task "
                f"{self.name.partition('@')[0]}; remove one of both"
            )

    @property
    def is_own(self) -> bool:
        """Whether the task is own code."""
        return self.name is not None and ":" in self.name


BY_LABELS = TaskChoice()
