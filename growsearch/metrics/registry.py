"""Registry of the measures of a trained network, METRICS: one function and one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.datasets.dataset import Split
from growsearch.errors import UsageError
from growsearch.metrics.accuracy import accuracy, cross_entropy, predict, predict_split
from growsearch.metrics.adaptive_ece import adaptive_calibration_error
from growsearch.metrics.adversarial import fgsm, pgd
from growsearch.metrics.average_precision import mean_average_precision
from growsearch.metrics.brier import brier_score
from growsearch.metrics.ece import expected_calibration_error
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.mean_iou import confusion, mean_iou, pixel_accuracy
from growsearch.metrics.next_words import next_word_scores
from growsearch.metrics.out_of_distribution import (
    Strangeness,
    energy,
    ood_auroc,
    softmax_strangeness,
)
from growsearch.metrics.pixels import noisy
from growsearch.metrics.placement import beside
from growsearch.metrics.regression import mean_absolute_error, mean_squared_error, r2_score
from growsearch.metrics.settings import MetricSettings
from growsearch.metrics.smoothing import certified_accuracy, certify
from growsearch.pareto import MEASURES, Direction, Measure

Function = Callable[[nn.Module, Split, MetricSettings], float]

_CLASSES = ("one an example", "one a word", "one a pixel")
_BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure and how it is computed.

    ``function`` maps (model, split, settings) to a value, from 0 on but for R². It leaves the
    model's parameters, gradients and modes alone, and the same settings give the same value.

    Example:
        >>> from growsearch.metrics import METRICS
        >>> METRICS["brier"].title, METRICS["brier"].direction
        ('Brier score', 'minimize')
    """

    measure: Measure
    function: Function

    @classmethod
    def of(cls, name: str, function: Function) -> Metric:
        """Return the measure of this name, computed by ``function``."""
        return cls(measure=MEASURES[name], function=function)

    @property
    def title(self) -> str:
        """The name for people."""
        return self.measure.title

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        return self.measure.direction


def evaluate(
    names: Iterable[str], model: nn.Module, split: Split, settings: MetricSettings
) -> dict[str, float]:
    """Return the metrics ``names`` of a trained network on ``split``.

    Raises:
        UsageError: for an unknown name, or a metric that is for other data; before any is taken.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import MetricSettings, evaluate
        >>> module = torch.nn.Linear(2, 2, bias=False)
        >>> _ = module.weight.data.copy_(torch.eye(2))
        >>> split = Split(inputs=torch.eye(2), labels=torch.tensor([0, 0]))
        >>> evaluate(["accuracy"], module, split, MetricSettings())
        {'accuracy': 0.5}
    """
    wanted = {name: fitting_metric(name, split) for name in names}
    return {name: metric.function(model, split, settings) for name, metric in wanted.items()}


def fitting_metric(name: str, split: Split) -> Metric:
    """Return a metric by name that can be taken on ``split``.

    Raises:
        UsageError: if there is none of this name, or it is for data of another kind.

    Example:
        >>> import torch
        >>> from growsearch.datasets import Split
        >>> from growsearch.metrics import fitting_metric
        >>> split = Split(inputs=torch.zeros(4, 8), labels=torch.zeros(4, dtype=torch.long))
        >>> fitting_metric("ece", split).title
        'Calibration error (ECE)'
    """
    if name not in METRICS:
        raise UsageError(f"metrics: unknown {name!r}; valid: {', '.join(METRICS)}")
    metric, measure = METRICS[name], METRICS[name].measure
    found = split.label_kind
    fits = (measure.labels,) if measure.labels is not None else _CLASSES
    if found not in fits:
        raise UsageError(
            f"metrics: {name} is for labels {' or '.join(map(str, fits))}; this data has {found}"
        )
    if measure.images and len(split.input_shape) != 3:
        raise UsageError(
            f"metrics: {name} is for images; this data has inputs of "
            f"{(len(split), *split.input_shape)}"
        )
    return metric


def _of_logits(score: Callable[[Tensor, Tensor], float]) -> Function:
    """Return the metric that is a function of all logits and labels."""

    def function(model: nn.Module, split: Split, settings: MetricSettings) -> float:  # noqa: ARG001
        return score(*predict_split(model, split))

    return function


def _accuracy(model: nn.Module, split: Split, settings: MetricSettings) -> float:  # noqa: ARG001
    """Return the share of examples, words or labelled pixels that are right."""
    axes = 1 + len(split.label_shape)
    if axes == 2:
        return next_word_scores(model, split)[0]
    if axes == 3:
        return pixel_accuracy(_confusion(model, split))
    return accuracy(*predict_split(model, split))


