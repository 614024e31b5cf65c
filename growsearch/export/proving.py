"""Proof of an export: what was written is read back and run beside the trained network."""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import torch
from PIL import Image
from torch import Tensor, nn

from growsearch.datasets.preprocessing import ImageInput, Preprocessing
from growsearch.datasets.reading.image_file import read_pixels
from growsearch.datasets.reading.picture import Embedded
from growsearch.datasets.reading.picture_pixels import LONGEST_SIDES, MAX_PIXELS
from growsearch.errors import GrowsearchError
from growsearch.export.image_entry import by_the_data
from growsearch.export.loader import READER_FILE
from growsearch.export.loading import WEIGHTS_FILE, load_network
from growsearch.export.onnx_file import onnx_runner
from growsearch.kinds.checking.program import in_one_line

PROGRAM_FILE, ONNX_FILE = "program.pt2", "model.onnx"
IMAGE_PROGRAM_FILE, IMAGE_ONNX_FILE = "image_program.pt2", "image_model.onnx"

Run = Callable[[Tensor], Tensor]

# Batches of one and of sizes that were not traced: the program's batch dimension is dynamic.
BATCHES = (1, 2, 5)
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
_SEED = 0


class ExportError(GrowsearchError):
    """What was written does not compute what the network computes; nothing was exported."""


def prove(
    folder: Path, module: nn.Module, inputs: Sequence[Tensor], preprocessing: Preprocessing
) -> dict[str, float | str]:
    """Read everything in ``folder`` back and run it.

    Args:
        folder: what was just written.
        module: the trained network.
        inputs: batches as it reads them.
        preprocessing: with images, random ones go through the data sets' own code and the network,
            and through the programs that take images. Picture files of several sizes are read by
            the data sets' reader and by the one that goes along.

    Returns:
        The largest difference of each program's outputs, or why it is of no use.

    Raises:
        ExportError: if the weights give other outputs, or the reader other pixels.
    """
    rebuilt = load_network(folder)
    expected = [outputs_of(module, each) for each in inputs]
    for each, outputs in zip(inputs, expected, strict=True):
        _check_finite(outputs)
        if not torch.equal(outputs, outputs_of(rebuilt, each)):
            raise ExportError(f"{WEIGHTS_FILE} was read back and gives other outputs; not exported")
    found = _compared(folder, (PROGRAM_FILE, ONNX_FILE), inputs, expected)
    if preprocessing.images is None:
        return found
    images = _images(folder, preprocessing.images)
    way = functools.partial(by_the_data, module, preprocessing=preprocessing)
    wanted = [outputs_of(way, each) for each in images]
    return found | _compared(folder, (IMAGE_PROGRAM_FILE, IMAGE_ONNX_FILE), images, wanted)


def outputs_of(run: Run | nn.Module, inputs: Tensor) -> Tensor:
    """Run without gradients; networks that draw random numbers draw the same ones every time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        found: Tensor = run(inputs)
        return found


def random_images(images: ImageInput, batch: int, seed: int = _SEED) -> Tensor:
    """Return random images (batch, H, W, C) uint8."""
    channels, height, width = images.shape
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, height, width, channels)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def _images(folder: Path, images: ImageInput) -> list[Tensor]:
    """Return batches of random images, and of pictures of several sizes where files are read."""
    found = [random_images(images, batch) for batch in BATCHES]
    return [*found, *_read_alike(folder / READER_FILE, images)] if images.of_files else found


def _read_alike(script: Path, images: ImageInput) -> list[Tensor]:
    """Return pictures (1, H, W, C) of several sizes, read alike by the data sets and by a script.

    Raises:
        ExportError: if a pixel differs.
    """
    reader = _imported(script)
    mode, (height, width) = "L" if images.order == "grey" else "RGB", images.shape[1:]
    sizes = ((height, width), (2 * height + 1, 3 * width), (height + 5, width // 2 + 1))
    read = []
    for number, (tall, wide) in enumerate(sizes):
        if tall * wide > MAX_PIXELS or max(tall, wide) > LONGEST_SIDES * min(tall, wide):
            continue
        content = _png(tall, wide, mode, seed=number)
        shipped = reader.read_at(io.BytesIO(content), height, width).image.convert(mode)
        pixels = torch.frombuffer(bytearray(shipped.tobytes()), dtype=torch.uint8)
        own = Embedded(place=f"a picture of {wide} x {tall}", content=content)
        wanted = read_pixels(own, (height, width), grey=mode == "L")
        if not torch.equal(pixels.view_as(wanted), wanted):
            raise ExportError(
                f"{READER_FILE} reads {own} otherwise than the data set; not exported"
            )
        read.append(wanted[None])
    return read


def _png(height: int, width: int, mode: str, seed: int) -> bytes:
    """Return the file of a picture of random pixels."""
    channels = len(mode)
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (height, width, channels), generator=generator, dtype=torch.uint8)
    file = io.BytesIO()
    Image.frombytes(mode, (width, height), pixels.numpy().tobytes()).save(file, "PNG")
    return file.getvalue()


def _imported(script: Path) -> ModuleType:
    """Import a script that was written a moment ago."""
    spec = importlib.util.spec_from_file_location("growsearch_exported_reader", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compared(
    folder: Path, names: Sequence[str], inputs: Sequence[Tensor], expected: Sequence[Tensor]
) -> dict[str, float | str]:
    """Return the largest difference of each program that is there, or why it is of no use."""
    runners = {".pt2": _program_runner, ".onnx": _onnx_file_runner}
    return {
        name: _difference(folder / name, runners[Path(name).suffix], inputs, expected)
        for name in names
        if (folder / name).exists()
    }


def _difference(
    file: Path,
    runner: Callable[[Path], Run],
    batches: Sequence[Tensor],
    expected: Sequence[Tensor],
) -> float | str:
    largest = 0.0
    try:
        run = runner(file)
        for inputs, wanted in zip(batches, expected, strict=True):
            found = outputs_of(run, inputs)
            difference = float((found - wanted).abs().max())
            if not torch.allclose(found, wanted, rtol=_RELATIVE, atol=_ABSOLUTE):
                return (
                    f"it was read back and differs by {difference:.3g} in a batch of {len(wanted)}"
                )
            largest = max(largest, difference)
    except Exception as error:  # a program that was written a moment ago may fail in any way
        return f"it was read back and does not run ({in_one_line(error)})"
    return largest


def _program_runner(file: Path) -> Run:
    # Loading a program runs code that it holds; this one was written by us a moment ago.
    found: Run = torch.export.load(file).module()
    return found


def _onnx_file_runner(file: Path) -> Run:
    found: Run = onnx_runner(file.read_bytes())
    return found


def _check_finite(outputs: Tensor) -> None:
    if not bool(torch.isfinite(outputs).all()):
        raise ExportError("the network gives outputs that are not finite; its training diverged")
