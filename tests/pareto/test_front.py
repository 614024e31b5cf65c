"""A front holds what nothing dominates; its volume is counted by hand."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.pareto import Direction, Front, Point

# A busy machine is no failure.
PATIENT = settings(deadline=None)

DIRECTIONS: dict[str, Direction] = {"accuracy": "maximize", "latency": "minimize"}
# Few distinct values, so that ties and duplicates happen often.
VALUES = st.integers(0, 6).map(float)
POINTS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=25)
THREE: dict[str, Direction] = {"a": "maximize", "b": "minimize", "c": "minimize"}


def front_of(rows, directions=None) -> Front:
    directions = directions or DIRECTIONS
    return Front.of([dict(zip(directions, row, strict=True)) for row in rows], directions)


def dominates(one: Point, other: Point, directions) -> bool:
    signs = {"maximize": 1, "minimize": -1}
    gains = [signs[d] * (one.values[n] - other.values[n]) for n, d in directions.items()]
    return min(gains) >= 0 and max(gains) > 0


@PATIENT
@given(POINTS)
def test_a_front_is_never_dominated_and_leaves_out_only_what_is(rows):
    front = front_of(rows, THREE)
    members = {member.id for member in front.members}
    for point in front.points:
        beaten = any(dominates(other, point, THREE) for other in front.points)
        assert (point.id in members) == (not beaten)


@PATIENT
@given(POINTS)
def test_a_front_of_a_front_is_that_front(rows):
    front = front_of(rows, THREE)
    assert Front.of(front.members, THREE).members == front.members


@PATIENT
@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_change_the_front(rows, random):
    named = list(front_of(rows, THREE).points)
    shuffled = named.copy()
    random.shuffle(shuffled)
    assert Front.of(shuffled, THREE).to_json() == Front.of(named, THREE).to_json()


@PATIENT
@given(POINTS)
def test_fewer_objectives_keep_only_points_that_no_longer_lose(rows):
    front = front_of(rows, THREE)
    narrow = front.only(["a", "b"])
    assert set(narrow.directions) == {"a", "b"}
    assert len(narrow.points) == len(front.points)
    for one, other in itertools.permutations(narrow.members, 2):
        assert not dominates(one, other, narrow.directions)


def test_points_that_are_equal_everywhere_stay_together():
    front = front_of([(0.9, 1.0), (0.9, 1.0), (0.8, 2.0)])
    assert [member.id for member in front.members] == ["0", "1"]


def test_members_come_best_first_by_the_first_objective():
    front = front_of([(0.7, 1.0), (0.9, 3.0), (0.8, 2.0), (0.6, 4.0)])
    assert [member.values["accuracy"] for member in front.members] == [0.9, 0.8, 0.7]


def test_one_objective_keeps_all_of_its_best():
    front = Front.of([{"a": 2.0}, {"a": 3.0}, {"a": 3.0}], {"a": "maximize"})
    assert [member.id for member in front.members] == ["1", "2"]


def test_two_steps_cover_the_area_counted_by_hand():
    # Accuracy up from 0, latency down from 4: (2, 3) covers 2 x 1, (1, 1) covers 1 x 3, shared 1.
    front = front_of([(2.0, 3.0), (1.0, 1.0)])
    assert front.hypervolume({"accuracy": 0.0, "latency": 4.0}) == pytest.approx(2 + 3 - 1)


def test_three_objectives_cover_the_volume_counted_by_hand():
    # Boxes to the corner (0, 3, 3): 1 x 2 x 1 and 2 x 1 x 2, sharing 1 x 1 x 1.
    front = front_of([(1.0, 1.0, 2.0), (2.0, 2.0, 1.0)], THREE)
    assert front.hypervolume({"a": 0.0, "b": 3.0, "c": 3.0}) == pytest.approx(2 + 4 - 1)


def test_a_member_outside_the_reference_adds_nothing():
    front = front_of([(2.0, 3.0), (9.0, 5.0)])
    assert front.hypervolume({"accuracy": 0.0, "latency": 4.0}) == pytest.approx(2.0)


def test_the_default_reference_is_the_worst_of_all_points():
    front = front_of([(2.0, 3.0), (1.0, 1.0), (0.0, 4.0)])
    assert front.nadir() == {"accuracy": 0.0, "latency": 4.0}
    assert front.hypervolume() == pytest.approx(4.0)


def test_an_empty_front_has_no_volume():
    assert Front.of([], DIRECTIONS).hypervolume() == 0.0
    assert len(Front.of([], DIRECTIONS)) == 0


@PATIENT
@given(POINTS, st.tuples(VALUES, VALUES, VALUES))
def test_one_more_point_never_lowers_the_volume(rows, extra):
    reference = {"a": -1.0, "b": 7.0, "c": 7.0}
    before = front_of(rows, THREE).hypervolume(reference)
    after = front_of([*rows, extra], THREE).hypervolume(reference)
    assert after >= before - 1e-9


@PATIENT
@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=6))
def test_the_volume_is_the_number_of_unit_cells_that_something_dominates(rows):
    cells = itertools.product(range(7), repeat=3)
    # Cell (i, j, k) lies between i and i + 1 of the gain in each objective, from the corner.
    gains = [(a + 1, 7 - b, 7 - c) for a, b, c in rows]
    count = sum(
        any(all(g > c for g, c in zip(gain, cell, strict=True)) for gain in gains) for cell in cells
    )
    volume = front_of(rows, THREE).hypervolume({"a": -1.0, "b": 7.0, "c": 7.0})
    assert volume == pytest.approx(count)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Front.of([], {}), "at least one"),
        (lambda: Front.of([], {"a": "up"}), "minimize or maximize"),
        (lambda: Front.of([{"b": 1.0}], {"a": "minimize"}), "a = None"),
        (lambda: Front.of([{"a": math.nan}], {"a": "minimize"}), "not a finite number"),
        (lambda: front_of([(1.0, 1.0)]).only(["macs"]), "accuracy, latency"),
        (lambda: front_of([(1.0, 1.0)]).hypervolume({"accuracy": 0.0}), "'latency' is missing"),
        (
            lambda: front_of([(1.0, 1.0)]).hypervolume({"accuracy": 0.0, "latency": math.inf}),
            "latency = inf",
        ),
    ],
)
def test_a_wrong_question_is_answered_with_its_reason(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_the_hypervolume_is_a_share_of_the_box_between_reference_and_ideal():
    directions: dict[str, Direction] = {"accuracy": "maximize", "latency": "minimize"}
    points = [
        {"accuracy": 0.6, "latency": 1.0},
        {"accuracy": 0.8, "latency": 2.0},
        {"accuracy": 0.9, "latency": 4.0},
    ]
    front = Front.of(points, directions)
    # The box from (0.6, 4) to (0.9, 1) has 0.3 x 3, of which the middle one covers 0.2 x 2.
    assert front.ideal() == {"accuracy": 0.9, "latency": 1.0}
    assert front.hypervolume_share() == pytest.approx(0.4 / 0.9)
    # From a reference beyond all: 0.6 x 1 + 0.2 x ... of 0.9 x 4, counted in strips of latency.
    far = {"accuracy": 0.0, "latency": 5.0}
    covered = 0.6 * (5 - 1) + (0.8 - 0.6) * (5 - 2) + (0.9 - 0.8) * (5 - 4)
    assert front.hypervolume_share(far) == pytest.approx(covered / (0.9 * 4))
    alone = Front.of(points[:1], directions)
    assert alone.hypervolume_share() is None
    assert alone.hypervolume_share(far) == pytest.approx(1.0)
    assert Front.of([], directions).hypervolume_share() is None
