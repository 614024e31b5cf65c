"""Study files: read from YAML, and mistakes in them told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from growsearch.errors import UsageError
from growsearch.kinds.trial_kinds import kinds_model
from growsearch.search.config.study import StudyConfig
from search_spaces.user_code import add_code_folder, is_own

# What a run adds to its resolved study; it is no setting.
PROVENANCE = "provenance"


def load_study(path: Path, *, run: bool = False) -> StudyConfig:
    """Read and check a study.

    Own code is imported from where the study says; never with ``run``, for the study.yaml of a run
    that may be somebody else's: there a person has to name the folder of its code.

    Raises:
        UsageError: with the file, the key, its value, the rule and the remedy.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; give a study file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file in UTF-8 ({error.reason})") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {_yaml_problem(error)}") from error
    if not isinstance(data, Mapping):
        raise UsageError(f"{path}: a study is a mapping of keys; see examples/digits.yaml")
    settings = {k: v for k, v in data.items() if k != PROVENANCE}
    if run:
        settings.pop("code_dir", None)
    elif names_own_code(settings):
        # Own modules lie beside the study file, or where it says.
        settings["code_dir"] = str((path.parent / str(data.get("code_dir") or ".")).resolve())
    config = parse_study(settings, source=str(path))
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


def parse_study(data: Mapping[str, Any], *, source: str = "study") -> StudyConfig:
    """Check a study that is a mapping already.

    Raises:
        UsageError: naming the first wrong key, its value, the rule and the remedy.
    """
    if isinstance(data.get("code_dir"), str | Path):
        add_code_folder(Path(data["code_dir"]))
    try:
        return StudyConfig.model_validate(dict(data))
    except ValidationError as error:
        raise UsageError(f"{source}: {_first_problem(error)}") from error


def names_own_code(data: Any) -> bool:
    """Tell whether a study's data set, space or transform is own code, "module:attribute"."""
    if not isinstance(data, Mapping):
        return False
    trials = data.get("trials")
    kinds = trials.values() if isinstance(trials, Mapping) else ()
    named = [data.get("dataset")]
    for kind in kinds:
        if isinstance(kind, Mapping):
            for value in (kind.get("space"), kind.get("transform")):
                named += value if isinstance(value, list | tuple) else [value]
    return any(isinstance(name, str) and is_own(name) for name in named)


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).splitlines()[0]


def _first_problem(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    # A key that is misspelt is missing, too: the first is what went wrong.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first, *others = map(_say, problems)
    if not others:
        return first
    more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
    return f"{first}; also {others[0]}{more}"


def _say(problem: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; valid here: {', '.join(_siblings(problem['loc']))}"
    if problem["type"] == "missing":
        return f"{key}: is missing; add it"
    rule, value = str(problem["msg"]).removeprefix("Value error, "), problem["input"]
    inner, _, rest = rule.partition(": ")
    if isinstance(value, Mapping) and inner in value:
        # Of keys that do not go together: the message names the one to change.
        key, rule, value = f"{key}.{inner}" if key else inner, rest, value[inner]
    if not key:
        return rule
    return f"{key} = {_short(value)}: {rule}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _siblings(location: tuple[str | int, ...]) -> list[str]:
    """Return the valid keys beside the unknown one, found by walking down the models."""
    model: type[BaseModel] | None = StudyConfig
    for part in location[:-1]:
        if model is StudyConfig and part == "trials":
            model = kinds_model()
            continue
        field = model.model_fields.get(str(part)) if model is not None else None
        if field is None:
            # Inside a dictionary of limits, such as constraints.parameters.
            continue
        model = _model_in(field.annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
