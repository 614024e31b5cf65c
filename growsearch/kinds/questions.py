"""Questions to a sampler: one search dimension after the other, each under its kind's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from growsearch.kinds.domain import Categorical, Domain, Scalar
from growsearch.kinds.recipe_choice import RecipeChoice, recipe_values
from growsearch.kinds.space import KindSpace
from growsearch.pruning import FINE_TUNING

# Marks a question with fewer options than usual: another parameter to a sampler, the same key.
VARIANT = "[pattern]"


# A recipe's keys that are asked for where a study has them, in this order.
_LATER = (
    "weight_decay",
    "momentum",
    "schedule",
    "warmup_epochs",
    "accumulation",
    "clip_norm",
    "label_smoothing",
    "ema",
)


class Suggester(Protocol):
    """The part of ``optuna.Trial`` that is needed."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Choose one of ``choices``."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Choose a whole number."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Choose a number."""
        ...


@dataclass(frozen=True, slots=True)
class Questions:
    """What a kind asks of a sampler: `ask` for ``key`` is the parameter "KIND.key"."""

    suggester: Suggester
    kind: str

    def ask(self, key: str, domain: Domain) -> Any:
        """Return one value of ``domain``; a single option is taken without asking."""
        return suggest(self.suggester, f"{self.kind}.{key}", domain)

    def recipe(self, space: KindSpace) -> RecipeChoice:
        """Ask for the recipe; what the study leaves open is the recipe's own."""
        epochs = int(self.ask("epochs", space.epochs))
        name = str(self.ask("recipe", space.recipe))
        batch_size, learning_rate = recipe_values(name)
        if space.init is not None:
            learning_rate *= FINE_TUNING
        if space.batch_size is not None:
            batch_size = int(self.ask("batch_size", space.batch_size))
        if space.learning_rate is not None:
            learning_rate = float(self.ask("learning_rate", space.learning_rate))
        return RecipeChoice(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            name=name,
            optimizer=None if space.optimizer is None else self.ask("optimizer", space.optimizer),
            precision=None if space.precision is None else self.ask("precision", space.precision),
            **{
                key: self.ask(key, domain)
                for key in _LATER
                if (domain := getattr(space, key)) is not None
            },
        )


def suggest(suggester: Suggester, name: str, domain: Domain) -> Scalar:
    """Ask for one value of ``domain`` by its full name; a single option needs no asking."""
    if isinstance(domain, Categorical):
        if len(domain.values) == 1:
            return domain.values[0]
        chosen: Scalar = suggester.suggest_categorical(name, list(domain.values))
        return chosen
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return suggester.suggest_int(name, domain.low, domain.high, log=domain.logarithmic)
    return suggester.suggest_float(name, domain.low, domain.high, log=domain.logarithmic)
