"""Bounds as people write them on the command line and in a study."""

import pytest

from growsearch.errors import UsageError
from growsearch.pareto import (
    Bound,
    bounds_by_objective,
    bounds_from_mapping,
    format_bound,
    parse_bound,
)


@pytest.mark.parametrize(
    ("text", "objective", "value"),
    [
        ("latency[cpu]=0.5ms", "latency[cpu]", 0.0005),
        (" macs = 200k ", "macs", 200_000),
        ("accuracy=0.95", "accuracy", 0.95),
        ("accuracy=95 %", "accuracy", 0.95),
    ],
)
def test_a_bound_is_an_objective_and_a_value_with_a_unit(text, objective, value):
    assert parse_bound(text, "max") == Bound(objective=objective, sense="max", value=value)
    assert parse_bound(text, "min").sense == "min"


@pytest.mark.parametrize("text", ["latency[cpu]", "=3", "macs=", ""])
def test_half_a_bound_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"--max .*OBJECTIVE=VALUE, for example"):
        parse_bound(text, "max")


def test_a_wrong_unit_is_named_with_the_option_it_came_from():
    with pytest.raises(UsageError, match=r"--min latency\[cpu\] = '3 h'.*valid units: s, ms"):
        parse_bound("latency[cpu]=3 h", "min")


def test_a_study_gives_bounds_by_sense_for_its_choice():
    data = {"max": {"latency[cpu]": "0.5 ms"}, "min": {"accuracy": 0.9}, "prefer": "knee"}
    assert bounds_from_mapping(data, "select") == (
        Bound(objective="latency[cpu]", sense="max", value=0.0005),
        Bound(objective="accuracy", sense="min", value=0.9),
    )


def test_a_study_gives_bounds_by_objective_for_its_constraints():
    data = {"parameters": {"max": "200k"}, "accuracy": {"max": 1, "min": "50%"}}
    assert bounds_by_objective(data, "constraints") == (
        Bound(objective="parameters", sense="max", value=200_000),
        Bound(objective="accuracy", sense="max", value=1.0),
        Bound(objective="accuracy", sense="min", value=0.5),
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bounds_from_mapping({"max": 3}, "select"), "select.max: a mapping"),
        (lambda: bounds_from_mapping({"max": {"macs": [1]}}, "select"), r"macs = \[1\] is not a"),
        (lambda: bounds_from_mapping({"max": {"macs": "1 x"}}, "select"), "select: macs = '1 x'"),
        (lambda: bounds_by_objective({"macs": {"most": 1}}, "constraints"), "constraints.macs: wr"),
        (lambda: bounds_by_objective({"macs": {}}, "constraints"), "constraints.macs: write"),
        (lambda: bounds_by_objective({"macs": 3}, "constraints"), "constraints.macs: write"),
    ],
)
def test_a_wrong_bound_in_a_study_names_its_place(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_a_bound_is_shown_with_its_unit():
    assert format_bound(parse_bound("latency[cpu]=0.5ms", "max")) == "latency[cpu] <= 500 µs"
    assert format_bound(parse_bound("accuracy=95%", "min")) == "accuracy >= 95.00 %"
