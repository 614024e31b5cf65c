"""CIFAR-100: 60,000 colour images of 32 x 32 in 100 fine classes (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path

from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.raw_images import make_dataset, split_of
from growsearch.datasets.reading.cifar_files import read_batches, read_records
from growsearch.datasets.reading.official import Download, Layout, Official
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import DataReport
from growsearch.errors import UsageError

_CLASSES = 100
# The fine ones, in the order of the file "meta": that of the alphabet.
_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_RECORDS = {"train": 50_000, "test": 10_000}

_BINARY = Layout(
    folder="cifar-100-binary",
    downloads=(Download(file="cifar-100-binary.tar.gz", md5="03b5dce01913d631647c71ecec9e9cb8"),),
)
_PYTHON = Layout(
    folder="cifar-100-python",
    downloads=(Download(file="cifar-100-python.tar.gz", md5="eb9058c3a382ffc7106e4002c42a8d85"),),
)
OFFICIAL = Official(
    name="cifar100",
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
    if _path(folder, layout, "test").exists() and not _path(folder, layout, "train").exists():
        raise UsageError(
            f"cifar100: {folder} has the test images alone, which serve as an out-of-distribution "
            f"set for other data, but cannot be trained on. {OFFICIAL.instructions}"
        )
    return make_dataset(
        "cifar100",
        _read(folder, layout, "train"),
        _read(folder, layout, "test"),
        num_classes=_CLASSES,
        augmentation=SHIFT_MIRROR,
        report=DataReport(class_names=tuple(_NAMES.split())),
    )


def load_cifar100_test(data_dir: Path, normalisation: Normalisation) -> Split:
    """Return the 10,000 official test images (N, 3, 32, 32) with their fine labels.

    They need no training images, for use as an out-of-distribution set: pass the normalisation of
    the data set that the network was trained on.

    Raises:
        UsageError: if the file is missing or damaged.
    """
    folder, layout = OFFICIAL.locate(data_dir)
    return split_of(_read(folder, layout, "test"), normalisation)


def _path(folder: Path, layout: Layout, split: str) -> Path:
    return folder / (split if layout is _PYTHON else f"{split}.bin")


def _read(folder: Path, layout: Layout, split: str) -> RawImages:
    paths = OFFICIAL.require(folder, [_path(folder, layout, split).name])
    if layout is _PYTHON:
        return read_batches(paths, label_key="fine_labels", num_classes=_CLASSES)
    return read_records(
        paths, label_bytes=2, num_classes=_CLASSES, official_records=_RECORDS[split]
    )
