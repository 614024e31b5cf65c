"""Loader scripts of exports: load.py, and what it reads picture files with."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from growsearch.datasets.preprocessing import ImageInput, OutputKind, Preprocessing
from growsearch.datasets.reading import picture_pixels

LOADER_FILE, READER_FILE = "load.py", "read_pictures.py"

_RAW_PROGRAM = '''"""Run this network with torch alone: python load.py"""

from pathlib import Path

import torch

model = torch.export.load(Path(__file__).parent / "program.pt2").module()
inputs = {inputs}  # yours, as MODEL_CARD.md says
print({shown})
'''
_RAW_NETWORK = '''"""Run this network: python load.py [FOLDER of the network's own code]"""

import sys
from pathlib import Path
import torch
from growsearch.export import load_network

model = load_network(Path(__file__).parent, *sys.argv[1:2])
inputs = {inputs}  # yours, as MODEL_CARD.md says
print({shown})
'''
_IMAGES = '''"""Run this network on image files: python load.py photo.png [...]

It needs torch and Pillow alone. Without a file it shows what program.pt2, the network behind the
preprocessing, gives for a random input; that needs torch alone.
"""

import json
import sys
from pathlib import Path

import torch

FOLDER = Path(__file__).parent


def read(file, height, width):
    """Return the pixels (height, width, {channels}) of a picture, as training saw them."""
    from read_pictures import read_at

    with open(file, "rb") as opened:
        image = read_at(opened, height, width).image{convert}
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(height, width, {channels})


def tell(outputs, names):
    """Return in words what the network gives for one image."""
{tell}


def main(files):
    if not files:
        program = torch.export.load(FOLDER / "program.pt2").module()
        with torch.no_grad():
            print(program({inputs}), "\\nGive image files: python load.py photo.png")
        return 0
    about = json.loads((FOLDER / "preprocessing.json").read_text(encoding="utf-8"))
    program = torch.export.load(FOLDER / "image_program.pt2").module()
    failed = 0
    for file in files:
        try:
            image = read(file, about["input"]["height"], about["input"]["width"])
        except ImportError:
            raise
        except Exception as error:
            print(f"{{file}}: not read: {{error}}", file=sys.stderr)
            failed += 1
            continue
        with torch.no_grad():
            print(f"{{file}}: {{tell(program(image[None])[0], about['classes'])}}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
_CLASS = '''    best = int(outputs.argmax())
    return f"{names[best] if names else best} {float(outputs[best]):.4f}"'''
_LABELS = """    return ", ".join(f"label {n} {float(p):.4f}" for n, p in enumerate(outputs))"""
_PIXELS = """    found = outputs.argmax(dim=-1).flatten()
    shares = found.bincount(minlength=outputs.shape[-1]) / len(found)
    told = [(names[n] if names else n, float(share)) for n, share in enumerate(shares)]
    return ", ".join(f"{name} {share:.4f} of the pixels" for name, share in told if share)"""
_NUMBERS = """    return outputs.tolist()"""
_TELL: dict[OutputKind, str] = {"classes": _CLASS, "labels": _LABELS, "pixels": _PIXELS}


def loader_script(
    input_shape: Sequence[int],
    preprocessing: Preprocessing,
    *,
    tokens: bool = False,
    program: bool = True,
    images: bool = False,
) -> str:
    """Return a script that runs the network of the folder that it lies in.

    With ``images`` it takes image files, and needs torch and Pillow alone. Else it has at most ten
    lines, and runs random inputs (words with ``tokens``): with torch alone where there is a
    ``program``, and with growsearch where there is none.
    """
    shape = ", ".join(map(str, (1, *input_shape)))
    inputs = f"torch.zeros({shape}, dtype=torch.long)" if tokens else f"torch.randn({shape})"
    if images and preprocessing.images is not None:
        return _image_script(preprocessing.images, preprocessing.outputs, inputs)
    shown = "model(inputs)"
    if preprocessing.outputs in ("classes", "pixels"):
        shown = '"largest class:", model(inputs).argmax(1)'
    return (_RAW_PROGRAM if program else _RAW_NETWORK).format(inputs=inputs, shown=shown)


def _image_script(images: ImageInput, outputs: OutputKind, inputs: str) -> str:
    channels = len(images.mean)
    return _IMAGES.format(
        channels=channels,
        convert='.convert("L")' if channels == 1 else "",
        tell=_TELL.get(outputs, _NUMBERS),
        inputs=inputs,
    )


def reader_script() -> str:
    """Return the source of what data sets read picture files with, which needs Pillow alone."""
    return inspect.getsource(picture_pixels)
