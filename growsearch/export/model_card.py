"""Model card in Markdown: what should everybody know who is handed the network?

The sections follow Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv 1810.03993).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from growsearch.export.network_export import ExportResult
from growsearch.files import write_text
from growsearch.shown_text import shown

CARD_FILE = "MODEL_CARD.md"

_SPECIAL = str.maketrans({"|": r"\|", "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;"})
_ABOUT = {
    "architecture.json": "the network's description; `growsearch.export.load_network` builds it",
    "weights.safetensors": "weights and BatchNorm statistics",
    "preprocessing.json": "what the network reads and gives: size, channels, mean, deviation, "
    "classes",
    "program.pt2": "a `torch.export` program for normalised tensors, batch of any size; needs "
    "torch alone",
    "image_program.pt2": "the same with the preprocessing in front, for pixels (N, H, W, C) uint8",
    "model.onnx": "program.pt2 for ONNX Runtime and others",
    "image_model.onnx": "image_program.pt2 for ONNX Runtime and others",
    "load.py": "runs the network",
    "read_pictures.py": "reads picture files as the data sets do; needs Pillow alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCost:
    """What the network takes on one device, and how that is known.

    Example:
        >>> from growsearch.export import DeviceCost
        >>> DeviceCost(
        ...     device="cpu", latency="0.5 ms", interval="0.4 to 0.6 ms", method="measured"
        ... ).latency
        '0.5 ms'
    """

    device: str
    latency: str
    interval: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says beside what the export itself knows; all values are text for people.

    ``summary`` is a sentence, the mappings are rows by name, ``limits`` are sentences.

    Example:
        >>> from growsearch.export import CardFacts
        >>> CardFacts(
        ...     title="Digits, small",
        ...     summary="Names the digit of an 8 x 8 image.",
        ...     data={"data": "digits"},
        ...     results={"accuracy": "97 %"},
        ...     devices=(),
        ...     training={"epochs": "20"},
        ...     provenance={"study": "digits"},
        ... ).limits
        ()
    """

    title: str
    summary: str
    data: Mapping[str, str]
    results: Mapping[str, str]
    devices: tuple[DeviceCost, ...]
    training: Mapping[str, str]
    provenance: Mapping[str, str]
    limits: tuple[str, ...] = field(default=())


def write_card(facts: CardFacts, result: ExportResult) -> Path:
    """Write MODEL_CARD.md into the export's folder, in one step; return its path.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.export import CardFacts, ExportResult, write_card
        >>> facts = CardFacts(
        ...     title="Digits, small",
        ...     summary="Names the digit of an 8 x 8 image.",
        ...     data={},
        ...     results={"accuracy": "97 %"},
        ...     devices=(),
        ...     training={},
        ...     provenance={},
        ... )
        >>> folder = Path("export")
        >>> result = ExportResult(
        ...     folder=folder,
        ...     architecture=folder / "architecture.json",
        ...     weights=folder / "weights.safetensors",
        ...     program=folder / "program.pt2",
        ...     max_difference=0.0,
        ...     weight_bytes=4096,
        ...     plain_bytes=8192,
        ...     output_shape=(10,),
        ... )
        >>> write_card(facts, result).name
        'MODEL_CARD.md'
    """
    path = result.folder / CARD_FILE
    write_text(path, render_card(facts, result))
    return path


def render_card(facts: CardFacts, result: ExportResult) -> str:
    """Return the card. Text from studies cannot break its tables or bring in HTML.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.export import CardFacts, ExportResult, render_card
        >>> facts = CardFacts(
        ...     title="Digits, small",
        ...     summary="Names the digit of an 8 x 8 image.",
        ...     data={},
        ...     results={"accuracy": "97 %"},
        ...     devices=(),
        ...     training={},
        ...     provenance={},
        ... )
        >>> folder = Path("export")
        >>> result = ExportResult(
        ...     folder=folder,
        ...     architecture=folder / "architecture.json",
        ...     weights=folder / "weights.safetensors",
        ...     program=folder / "program.pt2",
        ...     max_difference=0.0,
        ...     weight_bytes=4096,
        ...     plain_bytes=8192,
        ...     output_shape=(10,),
        ... )
        >>> render_card(facts, result).splitlines()[0]
        '# Digits, small'
    """
    parts = [
        f"# {_text(facts.title)}",
        _text(facts.summary),
        _section("Data", _table(("", ""), facts.data.items())),
        _section("Results", _table(("metric", "value"), facts.results.items())),
        _section("Cost by device", _devices(facts.devices)),
        _section("Training", _table(("", ""), facts.training.items())),
        _section("Files", _files(result)),
        _section("Limits", "\n".join(f"- {_text(line)}" for line in facts.limits)),
        _section("Where it comes from", _table(("", ""), facts.provenance.items())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _devices(costs: tuple[DeviceCost, ...]) -> str:
    rows = [
        (f"{c.device}: {c.latency}", f"{c.interval or 'no interval'}; {c.method}") for c in costs
    ]
    return _table(("device", "how it is known"), rows)


def _files(result: ExportResult) -> str:
    rows = [(path.name, _ABOUT[path.name]) for path in result.files]
    lines = [
        f"weights.safetensors has {result.weight_bytes:,} bytes, "
        f"{result.weight_bytes / result.plain_bytes:.2f} of the {result.plain_bytes:,} that they "
        "take with every zero written; zeros are left out where that is smaller, and "
        "`growsearch.export.read_weights` puts them back.",
        "All files were read back and run beside the trained network on random inputs: the weights "
        f"give the same outputs to the bit{_difference(result)}.",
        *(f"{name} is not there: {_text(why)}." for name, why in result.left_out.items()),
    ]
    return "\n\n".join([_table(("file", "what it is"), rows), *lines])


def _difference(result: ExportResult) -> str:
    found = [
        f"{name} {'in ONNX Runtime' if name.endswith('.onnx') else 'differs'} by at most {most:.1g}"
        for name, most in result.differences.items()
    ]
    return "".join(f", {each}" for each in found)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {_text(a)} | {_text(b)} |" for a, b in rows]
    if not lines:
        return ""
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *lines])


def _text(value: str) -> str:
    return shown(value.translate(_SPECIAL))
