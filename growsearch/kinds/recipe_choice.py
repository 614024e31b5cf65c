"""Recipe of a trial: a published one or the plain one, with what a study sets or searches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from growsearch.errors import UsageError
from growsearch.kinds.codec import added
from growsearch.training import (
    RECIPES,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Lion,
    OneCycle,
    OptimizerRule,
    OwnOptimizer,
    Recipe,
    Schedule,
    Steps,
    published_recipe,
)
from growsearch.training.recipes.recipe import Precision
from search_spaces.user_code import is_own

# Nesterov's momentum and a cosine; see `Recipe`.
DEFAULT_RECIPE = "default"
RECIPE_NAMES = (DEFAULT_RECIPE, *RECIPES)
OPTIMIZERS: dict[str, type[OptimizerRule]] = {
    "sgd": SGD,
    "adamw": AdamW,
    "adam": Adam,
    "lion": Lion,
}
# A tenth after each of these shares of the run, for "steps" as He et al. 2016 on CIFAR-10.
_DROPS, _FACTOR = {"steps": (0.5, 0.75), "late-steps": (0.7, 0.9)}, 0.1
SCHEDULES = ("cosine", "one-cycle", "constant", *_DROPS)

_DEFAULT_BATCH_SIZE = 64
_DEFAULT_LEARNING_RATE = 0.1
_USUAL_OPTIMIZER = SGD()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeChoice:
    """The hyper-parameters of training that a study may set or search.

    ``name`` is "default" or a key of RECIPES, whose schedule and warm-up are stretched to
    ``epochs``. Batch size and learning rate take the place of the recipe's own, and so do an
    ``optimizer`` (a key of OPTIMIZERS, or own code) and a ``precision`` where they are given.

    So do all others: ``weight_decay``; ``momentum``, of SGD, or beta1 of the other optimizers;
    ``schedule``, one of SCHEDULES; ``warmup_epochs``; ``clip_norm``; ``label_smoothing``;
    ``accumulation`` and ``ema``, see `Recipe`.
    """

    epochs: int
    batch_size: int = _DEFAULT_BATCH_SIZE
    learning_rate: float = _DEFAULT_LEARNING_RATE
    name: Annotated[str, Field(alias="recipe")] = added(DEFAULT_RECIPE)
    optimizer: str | None = added(None)
    precision: Precision | None = added(None)
    weight_decay: float | None = added(None)
    momentum: float | None = added(None)
    schedule: str | None = added(None)
    warmup_epochs: float | None = added(None)
    accumulation: int = added(1)
    clip_norm: float | None = added(None)
    label_smoothing: float | None = added(None)
    ema: float | None = added(None)

    def recipe(self) -> Recipe:
        """Return the full recipe.

        Raises:
            UsageError: for an unknown name, or values with which no run is possible.
        """
        if self.name == DEFAULT_RECIPE:
            recipe = Recipe(epochs=self.epochs)
        else:
            recipe = published_recipe(self.name, epochs=self.epochs)
        names = (
            "precision",
            "weight_decay",
            "warmup_epochs",
            "clip_norm",
            "label_smoothing",
            "ema",
        )
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.schedule is not None:
            given["schedule"] = schedule_of(self.schedule, self.epochs)
            if self.schedule == "one-cycle":
                # Its rise is a warm-up already.
                given.setdefault("warmup_epochs", 0)
        return dataclasses.replace(
            recipe,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=optimizer_of(self.optimizer, self.momentum, recipe.optimizer),
            accumulation=self.accumulation,
            **given,
        )


def optimizer_of(
    name: str | None, momentum: float | None, usual: OptimizerRule = _USUAL_OPTIMIZER
) -> OptimizerRule:
    """Return the optimizer of that name, or the ``usual`` one, with that momentum or beta1.

    Raises:
        UsageError: for an unknown name, or a momentum of own code.
    """
    rule = usual
    if name is not None and is_own(name):
        rule = OwnOptimizer(name=name)
    elif name is not None:
        if name not in OPTIMIZERS:
            raise UsageError(f"optimizer: unknown {name!r}; valid: {', '.join(OPTIMIZERS)}")
        rule = OPTIMIZERS[name]()
    if momentum is None:
        return rule
    if isinstance(rule, SGD):
        return dataclasses.replace(rule, momentum=momentum, nesterov=rule.nesterov and momentum > 0)
    if isinstance(rule, Adam | AdamW | Lion):
        return dataclasses.replace(rule, beta1=momentum)
    raise UsageError(
        f"momentum: {momentum} of an optimizer of your own, which is made as it is; set it there"
    )


def schedule_of(name: str, epochs: int) -> Schedule:
    """Return the schedule of that name for a run of ``epochs``.

    Raises:
        UsageError: for an unknown name.
    """
    if name == "cosine":
        return Cosine()
    if name == "constant":
        return Constant()
    if name == "one-cycle":
        return OneCycle()
    if name in _DROPS:
        return Steps(milestones=tuple(share * epochs for share in _DROPS[name]), factor=_FACTOR)
    raise UsageError(f"schedule: unknown {name!r}; valid: {', '.join(SCHEDULES)}")


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
