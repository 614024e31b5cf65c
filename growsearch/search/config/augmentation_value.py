"""Augmentation in a study: a name, or a list of {name: {value: ...}}, read and written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from growsearch.datasets import Change, augmentation_to_plain, parse_augmentation
from growsearch.errors import UsageError


def _parse(written: Any) -> Any:
    if written is None:
        return None
    try:
        return parse_augmentation(written)
    except UsageError as error:
        raise ValueError(str(error)) from error


def _plain(augmentation: Change | None) -> Any:
    return None if augmentation is None else augmentation_to_plain(augmentation)


AugmentationValue = Annotated[Any, BeforeValidator(_parse), PlainSerializer(_plain)]
