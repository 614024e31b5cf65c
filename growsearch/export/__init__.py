"""Export: a chosen network leaves its run, ready to use and proven equal."""

from growsearch.export.loading import load_network
from growsearch.export.model_card import CardFacts, DeviceCost, render_card, write_card
from growsearch.export.network_export import ExportError, ExportResult, export_network
from growsearch.export.sparse_weights import read_weights

__all__ = [
    "CardFacts",
    "DeviceCost",
    "ExportError",
    "ExportResult",
    "export_network",
    "load_network",
    "read_weights",
    "render_card",
    "write_card",
]
