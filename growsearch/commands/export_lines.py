"""What is said of an export on the terminal?"""

from __future__ import annotations

from growsearch.export import ExportResult
from growsearch.export.model_card import CARD_FILE


def export_lines(result: ExportResult) -> list[str]:
    """Return the lines: what was written, what was not, the weights' size, what was proven."""
    names = ", ".join([path.name for path in result.files] + [CARD_FILE])
    return [
        f"Exported to {result.folder}:",
        f"  {names}",
        f"  weights: {result.weight_bytes:,} bytes, {result.weight_bytes / result.plain_bytes:.2f} "
        "of the size with every zero written",
        *left_out_lines(result),
        f"Reloaded; {_proven(result)}.",
    ]


def left_out_lines(result: ExportResult) -> list[str]:
    """Return a line for each file that was not written: why."""
    return [f"  no {name}: {why}" for name, why in result.left_out.items()]


def _proven(result: ExportResult) -> str:
    program, onnx = result.max_difference, result.onnx_difference
    if program is None and onnx is None:
        return "the weights give the same outputs to the bit"
    parts = [] if program is None else [f"{program:.1g}"]
    parts += [] if onnx is None else [f"ONNX by {onnx:.1g}"]
    return f"outputs differ by at most {', '.join(parts)}"
