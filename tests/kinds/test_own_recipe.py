"""Recipes of a study as mappings: the same keys as those of a kind, each a value or a range."""

from typing import Any

import pytest

from growsearch.errors import UsageError
from growsearch.kinds import SparseCandidate, trial_id
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.trial_kinds import TrialKinds, suggest_candidate
from growsearch.search.config.file import parse_study
from growsearch.training import (
    SGD,
    Adam,
    Constant,
    Cosine,
    Lion,
    OneCycle,
    OwnOptimizer,
    Steps,
    published_recipe,
)


def _study(kind: str = "sparse", **keys: Any) -> dict[str, Any]:
    spaces = {
        "sparse": {"space": "mlp-digits", "transform": "none", "sparsity": 0.5},
        "growth": {"space": "mlp-digits", "budget": {"parameters": "30%"}},
    }
    return {
        "name": "own",
        "dataset": "digits",
        "trials": {kind: {**spaces[kind], **keys}},
        "objectives": {"accuracy": "maximize"},
    }


class First:
    """Answers every question with the first option or the lower end, and remembers them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.asked.append(name)
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.asked.append(name)
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.asked.append(name)
        return low


def _first(study: dict[str, Any]) -> tuple[Any, list[str]]:
    config = parse_study(study)
    answers = First()
    return suggest_candidate(answers, config.trials), answers.asked


WHOLE = {
    "optimizer": ["lion", "adam"],
    "learning_rate": {"low": 0.001, "high": 0.1},
    "weight_decay": {"low": 0.0, "high": 0.1},
    "momentum": 0.8,
    "schedule": ["one-cycle", "constant"],
    "batch_size": [32, 64],
    "accumulation": {"low": 1, "high": 4},
    "clip_norm": 1.0,
    "label_smoothing": [0.0, 0.1],
    "ema": 0.99,
    "epochs": {"low": 2, "high": 5},
}


def test_each_key_of_a_recipe_is_a_value_or_searched() -> None:
    candidate, asked = _first(_study(recipe=WHOLE))
    assert asked == [
        f"sparse.{key}"
        for key in (
            "epochs",
            "batch_size",
            "learning_rate",
            "optimizer",
            "weight_decay",
            "schedule",
            "accumulation",
            "label_smoothing",
        )
    ]
    recipe = candidate.training.recipe()
    assert recipe.optimizer == Lion(beta1=0.8)
    assert recipe.schedule == OneCycle()
    assert (recipe.warmup_epochs, recipe.weight_decay, recipe.ema) == (0, 0.0, 0.99)
    assert (recipe.batch_size, recipe.epochs, recipe.clip_norm) == (32, 2, 1.0)
    assert SparseCandidate.from_json(candidate.to_json()) == candidate


def test_a_mapping_is_the_kinds_own_keys_and_is_written_as_these() -> None:
    inside, beside = parse_study(_study(recipe=WHOLE)), parse_study(_study(**WHOLE))
    assert inside == beside
    assert parse_study(inside.to_plain()) == inside


def test_a_preset_gives_what_the_mapping_leaves_open() -> None:
    recipe = {"preset": "sparse-ift-cifar", "weight_decay": 0.01}
    candidate, _ = _first(_study(recipe=recipe, epochs=10))
    found, usual = candidate.training.recipe(), published_recipe("sparse-ift-cifar", epochs=10)
    assert found.weight_decay == 0.01
    assert (found.schedule, found.batch_size, found.optimizer) == (
        usual.schedule,
        usual.batch_size,
        usual.optimizer,
    )
    several, asked = _first(_study(recipe={"preset": ["default", "growth-cifar"], "ema": 0.9}))
    assert asked == ["sparse.recipe"]
    assert several.training.ema == 0.9


def test_ids_and_lines_of_candidates_without_new_keys_stay() -> None:
    candidate, _ = _first(_study(epochs=3))
    assert candidate.to_json() == {
        "kind": "sparse",
        "space": "mlp-digits",
        "transform": "none",
        "sparsity": 0.5,
        "distribution": "erk",
        "updater": "static",
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 0.1,
    }
    named, _ = _first(_study(epochs=3, recipe="default"))
    mapped, _ = _first(_study(recipe={"epochs": 3}))
    assert trial_id(named, 0) == trial_id(candidate, 0) == trial_id(mapped, 0)
    changed, _ = _first(_study(epochs=3, recipe={"ema": 0.9}))
    assert trial_id(changed, 0) != trial_id(candidate, 0)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"rate": 0.1}, "recipe.rate: unknown key; valid here: preset, optimizer"),
        ({"epochs": 3}, "recipe.epochs: stands beside the recipe"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg'; valid: sgd, adamw, adam, lion"),
        (
            {"schedule": "cosin"},
            "unknown schedule 'cosin'; valid: cosine, one-cycle, constant, steps",
        ),
        ({"preset": "growth"}, "unknown recipe 'growth'"),
        ({"ema": 1.0}, "not between 0 and 1"),
        ({"label_smoothing": 1}, "not in"),
        ({"momentum": -0.1}, "not in"),
        ({"weight_decay": -1}, "no number from 0 on"),
        ({"accumulation": 0}, "no whole number above 0"),
        ({"schedule": "one-cycle", "warmup_epochs": 2}, "one-cycle begins with a rise"),
        ({"optimizer": "torch.optim:RAdam", "momentum": 0.9}, "is made as it is"),
        ({"optimizer": "torch.optim:Missing"}, "has no Missing"),
        ({}, None),
    ],
)
def test_what_is_no_recipe_is_refused_by_its_key(recipe: Any, message: str | None) -> None:
    study = _study(recipe=recipe, epochs=4)
    if message is None:
        assert parse_study(study) == parse_study(_study(epochs=4))
        return
    with pytest.raises(UsageError, match=message):
        parse_study(study)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"ema": 0.99}, "ema: averages weights of one shape"),
        ({"optimizer": ["sgd", "torch.optim:RAdam"]}, "take sgd, adam, adamw or lion"),
    ],
)
def test_growth_refuses_by_key_what_surgery_does_not_carry_over(
    recipe: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_study(_study("growth", recipe=recipe))
    grown_first = {"grow": {"budget": {"parameters": "30%"}, "epochs": 2}}
    with pytest.raises(UsageError, match=message):
        parse_study(_study(recipe=recipe, **grown_first))


def test_every_key_reaches_the_recipe() -> None:
    choice = RecipeChoice(
        epochs=8, optimizer="sgd", momentum=0.0, schedule="steps", warmup_epochs=0.5, accumulation=2
    )
    recipe = choice.recipe()
    assert recipe.optimizer == SGD(momentum=0.0, nesterov=False)
    assert recipe.schedule == Steps(milestones=(4.0, 6.0), factor=0.1)
    assert (recipe.warmup_epochs, recipe.accumulation) == (0.5, 2)
    assert RecipeChoice(epochs=8, schedule="constant").recipe().schedule == Constant()
    assert RecipeChoice(epochs=8).recipe().schedule == Cosine()
    adam = RecipeChoice(epochs=8, optimizer="adam", momentum=0.5).recipe()
    assert adam.optimizer == Adam(beta1=0.5)
    own = RecipeChoice(epochs=8, optimizer="torch.optim:RAdam").recipe()
    assert own.optimizer == OwnOptimizer(name="torch.optim:RAdam")


def test_kinds_are_read_again_from_what_they_write() -> None:
    config = parse_study(_study(recipe=WHOLE))
    assert TrialKinds.model_validate(config.trials.model_dump(mode="json")) == config.trials
