"""scikit-learn's bundled handwritten digits: 1,797 images of 8 x 8 (Alpaydin & Kaynak 1998)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.report import DataReport
from growsearch.errors import UsageError

_HELD_OUT = 300
_SPLIT_SEED = 0
# Grey levels go from 0 to 16, pixels from 0 to 255.
_PIXELS_A_LEVEL = 255 / 16


def load(data_dir: Path | None) -> Dataset:
    """Return 1,197 training, 300 validation and 300 test images, stratified, always the same.

    Inputs are (N, 1, 8, 8), scaled from 0..16 to zero mean and unit deviation of the training
    images.

    Raises:
        UsageError: if a data folder is given, since there is nothing to read from it.
    """
    if data_dir is not None:
        raise UsageError("data_dir: digits comes with scikit-learn; remove data_dir")
    # Late: it takes seconds to import, and trials on other data start without.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    order = np.arange(len(raw.target))
    rest, test = train_test_split(
        order, test_size=_HELD_OUT, stratify=raw.target, random_state=_SPLIT_SEED
    )
    train, validation = train_test_split(
        rest, test_size=_HELD_OUT, stratify=raw.target[rest], random_state=_SPLIT_SEED
    )
    images = torch.from_numpy(raw.images).float().unsqueeze(1)
    mean, deviation = images[train].mean(), images[train].std()
    images = (images - mean) / deviation
    labels = torch.from_numpy(raw.target).long()
    splits = [Split(inputs=images[part], labels=labels[part]) for part in (train, validation, test)]
    return Dataset(
        name="digits",
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        num_classes=10,
        normalisation=Normalisation(
            mean=(float(mean) * _PIXELS_A_LEVEL,), deviation=(float(deviation) * _PIXELS_A_LEVEL,)
        ),
        report=DataReport(class_names=tuple("0123456789")),
    )
