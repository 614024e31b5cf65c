"""How good is a network? One small pure function a file."""

from growsearch.metrics.accuracy import accuracy, cross_entropy, predict
from growsearch.metrics.gradient_flow import (
    effective_gradient_flow,
    layer_gradient_norms,
    undisturbed,
)
from growsearch.metrics.spectra import Spectra, layer_spectra, mean_spectra

__all__ = [
    "Spectra",
    "accuracy",
    "cross_entropy",
    "effective_gradient_flow",
    "layer_gradient_norms",
    "layer_spectra",
    "mean_spectra",
    "predict",
    "undisturbed",
]
