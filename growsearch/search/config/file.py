"""Study file: read from strict YAML, checked, its paths resolved; mistakes are told by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from growsearch.errors import UsageError
from growsearch.kinds.values import OF_RUN
from growsearch.reading import (
    Document,
    PlainValueError,
    check_finite,
    check_plain,
    parse_yaml,
    read_limited,
    reading,
)
from growsearch.reading.strict_yaml import MAX_BYTES
from growsearch.search.config.messages import Messages, short
from growsearch.search.config.study import StudyConfig
from growsearch.search.config.units import with_units
from growsearch.shown_text import shown
from growsearch.training.initial_weights import SUFFIXES
from search_spaces.user_code import add_code_folder, is_own

# What a run adds to its resolved study; it is no setting.
PROVENANCE = "provenance"


def load_study(path: Path, *, run: bool = False) -> StudyConfig:
    """Read and check a study.

    Own code is imported from where the study says; never with ``run``, for the study.yaml of a run
    that may be somebody else's: what that names is checked where it is used, see
    `search_spaces.code_origin`.

    Raises:
        UsageError: with the file, the line, the key, its value, the rule and the remedy.
    """
    document = _read(path, stream=not run)
    data = document.data
    settings = {k: v for k, v in data.items() if k != PROVENANCE}
    if run:
        settings.pop("code_dir", None)
        settings = with_units(settings)
    else:
        settings = _with_places(settings, path.parent)
    if not run and names_own_code(settings):
        if PROVENANCE in data:
            raise UsageError(
                f"{shown(str(path))} is the study of a run and names code, which is imported when "
                f"it is searched; read that code, and give a copy without the key {PROVENANCE}"
            )
        # Own modules lie beside the study file, or where it says.
        settings["code_dir"] = str((path.parent / str(data.get("code_dir") or ".")).resolve())
    config = parse_study(settings, source=str(path), document=document, run=run)
    if config.data_dir is not None and not config.data_dir.is_absolute():
        # A relative path is meant from the study file, wherever the command is run.
        resolved = (path.parent / config.data_dir).resolve()
        config = config.model_copy(update={"data_dir": resolved})
    config = config.model_copy(update={"trials": config.trials.resolved(path.parent)})
    if config.search.warm_start:
        folders = tuple((path.parent / folder).resolve() for folder in config.search.warm_start)
        search = config.search.model_copy(update={"warm_start": folders})
        config = config.model_copy(update={"search": search})
    return config


def _with_places(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings with files of weights as seen from the study's folder."""
    trials = settings.get("trials")
    if not isinstance(trials, Mapping):
        return dict(settings)
    found = {}
    for name, kind in trials.items():
        init = kind.get("init") if isinstance(kind, Mapping) else None
        if isinstance(init, str) and (init.endswith(SUFFIXES) or (folder / init).is_file()):
            kind = {**kind, "init": str((folder / Path(init).expanduser()).resolve())}
        found[name] = kind
    return {**settings, "trials": found}


def _read(path: Path, *, stream: bool) -> Document:
    try:
        text = read_limited(path, MAX_BYTES, stream=stream).decode()
    except OSError as error:
        raise UsageError(
            f"cannot read {shown(str(path))}: {error.strerror}; give a study file"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{shown(str(path))}: not a text file in UTF-8 ({error.reason}); give a study file"
        ) from error
    except ValueError as error:
        raise UsageError(f"cannot read {shown(str(path))}: {error}; give a study file") from error
    document = parse_yaml(text, shown(str(path)))
    if not isinstance(document.data, Mapping):
        raise UsageError(
            f"{shown(str(path))}: a study is a mapping of keys; see examples/digits.yaml"
        )
    return document


def parse_study(
    data: Mapping[str, Any],
    *,
    source: str = "study",
    document: Document | None = None,
    run: bool = False,
) -> StudyConfig:
    """Check a study that is a mapping already.

    Args:
        data: a study's keys and values.
        source: begins every message, such as the file's name.
        document: what ``data`` was read from, for the lines of its values.
        run: it is the study of a run, of which no code is imported.

    Raises:
        UsageError: naming the first wrong key, its value, the rule and the remedy.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{source}: a study is a mapping of keys, not {short(data)}")
    messages = Messages(source=source, document=document)
    with reading(source, "write it as in examples/digits.yaml"):
        try:
            check_plain(data)
            if not run and isinstance(data.get("code_dir"), str | Path):
                add_code_folder(Path(data["code_dir"]))
            return _validated(data, run=run)
        except PlainValueError as problem:
            raise UsageError(messages.at(problem.place, str(problem))) from problem
        except ValidationError as error:
            raise UsageError(messages.first(error)) from error


def _validated(data: Mapping[str, Any], *, run: bool) -> StudyConfig:
    try:
        config = StudyConfig.model_validate(dict(data), context={OF_RUN: run})
    except ArithmeticError:
        # A number that is none, met before its rule was: it is named here.
        check_finite(data)
        raise
    # A rule such as "above 0" does not keep NaN out by itself.
    check_finite(data)
    return config


def names_own_code(data: Any) -> bool:
    """Tell whether anything in a study is own code, "module:attribute"."""
    if not isinstance(data, Mapping):
        return False
    trials = data.get("trials")
    kinds = trials.values() if isinstance(trials, Mapping) else ()
    callbacks = data.get("callbacks")
    named = [data.get("dataset"), data.get("task")]
    named += callbacks if isinstance(callbacks, list | tuple) else []
    for kind in kinds:
        if isinstance(kind, Mapping):
            recipe = kind.get("recipe")
            inner = recipe.get("optimizer") if isinstance(recipe, Mapping) else None
            keys = ("space", "target_space", "transform", "optimizer")
            init = kind.get("init")
            code = None if str(init).endswith(SUFFIXES) else init
            for value in (*(kind.get(key) for key in keys), inner, code):
                named += value if isinstance(value, list | tuple) else [value]
    return any(isinstance(name, str) and is_own(name) for name in named)
