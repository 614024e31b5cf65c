"""Python objects in a study, by the names under which workers import them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.datasets import BY_LABELS, GIVEN, Dataset, TaskChoice, as_dataset, pinned_dataset
from growsearch.errors import UsageError
from search_spaces import SearchSpaceError
from search_spaces.typed_code import in_no_file
from search_spaces.user_code import reference_to

_IN_MEMORY = "arrays"
# The keys of a trial kind that take own code.
_KEYS = ("space", "transform", "optimizer", "init")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStudy:
    """A study with names in the place of objects, and the data that it was given in memory."""

    settings: dict[str, Any]
    dataset: Dataset | None


def name_objects(data: Mapping[str, Any]) -> NamedStudy:
    """Replace classes and functions by "module:attribute", and data in memory by its hash.

    What was typed into this session is named too, and can be sent to workers from here.

    Raises:
        UsageError: for an object that workers cannot import, with the remedy.
    """
    folders: list[Path] = []
    if not isinstance(data, Mapping):
        raise UsageError(
            f"study: a {type(data).__name__} is none; give a mapping of its keys, or a file's path"
        )
    settings = dict(data)
    if settings.get("task") is not None and not isinstance(settings["task"], str):
        settings["task"] = _name(settings["task"], "task", folders)
    if isinstance(settings.get("callbacks"), list | tuple):
        settings["callbacks"] = _named_value("callbacks", settings["callbacks"], folders)
    dataset = None
    given = settings.get("dataset")
    if callable(given) and not isinstance(given, Dataset):
        if in_no_file(getattr(given, "__module__", "")):
            raise UsageError(
                "dataset: a function that was typed into a session is not kept with a run; call it "
                "and give what it returns, which is"
            )
        settings["dataset"] = _name(given, "dataset", folders)
    elif given is not None and not isinstance(given, str):
        task = settings.get("task")
        stated = TaskChoice(name=task) if isinstance(task, str) else BY_LABELS
        dataset = as_dataset(given, "dataset", stated)
        place = GIVEN if dataset.train.streamed else _IN_MEMORY
        settings["dataset"] = pinned_dataset(place, dataset)
        if settings.get("data_dir") is not None:
            raise UsageError("data_dir: the data is in memory already; remove data_dir")
    if isinstance(settings.get("trials"), Mapping):
        settings["trials"] = {
            kind: _named_kind(f"trials.{kind}", values, folders)
            for kind, values in settings["trials"].items()
        }
    if folders and settings.get("code_dir") is None:
        settings["code_dir"] = str(folders[0])
    return NamedStudy(settings=settings, dataset=dataset)


def _named_kind(key: str, values: Any, folders: list[Path]) -> Any:
    if not isinstance(values, Mapping):
        return values
    found = {
        name: _named_value(f"{key}.{name}", value, folders) if name in _KEYS else value
        for name, value in values.items()
    }
    if isinstance(found.get("recipe"), Mapping):
        found["recipe"] = _named_kind(f"{key}.recipe", found["recipe"], folders)
    return found


def _named_value(key: str, value: Any, folders: list[Path]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_named_value(key, each, folders) for each in value]
    return value if isinstance(value, (str, Path, Mapping)) else _name(value, key, folders)


def _name(thing: Any, key: str, folders: list[Path]) -> str:
    try:
        name, folder = reference_to(thing)
    except SearchSpaceError as error:
        raise UsageError(f"{key}: {error}") from error
    if folder is not None:
        folders.append(folder)
    return name
