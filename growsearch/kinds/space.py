"""Search dimensions of a kind of trial, as a study writes them: `KindSpace` and its base keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.fields import FieldInfo

from growsearch.errors import UsageError
from growsearch.kinds.domain import Domain, is_only, offers, values_of
from growsearch.kinds.initial_weights import named_init
from growsearch.kinds.recipe_choice import recipe_values
from growsearch.kinds.values import (
    Count,
    OptimizerName,
    OptionalCount,
    OptionalDecay,
    OptionalFraction,
    OptionalFromZero,
    OptionalRate,
    PrecisionName,
    RecipeName,
    ScheduleName,
    Space,
    of_run,
)
from growsearch.pruning import FINE_TUNING
from growsearch.training.initial_weights import OWN
from search_spaces.user_code import is_own


class Strict(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def written_key(name: str, field: FieldInfo) -> str | None:
    """Return a field's key as people write it, None for one that only a run's own study has."""
    extra = field.json_schema_extra
    key = extra.get("key", field.alias or name) if isinstance(extra, Mapping) else name
    return None if key is None else str(key)


# A recipe's keys in a mapping; each is a key of the kind as well.
RECIPE_KEYS = (
    "optimizer",
    "learning_rate",
    "weight_decay",
    "momentum",
    "schedule",
    "warmup_epochs",
    "batch_size",
    "accumulation",
    "clip_norm",
    "label_smoothing",
    "ema",
    "epochs",
    "precision",
)


def _spread(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a kind's keys with those of its recipe's mapping among them.

    Raises:
        ValueError: for a key that a recipe has not, or that stands at both places.
    """
    given = data.get("recipe")
    if not isinstance(given, Mapping):
        return data
    own = {key: value for key, value in given.items() if key != "preset"}
    for key in own:
        if key not in RECIPE_KEYS:
            raise ValueError(
                f"recipe.{key}: unknown key; valid here: preset, {', '.join(RECIPE_KEYS)}"
            )
        if data.get(key) is not None:
            raise ValueError(f"recipe.{key}: stands beside the recipe, too; remove one of both")
    preset = given.get("preset")
    rest = {key: value for key, value in data.items() if key != "recipe"}
    return {**rest, **({} if preset is None else {"recipe": preset}), **own}


