"""Constraints that no candidate can meet: refused at once, and only where that is certain."""

import functools
import json
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.kinds import ForecastContext, forecast, kind_of, suggest_candidate
from growsearch.kinds.forecasts import Reach
from growsearch.kinds.registry import KINDS
from growsearch.search.config.study import StudyConfig
from growsearch.search.study.checks import check_bounds
from growsearch.training import Recipe
from search_spaces import search_space

DATA = subset(load_dataset("digits"), train=64, validation=32, test=32)
SPARSE = {
    "sparse": {
        "space": "mlp-digits",
        "transform": "none",
        "sparsity": {"low": 0.5, "high": 0.9},
        "distribution": ["uniform", "erk", "er"],
        "epochs": 1,
    }
}
GROWTH = {
    "growth": {
        "space": "mlp-digits",
        "budget": {"parameters": {"low": 0.5, "high": 0.9}},
        "epochs": 2,
    }
}


def study(trials: dict[str, Any], **constraints: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "name": "bounds",
            "dataset": "digits",
            "trials": trials,
            "objectives": {"accuracy": "maximize", "parameters": "minimize"},
            "constraints": constraints,
        }
    )


def reach(trials: dict[str, Any]) -> Reach:
    return _reach(json.dumps(trials))


@functools.cache
def _reach(trials: str) -> Reach:
    ((kind, space),) = study(json.loads(trials)).trials.items()
    return kind.reach(space, DATA)


@pytest.mark.parametrize("trials", [SPARSE, GROWTH])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_forecast_of_any_candidate_lies_within_the_reach(
    trials: dict[str, Any], seed: int
) -> None:
    config, found = study(trials), reach(trials)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = optuna.create_study(sampler=sampler).ask()
    candidate = suggest_candidate(asked, config.trials)
    assert kind_of(candidate).name in KINDS
    told = forecast(candidate, ForecastContext(dataset=DATA, seed=0, devices={}))
    for name, value in told.metrics.items():
        assert value <= found.most.get(name, value)
    for name, value in told.least.items():
        assert value >= found.least.get(name, value)
    assert {"parameters", "macs"} <= found.least.keys() & found.most.keys()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_growth_comes_to_lies_within_the_reach(share: float) -> None:
    found = reach(GROWTH)
    space = search_space("mlp-digits").for_data(DATA.input_shape, DATA.num_classes)
    config = GrowthConfig(recipe=Recipe(epochs=2))
    result = grow(space, DATA, budget=Budget(parameters=share), config=config)
    assert found.least["parameters"] <= result.parameters <= found.most["parameters"]
    assert found.least["macs"] <= result.macs <= found.most["macs"]


@pytest.mark.parametrize("trials", [SPARSE, GROWTH])
@pytest.mark.parametrize("metric", ["parameters", "macs"])
def test_a_bound_is_refused_from_the_end_of_the_reach_on(
    trials: dict[str, Any], metric: str
) -> None:
    found = reach(trials)
    least, most = int(found.least[metric]), int(found.most[metric])
    assert 1 < least < most
    for limits in ({"max": least + 1}, {"min": most - 1}):
        check_bounds(study(trials, **{metric: limits}), DATA)
    (name,) = trials
    for sense, value, words in (("max", least - 1, "or more"), ("min", most + 1, "or less")):
        with pytest.raises(UsageError) as caught:
            check_bounds(study(trials, **{metric: {sense: value}}), DATA)
        message = str(caught.value)
        assert f"constraints.{metric}.{sense} = {value:,}: no trial can meet it" in message
        assert words in message
        assert f"change trials.{name}" in message


def test_a_bound_that_one_kind_of_trial_can_meet_stays() -> None:
    tiny = {"growth": {**GROWTH["growth"], "budget": {"parameters": 0.02}}}
    limits = {"max": int(reach(SPARSE).least["parameters"]) - 1}
    with pytest.raises(UsageError, match="sparse trials have"):
        check_bounds(study(SPARSE, parameters=limits), DATA)
    check_bounds(study(SPARSE | tiny, parameters=limits), DATA)


def test_of_transformed_networks_nothing_is_claimed() -> None:
    trials = {"sparse": {**SPARSE["sparse"], "transform": ["none", "sparse_wide"]}}
    assert not reach(trials).least
    check_bounds(study(trials, parameters={"max": 5}), DATA)
