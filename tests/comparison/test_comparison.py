"""Runs held against each other: every figure by hand, files that tell them, clear refusals."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.comparison import attainment_surfaces, bootstrap_mean, compare, rank_test
from growsearch.comparison.files import write_comparison
from growsearch.errors import UsageError
from growsearch.report import Run
from growsearch.trial.record import Trial

OBJECTIVES = {"accuracy": "maximize", "macs": "minimize"}


def make_run(folder, name, networks, objectives=None) -> Run:
    trials = tuple(
        Trial(
            id=f"t{place}",
            number=place,
            kind="growth",
            status="finished",
            config={},
            seed=0,
            metrics={"accuracy": accuracy, "macs": macs},
        )
        for place, (accuracy, macs) in enumerate(networks)
    )
    return Run(
        folder=folder, study={"name": name, "objectives": objectives or OBJECTIVES}, trials=trials
    )


@pytest.fixture
def two(tmp_path):
    """The ends of a front, and its middle."""
    return [
        make_run(tmp_path / "ends", "a", [(0.5, 1), (0.9, 3)]),
        make_run(tmp_path / "middle", "b", [(0.7, 2)]),
    ]


def test_hypervolume_and_distance_are_those_of_the_common_box(two):
    # In the box from (.9, 1) to (.5, 3): the ends lie on its edges, the middle at its centre.
    comparison = compare(two)
    ends, middle = comparison.runs
    assert (ends.hypervolume, middle.hypervolume) == (0.0, pytest.approx(0.25))
    # IGD+: from the centre to an end only the worse side counts, half a width; of three points.
    assert ends.igd_plus == pytest.approx(0.5 / 3)
    assert middle.igd_plus == pytest.approx(1.0 / 3)
    assert [run.kept for run in comparison.runs] == [2, 1]
    assert [m.id for m in comparison.front.members] == ["ends/t1", "middle/t0", "ends/t0"]
    assert comparison.reference == {"accuracy": 0.5, "macs": 3}


def test_runs_of_one_study_are_a_group_with_an_interval(tmp_path, two):
    again = make_run(tmp_path / "again", "b", [(0.8, 2)])
    comparison = compare([*two, again])
    first, second = comparison.groups
    assert [len(first.runs), len(second.runs)] == [1, 2]
    assert first.hypervolume.low is None
    # The centre, and a point three quarters up: .25 and .375.
    assert second.hypervolume.mean == pytest.approx((0.25 + 0.375) / 2)
    assert (second.hypervolume.low, second.hypervolume.high) == pytest.approx((0.25, 0.375))
    assert comparison.tests == ()


def test_the_rank_test_is_exact_and_says_the_least_p_that_it_can_reach():
    test = rank_test(("one", [4.0, 5.0, 6.0]), ("other", [1.0, 2.0, 3.0]))
    # One of 20 equally likely orders, on two sides.
    assert test.p_value == pytest.approx(0.1)
    assert test.least_p == pytest.approx(0.1)
    assert test.superiority == 1.0
    assert rank_test(("one", [4.0]), ("other", [1.0, 2.0])) is None


def test_attainment_surfaces_are_what_at_least_one_half_and_all_runs_reach(tmp_path):
    runs = [
        make_run(tmp_path / "0", "a", [(0.5, 1), (0.6, 2), (0.7, 3)]),
        make_run(tmp_path / "1", "a", [(0.45, 1.5), (0.65, 2.5)]),
    ]
    surfaces = {s.share: s.points for s in attainment_surfaces(compare(runs), "accuracy", "macs")}
    assert surfaces[0.0] == ((1, 0.5), (2, 0.6), (2.5, 0.65), (3, 0.7))
    assert surfaces[100.0] == ((1.5, 0.45), (2.5, 0.6), (3, 0.65))


VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@settings(deadline=None, max_examples=25)
@given(VALUES)
def test_a_bootstrap_interval_lies_among_the_values_and_is_the_same_twice(values):
    interval = bootstrap_mean(values)
    assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval == bootstrap_mean(values)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6),
                min_size=2, max_size=4))  # fmt: skip
def test_the_common_front_is_never_worse_than_a_run(tmp_path_factory, networks):
    base = tmp_path_factory.getbasetemp()
    runs = [
        make_run(base / f"r{n}", "a", [(float(a), float(m)) for a, m in each])
        for n, each in enumerate(networks)
    ]
    comparison = compare(runs)
    assert sum(run.kept for run in comparison.runs) == len(comparison.front)
    for run in comparison.runs:
        assert 0 <= run.hypervolume <= 1
        assert run.igd_plus >= 0
        if run.kept == len(comparison.front):
            assert run.igd_plus == 0


def test_the_files_tell_all_of_it_and_are_the_same_twice(tmp_path, two):
    again = make_run(tmp_path / "again", "a|<b", [(0.6, 1.5)])
    comparison = compare([*two, again])
    paths = write_comparison(comparison, tmp_path / "out")
    before = [path.read_bytes() for path in paths]
    data = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [study["name"] for study in data["studies"]] == ["a", "b", "a|<b"]
    assert data["reference"] == comparison.reference
    assert "a\\|&lt;b" in (tmp_path / "out" / "compare.md").read_text()
    assert write_comparison(comparison, tmp_path / "out") == paths
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda two: two[:1], "two run folders or more"),
        (lambda two: [two[0], two[0]], "stands twice"),
        (lambda two: [two[0], make_run(two[1].folder, "b", [])], "middle has no finished network"),
        (
            lambda two: [two[0], make_run(two[1].folder, "b", [(1, 1)], {"accuracy": "maximize"})],
            "only runs with the same ones compare",
        ),
    ],
)
def test_what_does_not_compare_is_refused_with_its_reason(two, change, words):
    with pytest.raises(UsageError, match=words):
        compare(change(two))


def test_one_objective_is_drawn_as_points(tmp_path):
    only = {"accuracy": "maximize"}
    runs = [make_run(tmp_path / str(n), "a", [(0.1 * n, 1)], only) for n in (1, 2)]
    comparison = compare(runs)
    assert [run.hypervolume for run in comparison.runs] == [0.0, 1.0]
    assert write_comparison(comparison, tmp_path / "out")


def test_the_command_prints_80_columns_and_the_files(tmp_path, two):
    for run in two:
        run.folder.mkdir()
        (run.folder / "study.yaml").write_text(json.dumps(run.study))
        lines = [json.dumps(trial.to_json()) for trial in run.trials]
        (run.folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    folders = [str(run.folder) for run in two]
    done = CliRunner().invoke(app, ["compare", *folders, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    table = done.output.splitlines()
    assert max(map(len, table[:3])) <= 80
    assert "Common front: 3 networks." in done.output
    assert (tmp_path / "out" / "compare.png").stat().st_size > 1000
