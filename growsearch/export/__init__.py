"""How does a chosen network leave a run, ready to use and proven equal?"""

from growsearch.export.loading import load_network
from growsearch.export.model_card import CardFacts, DeviceCost, render_card, write_card
from growsearch.export.network_export import (
    ExportError,
    ExportResult,
    export_network,
    normal_inputs,
    token_inputs,
)
from growsearch.export.sparse_weights import read_weights
from growsearch.export.trained import load_trained

__all__ = [
    "CardFacts",
    "DeviceCost",
    "ExportError",
    "ExportResult",
    "export_network",
    "load_network",
    "load_trained",
    "normal_inputs",
    "read_weights",
    "render_card",
    "token_inputs",
    "write_card",
]
