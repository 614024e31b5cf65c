"""Search dimensions of a kind of trial, as a study writes them: `KindSpace` and its base keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from growsearch.errors import UsageError
from growsearch.kinds.domain import Domain
from growsearch.kinds.recipe_choice import recipe_values
from growsearch.kinds.values import (
    Count,
    OptimizerName,
    OptionalCount,
    OptionalRate,
    PrecisionName,
    RecipeName,
    Space,
)


class Strict(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class KindSpace(Strict):
    """What every kind of trial trains: networks of a space, with a recipe.

    A subclass adds the keys of its kind. ``whereabouts`` names those that say where files lie:
    they may change between a run and the study that resumes it, and are no part of a candidate.
    """

    whereabouts: ClassVar[tuple[str, ...]] = ()

    space: Space
    epochs: Count = Field(default=20, validate_default=True)
    recipe: RecipeName = Field(default="default", validate_default=True)
    batch_size: OptionalCount = None
    learning_rate: OptionalRate = None
    optimizer: OptimizerName = None
    precision: PrecisionName = None

    @model_validator(mode="before")
    @classmethod
    def _recipes_own_values(cls, data: Any) -> Any:
        """Write down a recipe's own batch size and learning rate, where there is one recipe."""
        if not isinstance(data, Mapping):
            return data
        try:
            batch_size, learning_rate = recipe_values(data.get("recipe", "default"))
        except (UsageError, TypeError):
            # A list: each recipe has its own. A wrong name: the field itself says so.
            return data
        own = {"batch_size": batch_size, "learning_rate": learning_rate}
        return {**data, **{key: own[key] for key in own if data.get(key) is None}}

    @property
    def written_domains(self) -> Mapping[str, Domain]:
        """The domain of every key that has one, as a candidate writes the key."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in found.items() if isinstance(value, Domain)}

    def resolved(self, folder: Path) -> Self:
        """Return the space with relative `whereabouts` as seen from ``folder``."""
        paths = {name: getattr(self, name) for name in self.whereabouts}
        update = {name: (folder / path).resolve() for name, path in paths.items() if path}
        return self.model_copy(update=update) if update else self
