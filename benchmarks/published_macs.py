"""Are networks counted as they were published? MACs of well-known networks, and fvcore's count.

    python benchmarks/published_macs.py

Every row is one forward pass of one example. fvcore counts BatchNorm, and neither recurrent layers
nor fused attention; the last rows are layers that it misses.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from cost_models import trace
from cost_models.counting.counter import FlopCountAnalysis
from growsearch.files import write_json
from search_spaces import SEARCH_SPACES

RESULTS = Path(__file__).parent / "results" / "published_macs.json"
TOLERANCE = 0.005

TORCHVISION = "torchvision's tables of weights (_ops)"
HRANK = "Lin et al. 2020 (HRank), table 1"


@dataclass(frozen=True)
class Published:
    """A network of a search space's full configuration, its published MACs and where they are."""

    space: str
    macs: float
    source: str


def botnet50_macs(pixels: int) -> int:
    """Count BoT50's published layers by hand (Srinivas et al. 2021, figure 1 and table 1).

    ResNet-50 whose last three 3 x 3 convolutions are attention, a stride being pooling after it,
    with relative logits for height and width apart. At 1024 pixels the paper gives 102.98 G.
    """
    side = pixels // 2
    macs, channels_in = side**2 * 64 * 3 * 49, 64
    side //= 2
    for stage, count in enumerate((3, 4, 6, 3)):
        inner = 64 * 2**stage
        for block in range(count):
            after = side // 2 if stage and not block else side
            macs += side**2 * channels_in * inner
            if stage == 3:
                places = side**2
                macs += places * 3 * inner**2 + 2 * places**2 * inner
                macs += places * 2 * (2 * side - 1) * inner
            else:
                macs += after**2 * 9 * inner**2
            macs += after**2 * inner * 4 * inner
            macs += after**2 * channels_in * 4 * inner if not block else 0
            channels_in, side = 4 * inner, after
    return macs + 2048 * 1000


def decoder_macs(layers: int, width: int, tokens: int, vocabulary: int) -> int:
    """Count a GPT decoder as Hoffmann et al. 2022, appendix F, do, in MACs for all its tokens.

    Left out: the embedding, which they count as a product but which looks up, and the softmax.
    """
    block = 4 * tokens * width**2 + 2 * tokens**2 * width + 8 * tokens * width**2
    return layers * block + tokens * width * vocabulary


PUBLISHED = (
    Published("resnet18-imagenet", 1.814e9, TORCHVISION),
    Published("resnet34-imagenet", 3.664e9, TORCHVISION),
    Published("resnet50-imagenet", 4.089e9, TORCHVISION),
    Published("wide-resnet50-imagenet", 11.398e9, TORCHVISION),
    Published("vgg11-imagenet", 7.609e9, TORCHVISION),
    Published("vgg13-imagenet", 11.308e9, TORCHVISION),
    Published("vgg16-imagenet", 15.470e9, TORCHVISION),
    Published("vgg19-imagenet", 19.632e9, TORCHVISION),
    Published("mobilenetv2-imagenet", 0.301e9, TORCHVISION),
    Published("mobilevit-s-imagenet", 2.0e9, "Mehta & Rastegari 2022; timm's mobilevit_s"),
    Published("resnet32", 68.9e6, "He et al. 2018 (SFP), table 1"),
    Published("resnet56", 125.49e6, HRANK),
    Published("resnet110", 252.89e6, HRANK),
    Published("vgg16", 313.73e6, HRANK),
    Published("botnet50-imagenet", botnet50_macs(224), "Srinivas et al. 2021, by hand, see above"),
    Published(
        "gpt3-small",
        decoder_macs(12, 768, 2048, 50257),
        "Hoffmann et al. 2022, appendix F, see above",
    ),
)


class _Attend(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(256, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.attention(x, x, x)[0]
        return mixed


# Layers with their MACs by hand: steps x weights, and 4 n d^2 + 2 n^2 d for attention.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "LSTM(128, 256), 64 steps": (lambda: nn.LSTM(128, 256), (64, 1, 128), 64 * 4 * 256 * 384),
    "GRU(128, 256), 64 steps": (lambda: nn.GRU(128, 256), (64, 1, 128), 64 * 3 * 256 * 384),
    "MultiheadAttention(256), 128 tokens": (
        _Attend,
        (1, 128, 256),
        4 * 128 * 256**2 + 2 * 128**2 * 256,
    ),
    "TransformerEncoderLayer(256, 1024), 128 tokens": (
        lambda: nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True),
        (1, 128, 256),
        4 * 128 * 256**2 + 2 * 128**2 * 256 + 2 * 128 * 256 * 1024,
    ),
}


def build(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Build a space's full configuration with weights of 0: no time goes into drawing them."""
    space = SEARCH_SPACES[name]
    with torch.device("meta"):
        module = space.build(space.largest())
    module = module.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    return module, space.example_inputs()


def count(name: str) -> int:
    """Count a space's full configuration."""
    return trace(*build(name)).dense_macs


def fvcore_count(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Count as fvcore does by itself."""
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return int(FlopCountAnalysis(module.eval(), inputs).total())


def network_rows() -> list[dict[str, object]]:
    rows = []
    for published in PUBLISHED:
        module, inputs = build(published.space)
        macs = trace(module, inputs).dense_macs
        row = {"network": published.space, "published": published.macs, "source": published.source}
        rows.append(row | counts(macs, published.macs, fvcore_count(module, inputs)))
    return rows


def layer_rows() -> list[dict[str, object]]:
    rows = []
    for name, (make, shape, macs) in LAYERS.items():
        module, inputs = make().eval(), (torch.zeros(shape),)
        found = trace(module, inputs).dense_macs
        row: dict[str, object] = {"network": name, "published": macs, "source": "by hand"}
        rows.append(row | counts(found, macs, fvcore_count(module, inputs)))
    return rows


def counts(macs: int, published: float, fvcore: int) -> dict[str, object]:
    return {
        "counted": macs,
        "difference": macs / published - 1,
        "fvcore": fvcore,
        "fvcore_difference": fvcore / published - 1,
    }


def show(rows: list[dict[str, object]]) -> None:
    table = Table(title="MACs of one forward pass of one example")
    for column in ("network", "published M", "counted M", "off by", "fvcore off by", "source"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["network"]),
            f"{float(row['published']) / 1e6:,.2f}",  # type: ignore[arg-type]
            f"{float(row['counted']) / 1e6:,.2f}",  # type: ignore[arg-type]
            f"{row['difference']:+.2%}",
            f"{row['fvcore_difference']:+.2%}",
            str(row["source"]),
        )
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    torch.set_num_threads(1)
    rows = network_rows() + layer_rows()
    show(rows)
    far = [row["network"] for row in rows if abs(float(row["difference"])) > TOLERANCE]  # type: ignore[arg-type]
    write_json(RESULTS, {"tolerance": TOLERANCE, "rows": rows, "beyond_tolerance": far})
    if far:
        raise SystemExit(f"beyond {TOLERANCE:.1%}: {', '.join(map(str, far))}")


if __name__ == "__main__":
    main()
