"""Your own arrays in a file: data.npz or data.safetensors, with inputs and labels."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from growsearch.datasets.augmentation import AUGMENTATIONS, Augmentation
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.from_tensors import from_tensors
from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError
from growsearch.files import write_bytes

NUMPY_FILE, TENSOR_FILE = "data.npz", "data.safetensors"
_EXPECTED = (
    f"Expected: data_dir/{NUMPY_FILE} or data_dir/{TENSOR_FILE} with inputs (N, ...) and labels "
    "(N,), (N, H, W) or (N, T), and, if you have them, test_inputs and test_labels"
)
_PARTS = ("train", "validation", "test")
_ABOUT = "dataset"


def load(data_dir: Path | None) -> Dataset:
    """Return the data set of arrays in a file; nothing in it is run.

    See `from_tensors` for how arrays are split and what they may be. A file that `write_dataset`
    made has its splits in it.

    Raises:
        UsageError: if the file is missing, cannot be read or lacks an array.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: arrays needs a folder. {_EXPECTED}")
    for name, read in _READERS.items():
        if (data_dir / name).is_file():
            return read(data_dir / name)
    raise UsageError(f"data_dir: {data_dir / NUMPY_FILE} is missing. {_EXPECTED}")


def _read_numpy(path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}); write it with numpy.savez") from error
    return _of_arrays(path, found)


def _read_tensors(path: Path) -> Dataset:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(_ABOUT, "null"))
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); write it with safetensors.torch.save_file"
        ) from error
    if about is None:
        return _of_arrays(path, found)
    try:
        train, validation, test = (
            Split(inputs=found[f"{part}.inputs"], labels=found[f"{part}.labels"]) for part in _PARTS
        )
        scale = about["normalisation"]
        return Dataset(
            name=str(about["name"]),
            train=train,
            validation=validation,
            test=test,
            num_classes=int(about["num_classes"]),
            augmentation=Augmentation(**about["augmentation"]),
            normalisation=Normalisation(
                mean=tuple(scale["mean"]), deviation=tuple(scale["deviation"])
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not written by growsearch ({error!r}); remove it") from error


_READERS: dict[str, Callable[[Path], Dataset]] = {
    NUMPY_FILE: _read_numpy,
    TENSOR_FILE: _read_tensors,
}


def _of_arrays(path: Path, found: Mapping[str, Tensor]) -> Dataset:
    missing = [name for name in ("inputs", "labels") if name not in found]
    if missing:
        has = ", ".join(found) or "nothing"
        raise UsageError(f"{path} has no {missing[0]}; it has: {has}. {_EXPECTED}")
    test = None
    if "test_inputs" in found and "test_labels" in found:
        test = (found["test_inputs"], found["test_labels"])
    return from_tensors(found["inputs"], found["labels"], test=test, name="arrays")


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a data set that is in memory to a folder, from which `load` reads it as it is.

    Raises:
        UsageError: for an augmentation that cannot be written down.
        GrowsearchError: if the folder cannot be written.
    """
    if type(dataset.augmentation) is not Augmentation:
        valid = ", ".join(AUGMENTATIONS)
        raise UsageError(f"dataset: its augmentation is of another class; use one of ours: {valid}")
    tensors = {
        f"{part}.{name}": getattr(getattr(dataset, part), name).detach().cpu().contiguous().clone()
        for part in _PARTS
        for name in ("inputs", "labels")
    }
    about = {
        "name": dataset.name,
        "num_classes": dataset.num_classes,
        "augmentation": dataclasses.asdict(dataset.augmentation),
        "normalisation": dataclasses.asdict(dataset.normalisation),
    }
    write_bytes(folder / TENSOR_FILE, save(tensors, metadata={_ABOUT: json.dumps(about)}))
