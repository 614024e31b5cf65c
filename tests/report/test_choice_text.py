"""A choice and a front are told in 80 columns, with units and methods."""

import io

import pytest
from rich.console import Console

from growsearch.pareto import Wishes, parse_bound
from growsearch.report import choice_lines, choose, front_table, read_run, table_legend


@pytest.fixture(scope="module")
def run(run_folder):
    return read_run(run_folder)


def tell(run, *bounds: str) -> list[str]:
    parsed = [parse_bound(bound, "max") for bound in bounds]
    return choice_lines(choose(run, Wishes(bounds=tuple(parsed))), bounds)


def test_a_choice_is_told_with_units_methods_and_the_runner_up(run):
    lines = tell(run, "latency[cpu]=0.14ms")
    text = "\n".join(lines)
    assert lines[0] == "Choice"
    assert "Runner-up" in lines
    assert "134 µs (measured, 130 µs to 140 µs, noise 3.0 %)" in text
    assert "82.6 ns (analytic, 57.8 ns to 116 ns)" in text
    assert max(map(len, lines)) <= 80


def test_a_choice_says_how_surely_it_meets_its_bounds(run):
    # 134 µs with a spread of 3 % are about 1.4 standard deviations below the bound.
    lines = tell(run, "latency[cpu]=0.14ms")
    (told,) = [line for line in lines if "probability" in line]
    assert told == "    meets the bounds with a probability of 92 %"
    assert not [line for line in tell(run, "latency[cpu]=1ms") if "probability" in line]


def test_where_nothing_is_sure_enough_the_likeliest_is_told(run):
    bounds = (parse_bound("latency[cpu]=0.1075ms", "max"),)
    lines = choice_lines(choose(run, Wishes(bounds=bounds, confidence=0.99)))
    assert lines[0] == "No network fits (latency[cpu] <= 108 µs) with 99 % certainty."
    assert lines[2].startswith("Likeliest, with 5")
    assert max(map(len, lines)) <= 80


def test_each_bound_says_what_it_costs_and_what_a_little_more_would_give(run):
    lines = tell(run, "latency[cpu]=0.14ms", "macs=1G")
    place = lines.index("What each bound costs")
    assert lines[place + 1 :] == [
        "  latency[cpu] <= 140 µs",
        "    without it: +2.00 points of accuracy (f181fc069e)",
        "    at 145 µs: +0.67 points of accuracy (f01ebb0794)",
        "  macs <= 1.00 G: nothing; the choice would be the same without it",
    ]


def test_where_one_network_is_both_the_next_and_the_best_it_is_told_once(run):
    lines = tell(run, "latency[cpu]=170us")
    assert lines[-1] == "    without it: +0.33 points of accuracy (f181fc069e), needs 179 µs"


def test_where_nothing_fits_the_nearest_miss_is_told_with_its_gap(run):
    lines = tell(run, "latency[cpu]=0.04ms")
    text = "\n".join(lines)
    assert lines[0] == "No network fits (latency[cpu]=0.04ms)."
    assert "latency[cpu] = 107 µs misses its bound by 168.3 %" in text


def test_the_front_fits_eighty_columns_without_cutting_a_figure(run):
    front = run.front()
    buffer = io.StringIO()
    Console(file=buffer, width=80).print(front_table(front, run.trials))
    lines = buffer.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    text = buffer.getvalue()
    for member in front.members:
        assert member.id in text
    assert "96.33 %" in text
    assert "~82.6 ns" in text
    assert "sparse_wide" in text


def test_the_mark_for_estimates_is_explained_where_it_is_used(run):
    assert "analytic estimate" in table_legend(run.front(), run.trials)
    only_measured = run.front().only(["accuracy", "latency[cpu]"])
    assert table_legend(only_measured, run.trials) == ""
