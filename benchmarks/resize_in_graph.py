"""Could an exported program resize pictures itself? Its pixels beside those of the data's reader.

Random and smooth pictures are resized by Pillow, as the project reads files, and by what a graph
can hold: torch's antialiased interpolation in float32 and uint8, and ONNX's Resize in ONNX Runtime.
Per way: the least and the largest share of pixels that differ over all pictures and sizes, and by
how much at most. Seconds on one core.

    python benchmarks/resize_in_graph.py
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from growsearch.files import write_json

HERE = Path(__file__).parent
PICTURES, SIDES = ((37, 50), (128, 96), (256, 200), (500, 375)), (64, 224)
Pixels = NDArray[np.uint8]
Resize = Callable[[Pixels, int, int], Pixels]


def by_pillow(pixels: Pixels, height: int, width: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def by_torch(dtype: torch.dtype) -> Resize:
    def resize(pixels: Pixels, height: int, width: int) -> Pixels:
        planes = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(dtype)
        found = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
        rounded = found.round().clamp(0, 255) if dtype.is_floating_point else found
        return rounded[0].permute(1, 2, 0).to(torch.uint8).numpy()

    return resize


def by_onnx(pixels: Pixels, height: int, width: int) -> Pixels:
    planes = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [1, 3, height, width])
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=1)
    real = TensorProto.FLOAT
    ends = (helper.make_tensor_value_info(name, real, [None] * 4) for name in "xy")
    graph = helper.make_graph([node], "resize", [next(ends)], [next(ends)], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {"x": planes})
    return np.asarray(found).round().clip(0, 255)[0].transpose(1, 2, 0).astype(np.uint8)


WAYS: dict[str, Resize] = {
    "ONNX Runtime, Resize with antialias": by_onnx,
    "torch, float32, antialias": by_torch(torch.float32),
    "torch, uint8, antialias": by_torch(torch.uint8),
}


def pictures(height: int, width: int) -> tuple[Pixels, ...]:
    draw = np.random.default_rng(height)
    noise = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = Image.fromarray(noise[: height // 8, : width // 8])
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
    return noise, smooth


def compared(way: Resize) -> dict[str, float]:
    shares, most = [], 0
    for height, width in PICTURES:
        for pixels in pictures(height, width):
            for side in SIDES:
                apart = np.abs(
                    by_pillow(pixels, side, side).astype(int) - way(pixels, side, side).astype(int)
                )
                shares.append(float((apart > 0).mean()))
                most = max(most, int(apart.max()))
    return {"least_share": min(shares), "largest_share": max(shares), "at_most": most}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "resize_in_graph.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [{"way": name, **compared(way)} for name, way in WAYS.items()]
    settings = {
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
    }
    write_json(given.out, {"settings": settings, "rows": rows})
    table = Table(title="Pixels that differ from Pillow's")
    for column in ("way", "least", "most", "by at most, of 255"):
        table.add_column(column)
    for row in rows:
        shares = (f"{100 * row[key]:.1f} %" for key in ("least_share", "largest_share"))
        table.add_row(str(row["way"]), *shares, str(row["at_most"]))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
