"""How does a chosen network leave a run, ready to use and proven equal?"""

from growsearch.export.network_export import (
    ExportError,
    ExportResult,
    export_network,
    load_trained,
    normal_inputs,
    token_inputs,
)

__all__ = [
    "ExportError",
    "ExportResult",
    "export_network",
    "load_trained",
    "normal_inputs",
    "token_inputs",
]
