"""Fashion-MNIST: 70,000 grey images of 28 x 28 in 10 classes (Xiao et al. 2017)."""

from __future__ import annotations

from pathlib import Path

import torch

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.raw_images import make_dataset
from growsearch.datasets.reading.idx import read_idx
from growsearch.datasets.reading.official import Download, Layout, Official
from growsearch.datasets.reading.raw import RawImages
from growsearch.datasets.report import DataReport
from growsearch.errors import UsageError

_CLASSES = 10
# As the data set's own page names them.
_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

OFFICIAL = Official(
    name="fashion-mnist",
    address="https://github.com/zalandoresearch/fashion-mnist",
    layouts=(
        Layout(
            folder="FashionMNIST/raw",
            downloads=(
                Download(file="train-images-idx3-ubyte.gz", md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                Download(file="train-labels-idx1-ubyte.gz", md5="25c81989df183df01b3e8a0aad5dffbe"),
                Download(file="t10k-images-idx3-ubyte.gz", md5="bef4ecab320f06d8554ea6380940ec79"),
                Download(file="t10k-labels-idx1-ubyte.gz", md5="bb300cfdad3c16e7a12a480ee83cd310"),
            ),
        ),
    ),
    unpack=False,
)


def load(data_dir: Path | None) -> Dataset:
    """Return 54,000 training, 6,000 validation and the 10,000 official test images.

    Inputs are (N, 1, 28, 28), normalised; they are not augmented, for garments fill their frame.

    Raises:
        UsageError: if files are missing or damaged.
    """
    folder, _ = OFFICIAL.locate(data_dir)
    return make_dataset(
        "fashion-mnist",
        _read(folder, "train"),
        _read(folder, "t10k"),
        num_classes=_CLASSES,
        augmentation=NO_AUGMENTATION,
        report=DataReport(class_names=_NAMES),
    )


def _read(folder: Path, split: str) -> RawImages:
    names = [f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"]
    image_path, label_path = OFFICIAL.require(folder, names)
    images, labels = read_idx(image_path, axes=3), read_idx(label_path, axes=1)
    if len(images) != len(labels) or int(labels.max(initial=0)) >= _CLASSES:
        raise UsageError(
            f"{label_path}: {len(labels):,} labels up to {labels.max(initial=0)} do not fit "
            f"{len(images):,} images of {_CLASSES} classes; download both files again"
        )
    return RawImages(
        images=torch.from_numpy(images).unsqueeze(1), labels=torch.from_numpy(labels).long()
    )
