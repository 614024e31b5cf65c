"""Budgets of growth are read as a share, a count or a time on a device, and written again."""

import pytest

from growsearch.errors import UsageError
from growsearch.growth import Budget
from growsearch.kinds import GrowthBound, GrowthCandidate, RecipeChoice
from growsearch.search.config.file import parse_study


def _study(budget):
    return parse_study(
        {
            "name": "grown",
            "dataset": "digits",
            "trials": {"growth": {"space": "mlp-digits", "budget": budget}},
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
        }
    )


def _budget(budget):
    found = _study(budget).trials["growth"].budget
    return GrowthBound(found.metric, found.domain.values[0]).budget()


@pytest.mark.parametrize(
    ("written", "budget"),
    [
        ({"parameters": "36%"}, Budget(parameters=0.36)),
        ({"parameters": " 36 % "}, Budget(parameters=0.36)),
        ({"parameters": "100%"}, Budget(parameters=1.0)),
        ({"parameters": "97000"}, Budget(parameters=97000)),
        ({"parameters": 97000}, Budget(parameters=97000)),
        ({"parameters": 0.36}, Budget(parameters=0.36)),
        ({"macs": "50%"}, Budget(macs=0.5)),
        ({"macs": "20M"}, Budget(macs=20_000_000)),
        ({"macs": "1.5k"}, Budget(macs=1500)),
        ({"latency[cpu]": "2 ms"}, Budget(latency_s=0.002, device="cpu")),
        ({"latency[cpu]": " 500us"}, Budget(latency_s=0.0005, device="cpu")),
        ({"latency[wafer-cs2]": "40%"}, Budget(latency=0.4, device="wafer-cs2")),
        ({"latency[wafer-cs2]": 0.4}, Budget(latency=0.4, device="wafer-cs2")),
        ({"latency[cuda-2:4]": "1s"}, Budget(latency_s=1.0, device="cuda-2:4")),
    ],
)
def test_a_budget_is_read_as_a_share_a_count_or_a_time(written, budget):
    assert _budget(written) == budget


@pytest.mark.parametrize(
    "written",
    [
        {"parameters": {"low": "10%", "high": "60%"}},
        {"macs": ["20M", "30M"]},
        {"latency[cpu]": {"low": "0.37 ms", "high": "3 ms"}},
        {"latency[cpu]": ["0.1 ms", "0.7 ms"]},
        {"latency[wafer-cs2]": {"low": "7%", "high": "40%"}},
    ],
)
def test_a_study_s_budget_is_written_so_that_it_reads_the_same(written):
    study = _study(written)
    assert parse_study(study.to_plain()) == study


@pytest.mark.parametrize(
    ("metric", "value"),
    [("parameters", 0.36), ("macs", 9000), ("latency[cpu]", 0.4), ("latency_s[cpu]", 0.002)],
)
def test_a_candidate_s_budget_survives_json_with_its_unit(metric, value):
    candidate = GrowthCandidate(
        space="mlp-digits", budget=GrowthBound(metric, value), training=RecipeChoice(epochs=2)
    )
    data = candidate.to_json()
    assert data["budget"] == {metric: value}
    again = GrowthCandidate.from_json(data)
    assert again == candidate
    assert type(again.budget.value) is type(value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({}, ["exactly one of parameters, macs and latency[DEVICE]"]),
        ({"speed": 3}, ["'speed'", "parameters, macs and latency[DEVICE]"]),
        ({"parameters[cpu]": 3}, ["'parameters[cpu]'", "latency[DEVICE]"]),
        ({"parameters": "0.36"}, ["parameters", "'0.36'", "whole number", "36%"]),
        ({"parameters": "0%"}, ["parameters", "no budget"]),
        ({"macs": "x"}, ["macs", "'x': "]),
        ({"parameters": "136%"}, ["parameters", "136%", "share between 0 and 1"]),
        ({"parameters": "10%", "macs": "10%"}, ["exactly one"]),
        ({"macs": "-5"}, ["macs", "-5"]),
        ({"macs": "20 MB"}, ["macs", "20 MB", "valid units"]),
        ({"macs": "many"}, ["macs", "many", "valid units"]),
        ({"latency": "2 ms"}, ["'latency'", "latency[DEVICE]"]),
        ({"latency[]": "2 ms"}, ["'latency[]'", "latency[DEVICE]"]),
        ({"latency[abacus]": "2 ms"}, ["'abacus'", "valid: cpu"]),
        ({"latency[cpu]": "2"}, ["latency[cpu]", "'2'", "add a unit", "ms"]),
        ({"latency[cpu]": 2}, ["latency[cpu]", "2", "unit"]),
        ({"latency[cpu]": "2 m"}, ["latency[cpu]", "'2 m'", "valid units", "ms"]),
        ({"latency[cpu]": "0 ms"}, ["latency[cpu]", "above 0"]),
        ({"latency[cpu]": "0%"}, ["latency[cpu]", "above 0"]),
        ({"latency[cpu]": "140%"}, ["latency[cpu]", "140%"]),
        ({"latency[cpu]": ["40%", "2 ms"]}, ["latency[cpu]", "all bounds are"]),
    ],
)
def test_a_mistake_names_the_key_the_value_and_what_to_write(written, words):
    with pytest.raises(UsageError) as refusal:
        _study(written)
    message = str(refusal.value)
    assert "trials.growth.budget" in message
    for word in words:
        assert word in message
