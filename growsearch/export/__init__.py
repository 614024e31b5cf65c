"""Export: a chosen network leaves its run, ready to use and proven equal."""

from growsearch.export.loading import load_network
from growsearch.export.model_card import CardFacts, DeviceCost, render_card, write_card
from growsearch.export.network_export import ExportResult, export_network
from growsearch.export.prediction import Prediction, Predictor, load_predictor
from growsearch.export.proving import ExportError
from growsearch.export.sparse_weights import read_weights

__all__ = [
    "CardFacts",
    "DeviceCost",
    "ExportError",
    "ExportResult",
    "Prediction",
    "Predictor",
    "export_network",
    "load_network",
    "load_predictor",
    "read_weights",
    "render_card",
    "write_card",
]
