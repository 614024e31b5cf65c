"""Prediction on image files: a trained network behind its preprocessing, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from growsearch.datasets.preprocessing import (
    PREPROCESSING_FILE,
    ImageInput,
    Preprocessing,
    read_preprocessing,
)
from growsearch.datasets.reading.image_file import read_pixels
from growsearch.errors import UsageError
from growsearch.export.image_entry import ImageEntry
from growsearch.export.loading import WEIGHTS_FILE, load_built, read_network
from growsearch.shown_text import shown
from growsearch.training.devices import training_device
from search_spaces.code_origin import CodeNames

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a network gives for one file: ``outputs`` (...), or why there are none."""

    file: Path
    outputs: Tensor | None = None
    error: str = ""


class Predictor:
    """A network for image files, with the preprocessing of its training.

    Example:
        >>> import torch
        >>> from growsearch.datasets.preprocessing import ImageInput, Preprocessing
        >>> from growsearch.export import Predictor
        >>> grey = ImageInput(height=1, width=2, order="grey", mean=(100.0,), deviation=(50.0,))
        >>> about = Preprocessing(images=grey, outputs="classes", classes=("left", "right"))
        >>> brighter = Predictor(torch.nn.Flatten(), about)
        >>> pixels = torch.tensor([[[[50], [150]]]], dtype=torch.uint8)
        >>> brighter.of_pixels(pixels)  # softmax of -1 and 1
        tensor([[0.1192, 0.8808]])
    """

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, device: str = "cpu"
    ) -> None:
        """Take a network in evaluation mode, and where it runs.

        Raises:
            UsageError: if picture files cannot be read for it, with the reason.
        """
        self.images = _of_files(preprocessing)
        self.preprocessing = preprocessing
        self._device = training_device(device)
        self._entry = ImageEntry(network, self.images, preprocessing.outputs).to(self._device)
        self._entry.eval()

    def of_pixels(self, images: Tensor) -> Tensor:
        """Return probabilities or outputs (N, ...) of images (N, H, W, C) uint8, on the CPU."""
        with torch.inference_mode():
            return self._entry(images.to(self._device)).cpu()  # type: ignore[no-any-return]

    def predict(self, files: Iterable[Path]) -> Iterator[Prediction]:
        """Yield what the network gives for each file, in order; one that is not read is told."""
        rest = iter(files)
        while some := list(islice(rest, _BATCH)):
            yield from self._batch(some)

    def _batch(self, files: list[Path]) -> Iterator[Prediction]:
        read = [self._read(file) for file in files]
        pixels = [found for found in read if isinstance(found, Tensor)]
        outputs = iter(self.of_pixels(torch.stack(pixels)) if pixels else ())
        for file, found in zip(files, read, strict=True):
            if isinstance(found, str):
                yield Prediction(file=file, error=found)
                continue
            given = next(outputs)
            if bool(torch.isfinite(given).all()):
                yield Prediction(file=file, outputs=given)
            else:
                told = f"{shown(str(file))}: the network gives outputs that are not finite"
                yield Prediction(file=file, error=told)

    def _read(self, file: Path) -> Tensor | str:
        # A name that is too long for any file is none, too.
        if not os.path.exists(file):  # noqa: PTH110
            return f"{shown(str(file))}: no such file"
        size = (self.images.height, self.images.width)
        try:
            return read_pixels(file, size, grey=len(self.images.mean) == 1)
        except UsageError as error:
            return str(error)


def load_predictor(
    folder: Path | str,
    code: Path | str | CodeNames | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    device: str = "cpu",
) -> Predictor:
    """Return the network of an export's folder, ready for image files. No program in it is run.

    Args:
        folder: holds architecture.json, weights.safetensors and preprocessing.json.
        code: as for `load_network`.
        preprocessing: in the place of the folder's own.
        device: where it runs: "auto", "cpu", "cuda".

    Raises:
        UsageError: if a file is missing, cannot be read or is of another network, or the network
            does not read image files.

    Example:
        >>> from pathlib import Path
        >>> import safetensors.torch
        >>> from PIL import Image
        >>> from growsearch.datasets import load_dataset
        >>> from growsearch.datasets.preprocessing import preprocessing_of
        >>> from growsearch.export import export_network, load_predictor
        >>> from growsearch.kinds import Network
        >>> from search_spaces import search_space
        >>> full = search_space("mlp-digits").largest()
        >>> network = Network(architecture=full, input_shape=(1, 8, 8), num_classes=10)
        >>> _ = safetensors.torch.save_file(network.build().state_dict(), "weights.safetensors")
        >>> about = preprocessing_of(load_dataset("digits"))
        >>> place = Path("export")
        >>> _ = export_network(network, Path("weights.safetensors"), place, preprocessing=about)
        >>> Image.new("RGB", (40, 30)).save("photo.png")
        >>> (found,) = load_predictor(place).predict([Path("photo.png")])
        >>> found.outputs.shape, round(float(found.outputs.sum()), 3)
        (torch.Size([10]), 1.0)
    """
    place = Path(folder)
    about = preprocessing or read_preprocessing(place / PREPROCESSING_FILE)
    _of_files(about)
    network = read_network(place, code)
    about.check_fits(network.input_shape, network.num_classes)
    return Predictor(load_built(network, place / WEIGHTS_FILE), about, device)


def _of_files(about: Preprocessing) -> ImageInput:
    if about.images is None:
        raise UsageError(
            f"this network's input is raw: {about.raw_because}; load it in Python "
            "(growsearch.export.load_network) and give it tensors"
        )
    if not about.images.of_files:
        raise UsageError(
            f"this network reads images of {len(about.images.mean)} channels, which no picture "
            "file has; give image_program.pt2 their pixels (N, H, W, C)"
        )
    return about.images
