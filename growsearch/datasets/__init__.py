"""Which data can be trained on? One file a data set and one line here."""

from __future__ import annotations

from pathlib import Path

from growsearch.datasets import cifar10, cifar100, digits, fashion_mnist, image_folder, ptb
from growsearch.datasets.augmentation import AUGMENTATIONS, Augmentation
from growsearch.datasets.cifar100 import load_cifar100_test
from growsearch.datasets.dataset import Dataset, Loader, Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.stratified import subset
from growsearch.datasets.tokens import TokenDataset, TokenLoader, streams, windows
from growsearch.errors import UsageError

DATASETS: dict[str, Loader] = {
    "digits": digits.load,
    "cifar10": cifar10.load,
    "cifar100": cifar100.load,
    "fashion-mnist": fashion_mnist.load,
    "image-folder": image_folder.load,
}

DESCRIPTIONS: dict[str, str] = {
    "digits": "1,797 handwritten digits of 8 x 8, bundled with scikit-learn",
    "cifar10": "60,000 colour images of 32 x 32, 10 classes; needs data_dir",
    "cifar100": "60,000 colour images of 32 x 32, 100 classes; needs data_dir",
    "fashion-mnist": "70,000 grey images of 28 x 28, 10 classes; needs data_dir",
    "image-folder": "your own PNG or JPEG images, a folder a class, at 64 x 64; needs data_dir",
}

TOKEN_DATASETS: dict[str, TokenLoader] = {
    "ptb": ptb.load,
}


def load_dataset(name: str, data_dir: Path | None = None) -> Dataset:
    """Load a data set of images by name.

    Raises:
        UsageError: for an unknown name (the valid ones are listed) or a folder that is not there.
    """
    if name not in DATASETS:
        raise UsageError(f"dataset: unknown {name!r}; valid: {', '.join(sorted(DATASETS))}")
    _check_folder(name, data_dir)
    return DATASETS[name](data_dir)


def load_token_dataset(name: str, data_dir: Path | None = None) -> TokenDataset:
    """Load a text data set by name.

    Raises:
        UsageError: for an unknown name (the valid ones are listed) or a folder that is not there.
    """
    if name not in TOKEN_DATASETS:
        raise UsageError(f"dataset: unknown {name!r}; valid: {', '.join(sorted(TOKEN_DATASETS))}")
    _check_folder(name, data_dir)
    return TOKEN_DATASETS[name](data_dir)


def _check_folder(name: str, data_dir: Path | None) -> None:
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"data_dir: {data_dir} is not a folder; give the folder that holds {name}")


__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "DESCRIPTIONS",
    "TOKEN_DATASETS",
    "Augmentation",
    "Dataset",
    "Loader",
    "Normalisation",
    "Split",
    "TokenDataset",
    "TokenLoader",
    "load_cifar100_test",
    "load_dataset",
    "load_token_dataset",
    "streams",
    "subset",
    "windows",
]
