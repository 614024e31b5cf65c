"""Candidate of a search: the typed settings of one trial, its id and its seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from growsearch.kinds import codec
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.training.recipes.recipe import Precision

# What is only written down, and changes neither a trial's network nor its id and seed.
_OBSERVED = "record"


class CandidateConfig:
    """One candidate of a kind of trial: subclasses are frozen dataclasses, JSON in and out.

    Fields are written in their order. What a version adds comes last, as `codec.added`, so that
    earlier candidates keep their ids.
    """

    __slots__ = ()

    kind: ClassVar[str]
    """The kind's name in files: a key of KINDS."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {"kind": self.kind, **codec.to_json(self)}

    @property
    def own_precision(self) -> Precision | None:
        """The precision that the candidate itself asks for, which goes before the study's."""
        choice = getattr(self, "training", None)
        return choice.precision if isinstance(choice, RecipeChoice) else None

    def drawn_from(self) -> dict[str, Any]:
        """Return what the trial's seed follows from: candidates with the same share their draws."""
        return self.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: for a missing key or choices that exclude each other.
        """
        return codec.from_json(cls, data)


def trial_id(config: CandidateConfig, study_seed: int) -> str:
    """Return 10 hexadecimal digits: the same candidate under the same seed has the same id."""
    return _digest(config.to_json(), study_seed)[:10]


def trial_seed(config: CandidateConfig, study_seed: int) -> int:
    """Return the seed of a trial: fixed by what it is, not by when it runs."""
    return int(_digest(config.drawn_from(), study_seed)[10:18], 16) % 2**31


def _digest(config: Mapping[str, Any], study_seed: int) -> str:
    content = {key: value for key, value in config.items() if key != _OBSERVED}
    text = json.dumps([content, study_seed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