def _fgsm_accuracy(model: nn.Module, split: Split, settings: MetricSettings) -> float:
    """Return the accuracy under FGSM (arXiv 1412.6572)."""
    some = _evenly(split, settings.attacked)
    parts = [
        fgsm(
            model,
            part.inputs,
            part.labels,
            epsilon=settings.epsilon,
            normalisation=settings.normalisation,
        )
        for part in _batches(some)
    ]
    return accuracy(predict(model, torch.cat(parts)), some.labels)


def _pgd_accuracy(model: nn.Module, split: Split, settings: MetricSettings) -> float:
    """Return the accuracy under PGD (arXiv 1706.06083)."""
    some, generator = _evenly(split, settings.attacked), _generator(settings)
    parts = [
        pgd(
            model,
            part.inputs,
            part.labels,
            attack=settings.attack,
            generator=generator,
            normalisation=settings.normalisation,
        )
        for part in _batches(some)
    ]
    return accuracy(predict(model, torch.cat(parts)), some.labels)


def _certified_accuracy(model: nn.Module, split: Split, settings: MetricSettings) -> float:
    """Return the accuracy that is certain within the settings' radius (arXiv 1902.02918)."""
    some = _evenly(split, settings.certified)
    classes, radii = certify(
        model,
        some.inputs,
        settings.smoothing,
        generator=_generator(settings),
        normalisation=settings.normalisation,
    )
    return certified_accuracy(classes, radii, some.labels, radius=settings.radius)


def _auroc(strangeness: Strangeness) -> Function:
    def function(model: nn.Module, split: Split, settings: MetricSettings) -> float:
        if settings.outside is None:
            outside = _noisy_logits(model, split, settings)
        else:
            outside = predict(model, settings.outside)
        return ood_auroc(predict_split(model, split)[0], outside, strangeness)

    return function


def _noisy_logits(model: nn.Module, split: Split, settings: MetricSettings) -> Tensor:
    """Return the logits of the split's images with noise, drawn for all of them at once if it can.

    What is in memory has had its noise that way in earlier versions.
    """
    generator = _generator(settings)
    parts = split.batches(_BATCH if split.streamed else len(split))
    return torch.cat(
        [
            predict(model, noisy(part, settings.noise, generator, settings.normalisation))
            for part, _ in parts
        ]
    )


def _perplexity(model: nn.Module, split: Split, settings: MetricSettings) -> float:  # noqa: ARG001
    return next_word_scores(model, split)[1]


def _mean_iou(model: nn.Module, split: Split, settings: MetricSettings) -> float:  # noqa: ARG001
    return mean_iou(_confusion(model, split))


@torch.no_grad()
def _confusion(model: nn.Module, split: Split) -> Tensor:
    with evaluating(model):
        classes = model(*beside(model, split.inputs[:1])).shape[-1]
    return confusion(model, split, classes=classes)


def _evenly(split: Split, count: int) -> Split:
    """Return at most ``count`` examples at equal distances, the first one included."""
    if count >= len(split) and not split.streamed:
        return split
    count = min(count, len(split))
    places = torch.arange(count) * len(split) // count
    return split.at(places)


def _batches(split: Split) -> Iterable[Split]:
    pairs = zip(*(torch.split(part, _BATCH) for part in (split.inputs, split.labels)), strict=True)
    return (Split(inputs=inputs, labels=labels) for inputs, labels in pairs)


def _generator(settings: MetricSettings) -> torch.Generator:
    return torch.Generator().manual_seed(settings.seed)


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric.of("accuracy", _accuracy),
    "nll": Metric.of("nll", _of_logits(cross_entropy)),
    "ece": Metric.of("ece", _of_logits(expected_calibration_error)),
    "adaptive_ece": Metric.of("adaptive_ece", _of_logits(adaptive_calibration_error)),
    "brier": Metric.of("brier", _of_logits(brier_score)),
    "fgsm_accuracy": Metric.of("fgsm_accuracy", _fgsm_accuracy),
    "pgd_accuracy": Metric.of("pgd_accuracy", _pgd_accuracy),
    "certified_accuracy": Metric.of("certified_accuracy", _certified_accuracy),
    "ood_auroc": Metric.of("ood_auroc", _auroc(softmax_strangeness)),
    "ood_auroc_energy": Metric.of("ood_auroc_energy", _auroc(energy)),
    "perplexity": Metric.of("perplexity", _perplexity),
    "mse": Metric.of("mse", _of_logits(mean_squared_error)),
    "mae": Metric.of("mae", _of_logits(mean_absolute_error)),
    "r2": Metric.of("r2", _of_logits(r2_score)),
    "mAP": Metric.of("mAP", _of_logits(mean_average_precision)),
    "mean_iou": Metric.of("mean_iou", _mean_iou),
}
