"""What is said of an export on the terminal?"""

from __future__ import annotations

from growsearch.export import ExportResult
from growsearch.export.model_card import CARD_FILE


def export_lines(result: ExportResult) -> list[str]:
    """Return the lines: what was written, how large the weights are, what was proven."""
    names = ", ".join([path.name for path in result.files] + [CARD_FILE])
    onnx = "" if result.onnx_difference is None else f", ONNX by {result.onnx_difference:.1g}"
    return [
        f"Exported to {result.folder}:",
        f"  {names}",
        f"  weights: {result.weight_bytes:,} bytes, {result.weight_bytes / result.plain_bytes:.2f} "
        "of the size with every zero written",
        f"Reloaded; outputs differ by at most {result.max_difference:.1g}{onnx}.",
    ]
