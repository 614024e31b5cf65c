"""Your own arrays in a file: data.npz or data.safetensors, with inputs and labels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from growsearch.datasets.augmentation import (
    Augmentation,
    Change,
    augmentation_to_plain,
    parse_augmentation,
)
from growsearch.datasets.checking.arrays import Images
from growsearch.datasets.checking.class_names import check_class_names
from growsearch.datasets.checking.consistency import check_dataset
from growsearch.datasets.dataset import Dataset, Split
from growsearch.datasets.from_tensors import from_tensors
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.memory import memory_bytes
from growsearch.datasets.reading.npz import Array, read_npz
from growsearch.datasets.reading.regular_file import open_regular
from growsearch.datasets.report import DataReport, skipped_of
from growsearch.datasets.task_choice import BY_LABELS, TaskChoice
from growsearch.errors import UsageError
from growsearch.files import write_bytes

NUMPY_FILE, TENSOR_FILE = "data.npz", "data.safetensors"
_EXPECTED = (
    f"Expected: data_dir/{NUMPY_FILE} or data_dir/{TENSOR_FILE} with inputs (N, ...) and labels "
    "(N,), (N, H, W) or (N, T), and, if you have them, test_inputs and test_labels, num_classes "
    "and layout (channels-first or channels-last)"
)
_PARTS = ("train", "validation", "test")
_ABOUT = "dataset"
_LAYOUT, _CLASSES = "layout", "num_classes"
_ARRAYS = frozenset({"inputs", "labels", "test_inputs", "test_labels", _LAYOUT, _CLASSES})


def load(data_dir: Path | None, task: TaskChoice = BY_LABELS) -> Dataset:
    """Return the data set of arrays in a file; nothing in it is run.

    See `from_tensors` for how arrays are split and what they may be for which ``task``. A file that
    `write_dataset` made has its splits in it.

    Raises:
        UsageError: if the file is missing, cannot be read, lacks an array or promises more than it
            holds, or if there are two.
    """
    if data_dir is None:
        raise UsageError(f"data_dir: arrays needs a folder. {_EXPECTED}")
    there = [name for name in _READERS if (data_dir / name).exists()]
    if len(there) > 1:
        raise UsageError(f"data_dir: {shown(data_dir)} has both {' and '.join(there)}; remove one")
    for name in there:
        return _READERS[name](data_dir / name, task)
    raise UsageError(f"data_dir: {shown(data_dir / NUMPY_FILE)} is missing. {_EXPECTED}")


def _read_numpy(path: Path, task: TaskChoice) -> Dataset:
    with reading(path, "cannot be read", "write it with numpy.savez"):
        found, others = read_npz(path, _ARRAYS)
        layout = found.pop(_LAYOUT, None)
        stated = None if layout is None else str(layout)
        return _of_arrays(path, found, others, layout=stated, task=task)


def _read_tensors(path: Path, task: TaskChoice) -> Dataset:
    with reading(path, "cannot be read", "write it with safetensors.torch.save_file"):
        # Whatever is no file would keep safetensors waiting.
        open_regular(path, most_bytes=memory_bytes()).close()
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            about = json.loads(metadata.get(_ABOUT, "null"))
            names = list(file.keys())
            wanted = _ARRAYS if about is None else frozenset(names)
            found = {name: file.get_tensor(name) for name in names if name in wanted}
        others = tuple(sorted(set(names) - found.keys()))
        if about is None:
            return _of_arrays(path, found, others, layout=metadata.get(_LAYOUT), task=task)
    with reading(path, "not written by growsearch", "remove it"):
        return _as_written(path, about, found, task)


def _as_written(path: Path, about: Any, found: Mapping[str, Tensor], task: TaskChoice) -> Dataset:
    """Return what `write_dataset` wrote, if it still fits together."""
    train, validation, test = (
        Split(inputs=found[f"{part}.inputs"], labels=found[f"{part}.labels"]) for part in _PARTS
    )
    scale, num_classes = about["normalisation"], about["num_classes"]
    dataset = Dataset(
        name=str(about["name"]),
        train=train,
        validation=validation,
        test=test,
        num_classes=num_classes,
        augmentation=_read_augmentation(about["augmentation"]),
        normalisation=Normalisation(mean=tuple(scale["mean"]), deviation=tuple(scale["deviation"])),
        report=DataReport(class_names=check_class_names(about.get("classes"), num_classes)),
        task=task,
    )
    check_dataset(dataset, shown(path))
    return dataset


_READERS: dict[str, Callable[[Path, TaskChoice], Dataset]] = {
    NUMPY_FILE: _read_numpy,
    TENSOR_FILE: _read_tensors,
}


def _written_augmentation(augmentation: Change) -> Any:
    if isinstance(augmentation, Augmentation):
        return dataclasses.asdict(augmentation)
    try:
        return augmentation_to_plain(augmentation)
    except UsageError as error:
        raise UsageError(f"dataset: {error}") from error


def _read_augmentation(written: Any) -> Change:
    if isinstance(written, dict):
        return Augmentation(**written)
    try:
        return parse_augmentation(written)
    except UsageError as error:
        # The file that it is read from is named around it.
        raise ValueError(str(error)) from error


def _of_arrays(
    path: Path,
    found: Mapping[str, Tensor | Array],
    others: tuple[str, ...],
    *,
    layout: str | None,
    task: TaskChoice,
) -> Dataset:
    missing = [name for name in ("inputs", "labels") if name not in found]
    if missing:
        has = ", ".join(map(shown, [*found, *others])) or "nothing"
        raise UsageError(f"{shown(path)} has no {missing[0]}; it has: {has}. {_EXPECTED}")
    if ("test_inputs" in found) != ("test_labels" in found):
        has = "test_inputs" if "test_inputs" in found else "test_labels"
        raise UsageError(f"{shown(path)} has {has} alone. {_EXPECTED}")
    test = None
    if "test_inputs" in found:
        test = (_in_layout(found["test_inputs"], layout), found["test_labels"])
    dataset = from_tensors(
        _in_layout(found["inputs"], layout),
        found["labels"],
        test=test,
        num_classes=_whole_number(path, found.get(_CLASSES)),
        name="arrays",
        task=task.name,
    )
    skipped = skipped_of(("other arrays", name) for name in others)
    report = dataclasses.replace(dataset.report, skipped=skipped)
    return dataclasses.replace(dataset, report=report)


def _in_layout(values: Tensor | Array, layout: str | None) -> Tensor | Array | Images:
    # What no layout is called is refused where it is used.
    return values if layout is None else Images(values=values, layout=layout)  # type: ignore[arg-type]


def _whole_number(path: Path, value: Tensor | Array | None) -> int | None:
    if value is None:
        return None
    flat = np.asarray(value).reshape(-1)
    if len(flat) != 1 or flat.dtype.kind not in "iu":
        raise UsageError(f"{shown(path)}: {_CLASSES} is no whole number; save one")
    return int(flat[0])


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a data set that is in memory to a folder, from which `load` reads it as it is.

    Raises:
        UsageError: for an augmentation that cannot be written down.
        GrowsearchError: if the folder cannot be written.
    """
    tensors = {
        f"{part}.{name}": getattr(getattr(dataset, part), name).detach().cpu().contiguous().clone()
        for part in _PARTS
        for name in ("inputs", "labels")
    }
    about = {
        "name": dataset.name,
        "num_classes": dataset.num_classes,
        "augmentation": _written_augmentation(dataset.augmentation),
        "normalisation": dataclasses.asdict(dataset.normalisation),
        **({"classes": list(names)} if (names := dataset.report.class_names) else {}),
    }
    write_bytes(folder / TENSOR_FILE, save(tensors, metadata={_ABOUT: json.dumps(about)}))
