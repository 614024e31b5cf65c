"""CIFAR-10: 60,000 colour images of 32 x 32 in 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.raw_images import make_dataset
from growsearch.datasets.reading.cifar_files import read_batches, read_records
from growsearch.datasets.reading.official import Download, Layout, Official
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import DataReport

_CLASSES = 10
# In the order of batches.meta.
_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_RECORDS_PER_FILE = 10_000

_BINARY = Layout(
    folder="cifar-10-batches-bin",
    downloads=(Download(file="cifar-10-binary.tar.gz", md5="c32a1d4ab5d03f1284b67883e8d87530"),),
)
_PYTHON = Layout(
    folder="cifar-10-batches-py",
    downloads=(Download(file="cifar-10-python.tar.gz", md5="c58f30108f718f92721af3b95e74349a"),),
)
OFFICIAL = Official(
    name="cifar10",
    address="https://www.cs.toronto.edu/~kriz/cifar.html",
    layouts=(_BINARY, _PYTHON),
)


def load(data_dir: Path | None) -> Dataset:
    """Return 45,000 training, 5,000 validation and the 10,000 official test images.

    Inputs are (N, 3, 32, 32), normalised per channel; training images are shifted and mirrored.

    Raises:
        UsageError: if files are missing or damaged.
    """
    folder, layout = OFFICIAL.locate(data_dir)
    suffix = ".bin" if layout is _BINARY else ""
    train = [f"data_batch_{number}{suffix}" for number in range(1, 6)]
    return make_dataset(
        "cifar10",
        _read(folder, layout, train),
        _read(folder, layout, [f"test_batch{suffix}"]),
        num_classes=_CLASSES,
        augmentation=SHIFT_MIRROR,
        report=DataReport(class_names=_NAMES),
    )


def _read(folder: Path, layout: Layout, files: list[str]) -> RawImages:
    paths = OFFICIAL.require(folder, files)
    if layout is _PYTHON:
        return read_batches(paths, label_key="labels", num_classes=_CLASSES)
    return read_records(
        paths, label_bytes=1, num_classes=_CLASSES, official_records=_RECORDS_PER_FILE
    )