class KindSpace(Strict):
    """What every kind of trial trains: networks of a space, with a recipe.

    ``recipe`` is a name, a list of names, or a mapping of RECIPE_KEYS and ``preset``, the name that
    the rest is taken from.

    A subclass adds the keys of its kind. ``whereabouts`` names those that say where files lie:
    they may change between a run and the study that resumes it, and are no part of a candidate.
    """

    whereabouts: ClassVar[tuple[str, ...]] = ("init_file",)

    space: Space = Field(
        description="Search space of networks by name (growsearch list spaces), or your own as "
        "MODULE:ATTRIBUTE."
    )
    epochs: Count = Field(
        default=20,
        validate_default=True,
        description="Epochs of training; growth needs at least 2.",
    )
    recipe: RecipeName = Field(
        default="default",
        validate_default=True,
        description="Published recipe whose hyper-parameters are used, its schedule stretched to "
        "the epochs; default is SGD with Nesterov's momentum and a cosine. Or a mapping: preset is "
        "the recipe's name, and the keys here from epochs on may stand in it.",
    )
    batch_size: OptionalCount = Field(
        default=None, description="Examples of a step. Default: the recipe's own, 64 without one."
    )
    learning_rate: OptionalRate = Field(
        default=None,
        description="Highest learning rate of the schedule. Default: the recipe's own, 0.1 "
        "without one.",
    )
    optimizer: OptimizerName = Field(
        default=None,
        description="What updates the weights: a name, or a subclass of torch.optim.Optimizer of "
        "your own. Default: the recipe's own, sgd without one.",
    )
    precision: PrecisionName = Field(
        default=None,
        description="Of convolutions and products in training; goes before the study's own. "
        "Default: the study's.",
    )
    weight_decay: OptionalFromZero = Field(
        default=None,
        description="Decay of weights (not of biases and BatchNorm) a step, times the rate; "
        "decoupled in adamw and lion. Default: the recipe's own, 0.0005 without one.",
    )
    momentum: OptionalFraction = Field(
        default=None,
        description="Momentum of sgd, beta1 of adam, adamw and lion, in [0, 1). Default: the "
        "recipe's own, 0.9 without one.",
    )
    schedule: ScheduleName = Field(
        default=None,
        description="Learning rate over the run: cosine, steps (a tenth at half and at three "
        "quarters), one-cycle or constant. Default: the recipe's own, cosine without one.",
    )
    warmup_epochs: OptionalFromZero = Field(
        default=None,
        description="Epochs in which the learning rate rises on a straight line, half the run at "
        "most. Default: the recipe's own, 1 without one, 0 with one-cycle.",
    )
    accumulation: OptionalCount = Field(
        default=None,
        description="Batches whose gradients are averaged for one step; the batch that counts is "
        "accumulation x batch_size. Default: 1.",
    )
    clip_norm: OptionalRate = Field(
        default=None,
        description="Bound on the norm of all gradients together. Default: the recipe's own, no "
        "bound without one.",
    )
    label_smoothing: OptionalFraction = Field(
        default=None,
        description="Share of each label that is spread over all classes, in [0, 1). Default: the "
        "recipe's own, 0 without one.",
    )
    ema: OptionalDecay = Field(
        default=None,
        description="Decay of a moving average of the weights, which is judged and kept in their "
        "place, between 0 and 1; not with growth. Default: none.",
    )
    init: str | None = Field(
        default=None,
        description="Trained weights of the full network, with which every trial begins: a file "
        "(.safetensors, or .pth of a state_dict, read without code), relative to the study's file; "
        "a function of your own that returns them, as MODULE:FUNCTION; or own, those that a "
        "network of your own comes with. Default: weights are drawn.",
        json_schema_extra={"form": "file, MODULE:FUNCTION, or own"},
    )
    init_file: Path | None = Field(
        default=None,
        description="The file of init, in the study of a run.",
        json_schema_extra={"key": None},
    )

    @model_validator(mode="before")
    @classmethod
    def _recipes_own_values(cls, data: Any) -> Any:
        """Write down a recipe's own batch size and learning rate, where there is one recipe.

        Trained weights go on at `FINE_TUNING` of the rate: at the whole they would be lost at once.
        """
        if not isinstance(data, Mapping):
            return data
        data = _spread(data)
        try:
            batch_size, learning_rate = recipe_values(data.get("recipe", "default"))
        except (UsageError, TypeError):
            # A list: each recipe has its own. A wrong name: the field itself says so.
            return data
        if data.get("init") is not None:
            learning_rate *= FINE_TUNING
        own = {"batch_size": batch_size, "learning_rate": learning_rate}
        return {**data, **{key: own[key] for key in own if data.get(key) is None}}

    @model_validator(mode="before")
    @classmethod
    def _weights_by_content(cls, data: Any, info: ValidationInfo) -> Any:
        """Name a file of weights by its content; where it lies is another key."""
        if not isinstance(data, Mapping) or data.get("init") is None:
            return data
        run = of_run(info)
        file = data.get("init_file")
        name, place = named_init(data["init"], file and Path(str(file)), of_run=run)
        return {**data, "init": name, "init_file": place}

    @model_validator(mode="after")
    def _weights_that_there_are(self) -> Self:
        if self.init == OWN and not all(is_own(str(name)) for name in values_of(self.space)):
            raise ValueError(
                "init: own weights come with own networks alone, MODULE:ATTRIBUTE; give a file"
            )
        if self.init is None and self.init_file is not None:
            raise ValueError("init_file: goes with init; write init: FILE alone")
        return self

    @model_validator(mode="after")
    def _keys_that_go_together(self) -> Self:
        own = self.optimizer is not None and any(map(is_own, map(str, values_of(self.optimizer))))
        if own and self.momentum is not None:
            raise ValueError(
                "momentum: an optimizer of your own is made as it is; set the momentum there, and "
                "remove the key"
            )
        if self.warmup_epochs is None or self.schedule is None:
            return self
        if offers(self.schedule, "one-cycle") and not is_only(self.warmup_epochs, 0.0):
            raise ValueError(
                "warmup_epochs: one-cycle begins with a rise of its own; remove one of both"
            )
        return self

    @property
    def longest(self) -> int:
        """The epochs of the longest trial that there can be."""
        return int(max(values_of(self.epochs), key=float))

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
