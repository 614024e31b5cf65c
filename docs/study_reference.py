"""Reference page of a study's keys, made from the models that check a study.

``python docs/study_reference.py`` prints it; the site has it as reference/study.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from growsearch.kinds import KINDS
from growsearch.kinds.domain import Domain, domain_to_plain
from growsearch.kinds.space import KindSpace, written_key
from growsearch.kinds.trial_kinds import TrialKinds
from growsearch.search.config.study import StudyConfig
from growsearch.search.config.written_values import KEYS_BELOW, Values, values_of_field

# What whole numbers, and numbers that are no shares, count.
UNITS = {
    "accumulation": "batches",
    "attack_steps": "steps",
    "batch_size": "examples",
    "buckets": "megabytes",
    "class_weights": "factor",
    "control_gain": "factor",
    "cpus_per_trial": "cores",
    "device_batch": "examples",
    "draw_epochs": "epochs",
    "epoch_tokens": "tokens",
    "epochs": "epochs",
    "epsilon": "pixel range, 0 to 1",
    "eta": "factor",
    "first": "epochs",
    "gpus_per_trial": "GPUs",
    "image_size": "pixels",
    "learning_rate": "a step",
    "noise": "pixel range, 0 to 1",
    "parallel": "trials",
    "pool": "candidates",
    "pretrain_epochs": "epochs",
    "pretrain_seed": "seed",
    "radius": "pixel range, 0 to 1",
    "repeats": "trainings of each network",
    "rounds": "rounds",
    "seed": "seed",
    "sigma": "pixel range, 0 to 1",
    "step_size": "pixel range, 0 to 1",
    "steps": "steps",
    "steering_strength": "factor",
    "subset": "examples",
    "temperature": "factor",
    "threads": "threads",
    "trials": "trials",
    "warmup_epochs": "epochs",
    "width_multiple": "channels",
    "window": "tokens",
    "workers": "processes",
    "workers_per_trial": "workers",
}
_QUANTITIES = "as the metric: s, ms, J, k, M, %"
_HEAD = """# Keys of a study

All that a study's YAML may say, made from the models that check it; `examples/digits.yaml` is a
study with comments. Unknown keys are errors. Where a value *may be searched*, a list is a choice
and `{low: ..., high: ...}` a range, both ends included. KIND stands for any kind of trial, METRIC
and DEVICE for names.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One key: its path and what may stand there."""

    path: str
    values: Values
    unit: str
    default: str
    meaning: str

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            f"`{self.path}`",
            self.values.form,
            self.values.range,
            self.unit,
            self.default,
            self.meaning,
        )


@dataclass(frozen=True, kw_only=True)
class Section:
    """The keys of one model, at one place of a study."""

    path: str
    meaning: str
    rows: tuple[Row, ...]


def sections() -> Iterator[Section]:
    """Yield every section of a study, in the order in which a study has them."""
    yield from _sections(StudyConfig, "", _first_sentence(StudyConfig))


def _sections(
    model: type[BaseModel],
    path: str,
    meaning: str,
    known: Mapping[str, FieldInfo] = MappingProxyType({}),
) -> Iterator[Section]:
    """Yield a model's section, then those of the models in it; ``known`` keys are left out."""
    fields = {
        name: field
        for name, field in model.model_fields.items()
        if written_key(name, field) is not None and repr(known.get(name)) != repr(field)
    }
    rows = tuple(_row(model, name, field, path) for name, field in fields.items())
    if rows:
        yield Section(path=path, meaning=meaning, rows=rows)
    for name, field in fields.items():
        below = f"{path}{written_key(name, field)}"
        inner = values_of_field(model, name).model
        if inner is TrialKinds:
            yield from _kinds(below)
        elif inner is not None:
            each = ".METRIC" if "mapping" in values_of_field(model, name).form else ""
            unwanted = {key: inner.model_fields[key] for key in _extra(field).get("without", ())}
            yield from _sections(inner, f"{below}{each}.", _first_sentence(inner), unwanted)


def _kinds(path: str) -> Iterator[Section]:
    """Yield what all kinds have, and then what each has of its own."""
    yield from _sections(KindSpace, f"{path}.KIND.", "What every kind of trial has.")
    for name, kind in KINDS.items():
        meaning = _first_sentence(kind.space)
        yield from _sections(kind.space, f"{path}.{name}.", meaning, known=KindSpace.model_fields)


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _row(model: type[BaseModel], name: str, field: FieldInfo, path: str) -> Row:
    values = values_of_field(model, name)
    text = " ".join(description(model, name).split()).replace("|", "\\|")
    # What stands for a default of None, in words at the end of the description.
    meaning, _, without = text.partition(" Default: ")
    return Row(
        path=f"{path}{written_key(name, field)}",
        values=values,
        unit=_unit(name, values),
        default=_default(field, values, without.rstrip(".")),
        meaning=meaning,
    )


def _unit(name: str, values: Values) -> str:
    if values.unit:
        return values.unit
    if name in ("max", "min", "latency") or "{max: VALUE}" in values.form:
        return _QUANTITIES
    return UNITS.get(name, "") if values.counts else ""


def _default(field: FieldInfo, values: Values, without: str) -> str:
    """Return the default as a person would write it, or what is done ``without`` the key."""
    if field.is_required():
        return "**required**"
    if field.default_factory is not None and values.form == KEYS_BELOW:
        return "as below"
    if field.default is None or field.default == () or field.default_factory is not None:
        return without or "none"
    return f"`{_yaml(field.default)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, Domain):
        value = domain_to_plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def description(model: type[BaseModel], name: str) -> str:
    """Return what a key means: its own words, else those that its class's docstring has for it."""
    field = model.model_fields[name]
    if field.description:
        return field.description
    for owner in model.__mro__:
        doc = owner.__dict__.get("__doc__") or ""
        listed = re.search(rf"^    +{name}: (.+?)(?=^    +\w+: |^\s*$|\Z)", doc, re.M | re.S)
        if listed:
            return listed[1]
        text = " ".join(doc.split())
        said = [part for part in re.split(r"(?<=\.) ", text) if f"``{name}``" in part]
        if said:
            return " ".join(said).replace("``", "`")
    inner = values_of_field(model, name).model
    return "" if inner is None else _first_sentence(inner)


def _first_sentence(model: type[BaseModel]) -> str:
    text = " ".join((model.__doc__ or "").split()).replace("``", "`")
    return re.split(r"(?<=\.) ", text)[0]


def markdown() -> str:
    """Return the page."""
    lines = [_HEAD]
    for section in sections():
        title = section.path.rstrip(".")
        lines += [f"## `{title}`" if title else "## The study", "", section.meaning, ""]
        lines += ["| Key | Value | Range | Unit | Default | Meaning |", "|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(cell or '-' for cell in row.cells())} |" for row in section.rows]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown())
