"""Recipe of a trial: a published one or the plain one, with what a study sets or searches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from growsearch.errors import UsageError
from growsearch.kinds.codec import added
from growsearch.training import RECIPES, SGD, AdamW, OptimizerRule, Recipe, published_recipe
from growsearch.training.recipes.recipe import Precision

# Nesterov's momentum and a cosine; see `Recipe`.
DEFAULT_RECIPE = "default"
RECIPE_NAMES = (DEFAULT_RECIPE, *RECIPES)
OPTIMIZERS: dict[str, type[OptimizerRule]] = {"sgd": SGD, "adamw": AdamW}

_DEFAULT_BATCH_SIZE = 64
_DEFAULT_LEARNING_RATE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChoice:
    """The hyper-parameters of training that a study may set or search.

    ``name`` is "default" or a key of RECIPES, whose schedule and warm-up are stretched to
    ``epochs``. Batch size and learning rate take the place of the recipe's own, and so do an
    ``optimizer`` (a key of OPTIMIZERS) and a ``precision`` where they are given.
    """

    epochs: int
    batch_size: int = _DEFAULT_BATCH_SIZE
    learning_rate: float = _DEFAULT_LEARNING_RATE
    name: Annotated[str, Field(alias="recipe")] = added(DEFAULT_RECIPE)
    optimizer: str | None = added(None)
    precision: Precision | None = added(None)

    def recipe(self) -> Recipe:
        """Return the full recipe.

        Raises:
            UsageError: for an unknown name, or values with which no run is possible.
        """
        if self.name == DEFAULT_RECIPE:
            recipe = Recipe(epochs=self.epochs)
        else:
            recipe = published_recipe(self.name, epochs=self.epochs)
        if self.optimizer is not None and self.optimizer not in OPTIMIZERS:
            raise UsageError(
                f"optimizer: unknown {self.optimizer!r}; valid: {', '.join(OPTIMIZERS)}"
            )
        return dataclasses.replace(
            recipe,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=(
                recipe.optimizer if self.optimizer is None else OPTIMIZERS[self.optimizer]()
            ),
            precision=recipe.precision if self.precision is None else self.precision,
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
