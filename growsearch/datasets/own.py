"""Your own data from your own function: "module:attribute" gives a data set or tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset as TorchDataset

from growsearch.datasets.checking.arrays import Images
from growsearch.datasets.checking.consistency import check_dataset
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.from_tensors import from_tensors
from growsearch.datasets.streams.from_torch import from_torch
from growsearch.datasets.task_choice import BY_LABELS, TaskChoice
from growsearch.errors import UsageError
from search_spaces import SearchSpaceError
from search_spaces.user_code import arguments_for, find, fingerprint

_PAIR = 2
_SPLIT_KEYS = ("train", "validation", "test", "num_classes")


def load_own(name: str, data_dir: Path | None, task: TaskChoice = BY_LABELS) -> Dataset:
    """Return what the function ``name`` gives: a `Dataset`, inputs and labels, or torch data sets.

    It may take ``data_dir`` by name. A `Dataset` that exists in the module is taken as it is.

    Raises:
        UsageError: if it is not there, fails or gives something else.
    """
    try:
        found = find(name)
        given = arguments_for(found, {"data_dir": data_dir}) if callable(found) else {}
    except SearchSpaceError as error:
        raise UsageError(f"dataset: {error}") from error
    if callable(found):
        try:
            found = found(**given)
        except Exception as error:
            raise UsageError(f"dataset: {name} fails: {type(error).__name__}: {error}") from error
    elif data_dir is not None:
        raise UsageError(f"data_dir: {name} is no function that could take it; remove data_dir")
    return as_dataset(found, name, task)


def code_of(name: str) -> str:
    """Return the hash of the function that makes the data, nothing where there is no source."""
    try:
        found = find(name)
        return fingerprint(found) if callable(found) else ""
    except SearchSpaceError:
        return ""


def as_dataset(found: Any, name: str, task: TaskChoice = BY_LABELS) -> Dataset:
    """Return a `Dataset` as it is; a pair (inputs, labels) or torch's data sets become one.

    ``task`` says what the labels of a pair, or of torch's data sets, are.

    Raises:
        UsageError: for anything else, or a `Dataset` whose parts do not fit each other.
    """
    if isinstance(found, Dataset):
        check_dataset(found, f"dataset: {name}")
        return found
    if isinstance(found, (tuple, list)) and len(found) == _PAIR:
        return from_tensors(found[0], found[1], name=name, task=task.name)
    if isinstance(found, (TorchDataset, Images)):
        return from_torch(found, name=name, task=task.name)
    if isinstance(found, Mapping):
        return _of_splits(found, name, task)
    raise UsageError(
        f"dataset: {name} is a {type(found).__name__}; give growsearch.Dataset, "
        "growsearch.from_tensors(...), a pair (inputs, labels), a torch.utils.data.Dataset, or "
        "{'train': ..., 'validation': ..., 'test': ...} of them"
    )


def _of_splits(found: Mapping[Any, Any], name: str, task: TaskChoice) -> Dataset:
    unknown = [key for key in found if key not in _SPLIT_KEYS]
    if unknown or "train" not in found:
        wrong = f"has the key {unknown[0]!r}" if unknown else "has no train"
        raise UsageError(f"dataset: {name} {wrong}; valid keys: {', '.join(_SPLIT_KEYS)}")
    return from_torch(
        found["train"],
        validation=found.get("validation"),
        test=found.get("test"),
        num_classes=found.get("num_classes"),
        name=name,
        task=task.name,
    )
