"""Measures of how good a network is: one small pure function a file."""

from growsearch.metrics.accuracy import accuracy, cross_entropy, predict, predict_split
from growsearch.metrics.adaptive_ece import adaptive_calibration_error
from growsearch.metrics.adversarial import Attack, fgsm, pgd
from growsearch.metrics.average_precision import average_precision, mean_average_precision
from growsearch.metrics.brier import brier_score
from growsearch.metrics.ece import expected_calibration_error
from growsearch.metrics.evaluation import evaluating
from growsearch.metrics.gradient_flow import (
    effective_gradient_flow,
    layer_gradient_norms,
    undisturbed,
)
from growsearch.metrics.mean_iou import confusion, mean_iou, pixel_accuracy
from growsearch.metrics.next_words import next_word_scores
from growsearch.metrics.out_of_distribution import energy, ood_auroc, softmax_strangeness
from growsearch.metrics.per_class import ClassFigures, class_confusion, per_class
from growsearch.metrics.perplexity import perplexity
from growsearch.metrics.pixels import noisy
from growsearch.metrics.registry import METRICS, Metric, evaluate, fitting_metric
from growsearch.metrics.regression import mean_absolute_error, mean_squared_error, r2_score
from growsearch.metrics.settings import MetricSettings
from growsearch.metrics.smoothing import Smoothing, certified_accuracy, certify
from growsearch.metrics.spectra import Spectra, layer_spectra, mean_spectra

__all__ = [
    "METRICS",
    "Attack",
    "ClassFigures",
    "Metric",
    "MetricSettings",
    "Smoothing",
    "Spectra",
    "accuracy",
    "adaptive_calibration_error",
    "average_precision",
    "brier_score",
    "certified_accuracy",
    "certify",
    "class_confusion",
    "confusion",
    "cross_entropy",
    "effective_gradient_flow",
    "energy",
    "evaluate",
    "evaluating",
    "expected_calibration_error",
    "fgsm",
    "fitting_metric",
    "layer_gradient_norms",
    "layer_spectra",
    "mean_absolute_error",
    "mean_average_precision",
    "mean_iou",
    "mean_spectra",
    "mean_squared_error",
    "next_word_scores",
    "noisy",
    "ood_auroc",
    "per_class",
    "perplexity",
    "pgd",
    "pixel_accuracy",
    "predict",
    "predict_split",
    "r2_score",
    "softmax_strangeness",
    "undisturbed",
]
