"""With which hyper-parameters does a trial train: a published recipe or the plain one, adjusted?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from growsearch.errors import UsageError
from growsearch.training import RECIPES, Recipe, published_recipe

# Nesterov's momentum and a cosine; see `Recipe`.
DEFAULT_RECIPE = "default"
RECIPE_NAMES = (DEFAULT_RECIPE, *RECIPES)

_DEFAULT_BATCH_SIZE = 64
_DEFAULT_LEARNING_RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChoice:
    """The hyper-parameters of training that a study may set or search.

    ``name`` is "default" or a key of RECIPES, whose schedule and warm-up are stretched to
    ``epochs``. Batch size and learning rate take the place of the recipe's own.
    """

    epochs: int
    batch_size: int = _DEFAULT_BATCH_SIZE
    learning_rate: float = _DEFAULT_LEARNING_RATE
    name: str = DEFAULT_RECIPE

    def recipe(self) -> Recipe:
        """Return the full recipe.

        Raises:
            UsageError: for an unknown name, or values with which no run is possible.
        """
        if self.name == DEFAULT_RECIPE:
            return Recipe(
                epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
            )
        return dataclasses.replace(
            published_recipe(self.name, epochs=self.epochs),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; the plain recipe is not named, as in earlier versions."""
        data: dict[str, Any] = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }
        return data if self.name == DEFAULT_RECIPE else {**data, "recipe": self.name}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RecipeChoice:
        """Read what ``to_json`` wrote, beside other keys."""
        return cls(
            epochs=int(data["epochs"]),
            batch_size=int(data["batch_size"]),
            learning_rate=float(data["learning_rate"]),
            name=str(data.get("recipe", DEFAULT_RECIPE)),
        )


def recipe_values(name: str) -> tuple[int, float]:
    """Return a recipe's own batch size and learning rate.

    Raises:
        UsageError: for an unknown name; the valid ones are listed.
    """
    if name == DEFAULT_RECIPE:
        return _DEFAULT_BATCH_SIZE, _DEFAULT_LEARNING_RATE
    if name not in RECIPES:
        raise UsageError(f"recipe: unknown {name!r}; valid: {', '.join(RECIPE_NAMES)}")
    return RECIPES[name].batch_size, RECIPES[name].learning_rate
