"""Registry of augmentations, AUGMENTATIONS: names and values as a study writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from growsearch.datasets.augmentation.chain import Chain, Change
from growsearch.datasets.augmentation.colour_jitter import ColourJitter
from growsearch.datasets.augmentation.mixing import CutMix, Mixup
from growsearch.datasets.augmentation.rand_augment import RandAugment
from growsearch.datasets.augmentation.random_erasing import RandomErasing
from growsearch.datasets.augmentation.random_resized_crop import RandomResizedCrop
from growsearch.datasets.augmentation.shift_mirror import (
    NO_AUGMENTATION,
    SHIFT_MIRROR,
    Mirror,
    Shift,
)
from growsearch.errors import UsageError

# With the values that each has where a study gives none.
AUGMENTATIONS: dict[str, Change] = {
    "none": NO_AUGMENTATION,
    "shift-mirror": SHIFT_MIRROR,
    "shift": Shift(),
    "mirror": Mirror(),
    "random-resized-crop": RandomResizedCrop(),
    "colour-jitter": ColourJitter(),
    "rand-augment": RandAugment(),
    "random-erasing": RandomErasing(),
    "mixup": Mixup(),
    "cutmix": CutMix(),
}
_EXAMPLE = "[mirror, {random-resized-crop: {scale: [0.25, 1]}}]"


def parse_augmentation(written: Any) -> Change:
    """Return the augmentation of a name, or of a list of names and {name: {value: ...}}.

    Raises:
        UsageError: for an unknown name, key or value, with the valid ones.
    """
    if isinstance(written, str):
        return _named(written)
    if isinstance(written, Mapping):
        written = [written]
    if not isinstance(written, (list, tuple)) or not written:
        raise UsageError(f"{written!r}: give a name, or a list such as {_EXAMPLE}")
    return Chain(steps=tuple(_step(each) for each in written))


def _step(written: Any) -> Change:
    if isinstance(written, str):
        return _named(written)
    if not isinstance(written, Mapping) or len(written) != 1:
        raise UsageError(f"{written!r}: give one name each, as in {_EXAMPLE}")
    ((name, values),) = written.items()
    return _with_values(str(name), _named(name), values)


def _named(name: Any) -> Change:
    if not isinstance(name, str) or name not in AUGMENTATIONS:
        raise UsageError(f"unknown augmentation {name!r}; valid: {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def _with_values(name: str, usual: Any, values: Any) -> Change:
    known = {field.name: getattr(usual, field.name) for field in dataclasses.fields(usual)}
    if not isinstance(values, Mapping):
        raise UsageError(f"{name}: {values!r} are no values; valid keys: {', '.join(known)}")
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{name}.{key}: unknown key; valid here: {', '.join(known)}")
        if isinstance(value, bool) != isinstance(known[key], bool):
            raise UsageError(f"{name}.{key} = {value!r}: the usual value is {_plain(known[key])}")
    try:
        changed: Change = TypeAdapter(type(usual)).validate_python({**known, **values})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{name}.{key} = {problem['input']!r}: {problem['msg']}") from error
    return changed


def augmentation_values(name: str) -> str:
    """Return "key: usual value" of an augmentation for people, with commas between."""
    values = _step_to_plain(AUGMENTATIONS[name])
    shown = next(iter(values.values())) if name != "none" else {}
    return ", ".join(f"{key}: {value}" for key, value in shown.items())


def augmentation_to_plain(augmentation: Change) -> Any:
    """Return what `parse_augmentation` reads, every value written out.

    Raises:
        UsageError: for one of a class that the registry does not have.
    """
    if isinstance(augmentation, Chain):
        return [_step_to_plain(step) for step in augmentation.steps]
    return next((n for n, a in AUGMENTATIONS.items() if a == augmentation), None) or [
        _step_to_plain(augmentation)
    ]


def _step_to_plain(step: Any) -> dict[str, Any]:
    # From the last on: "none" is the class of "shift-mirror" without its values.
    kind = type(step)
    for name, usual in reversed(AUGMENTATIONS.items()):
        if type(usual) is kind:
            fields = dataclasses.fields(step)
            return {name: {each.name: _plain(getattr(step, each.name)) for each in fields}}
    raise UsageError(
        f"its augmentation is of another class; use one of ours: {', '.join(AUGMENTATIONS)}"
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
