"""Titles and directions of measures, MEASURES: which are there beyond costs, and what is better?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from growsearch.pareto.point import Direction

Labels = Literal["one an example", "one a word", "one a pixel", "numbers", "several an example"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure's title, which way is better, its largest value and the labels that it is for.

    ``labels`` None is any.
    ``images`` tells that it changes pixels, so that inputs have to be images (N, C, H, W), and
    ``every_epoch`` that training itself takes it after every epoch, as a task's metric.

    Example:
        >>> from growsearch.pareto import MEASURES
        >>> MEASURES["ece"].title, MEASURES["ece"].direction
        ('Calibration error (ECE)', 'minimize')
    """

    title: str
    direction: Direction
    highest: float | None = 1.0
    labels: Labels | None = "one an example"
    images: bool = False
    every_epoch: bool = False


# How each is computed is in growsearch.metrics; names and titles are here, since a report and a
# study need no more, and computing takes seconds to import.
MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure(title="Accuracy", direction="maximize", labels=None, every_epoch=True),
    "nll": Measure(title="Negative log-likelihood (nats)", direction="minimize", highest=None),
    "ece": Measure(title="Calibration error (ECE)", direction="minimize"),
    "adaptive_ece": Measure(title="Calibration error (equal mass)", direction="minimize"),
    "brier": Measure(title="Brier score", direction="minimize", highest=2.0),
    "fgsm_accuracy": Measure(title="Accuracy under FGSM", direction="maximize", images=True),
    "pgd_accuracy": Measure(title="Accuracy under PGD", direction="maximize", images=True),
    "certified_accuracy": Measure(title="Certified accuracy", direction="maximize", images=True),
    "ood_auroc": Measure(title="OOD ROC-AUC (softmax)", direction="maximize", images=True),
    "ood_auroc_energy": Measure(title="OOD ROC-AUC (energy)", direction="maximize", images=True),
    "perplexity": Measure(
        title="Perplexity", direction="minimize", highest=None, labels="one a word"
    ),
    "mse": Measure(
        title="Mean squared error",
        direction="minimize",
        highest=None,
        labels="numbers",
        every_epoch=True,
    ),
    "mae": Measure(
        title="Mean absolute error",
        direction="minimize",
        highest=None,
        labels="numbers",
        every_epoch=True,
    ),
    "r2": Measure(
        title="R² (coefficient of determination)",
        direction="maximize",
        labels="numbers",
        every_epoch=True,
    ),
    "mAP": Measure(
        title="Mean average precision",
        direction="maximize",
        labels="several an example",
        every_epoch=True,
    ),
    "mean_iou": Measure(title="Mean IoU", direction="maximize", labels="one a pixel"),
}
