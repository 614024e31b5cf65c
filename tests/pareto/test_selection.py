"""One network inside the bounds, what each bound costs, and the nearest miss."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.pareto import PREFERENCES, Bound, Direction, Front, Point

# A busy machine is no failure.
PATIENT = settings(deadline=None)

DIRECTIONS: dict[str, Direction] = {"accuracy": "maximize", "latency": "minimize"}


def point(name: str, accuracy: float, latency: float, parameters: float = 0.0) -> Point:
    values = {"accuracy": accuracy, "latency": latency, "parameters": parameters}
    return Point(id=name, values=values)


SLOW, MIDDLE, FAST = (
    point("slow", 0.9, 4, 10),
    point("middle", 0.8, 2, 20),
    point("fast", 0.6, 1, 40),
)
POOR = point("poor", 0.75, 3, 5)
FRONT = Front.of([FAST, POOR, SLOW, MIDDLE], DIRECTIONS)


def at_most(objective: str, value: float) -> Bound:
    return Bound(objective=objective, sense="max", value=value)


def test_without_bounds_the_most_accurate_is_chosen():
    selection = FRONT.select()
    assert (selection.chosen, selection.runner_up) == (SLOW, MIDDLE)
    assert selection.costs == ()


def test_a_bound_is_met_by_a_value_that_equals_it():
    assert FRONT.select({"latency": 2.0}).chosen == MIDDLE


def test_the_runner_up_is_a_front_member_where_one_fits():
    # "poor" is next in accuracy below "middle" within 3, but "fast" is on the front.
    assert FRONT.select({"latency": 3.0}).runner_up == FAST


def test_the_runner_up_is_any_point_where_no_other_member_fits():
    selection = FRONT.select(
        [at_most("latency", 3), Bound(objective="accuracy", sense="min", value=0.7)]
    )
    assert (selection.chosen, selection.runner_up) == (MIDDLE, POOR)


def test_a_bound_that_binds_says_what_dropping_and_what_loosening_it_would_gain():
    (cost,) = FRONT.select({"latency": 1.5}).costs
    assert cost.binds
    assert (cost.alternative, cost.gain) == (SLOW, pytest.approx(0.3))
    assert (cost.step, cost.step_gain) == (MIDDLE, pytest.approx(0.2))


def test_a_bound_that_does_not_bind_costs_nothing():
    (cost,) = FRONT.select({"latency": 10.0}).costs
    assert not cost.binds
    assert (cost.step, cost.gain, cost.step_gain) == (None, 0.0, 0.0)


def test_each_of_two_bounds_is_priced_with_the_other_in_force():
    selection = FRONT.select([at_most("latency", 3), at_most("parameters", 10)])
    assert selection.chosen == POOR
    latency, parameters = selection.costs
    assert (latency.alternative, parameters.alternative) == (SLOW, MIDDLE)
    assert latency.gain == pytest.approx(0.15)
    assert parameters.gain == pytest.approx(0.05)


def test_a_mapping_bounds_maximised_objectives_from_below():
    assert FRONT.select({"accuracy": 0.7}, prefer="knee").chosen == MIDDLE
    assert FRONT.select({"accuracy": 0.85, "latency": 9.0}).chosen == SLOW


def test_the_knee_is_nearest_to_the_best_of_every_objective():
    # Scaled to the front, "middle" is at (1/3, 1/3) from the ideal; both ends are at 1.
    assert FRONT.select(prefer="knee").chosen == MIDDLE


def test_hypervolume_takes_what_dominates_most_of_the_fronts_box():
    # Boxes (1 - gap in accuracy)(1 - gap in latency): both ends are empty, "middle" has 2/3 x 2/3.
    assert FRONT.select(prefer="hypervolume").chosen == MIDDLE
    # Of those within 1.5 only the empty one is left.
    assert FRONT.select({"latency": 1.5}, prefer="hypervolume").chosen == FAST


def test_weights_say_what_a_width_of_the_front_is_worth():
    # Sums: slow 0 + 1 w, middle 1/3 + w/3, fast 1 + 0; they are equal at w = 1/2 and w = 2.
    for weight, best in ((0.4, SLOW), (0.6, MIDDLE), (1.9, MIDDLE), (2.1, FAST)):
        chosen = FRONT.select(prefer="weights", weights={"latency": weight}).chosen
        assert chosen == best
        # What is not named weighs 1, and only ratios count.
        doubled = {"accuracy": 2.0, "latency": 2 * weight}
        assert FRONT.select(prefer="weights", weights=doubled).chosen == best


def uncertain(name: str, accuracy: float, latency: float, spread: float) -> Point:
    values = {"accuracy": accuracy, "latency": latency}
    return Point(id=name, values=values, spread={"latency": spread})


NOISY, CALM = uncertain("noisy", 0.9, 1.9, 0.1), uncertain("calm", 0.8, 1.5, 0.1)
UNSURE = Front.of([NOISY, CALM], DIRECTIONS)


def test_the_likelihood_of_a_choice_is_that_of_a_normal_latency_below_its_bound():
    # One standard deviation below the bound.
    selection = UNSURE.select({"latency": 2.0})
    assert selection.chosen == NOISY
    assert selection.likelihood == pytest.approx(0.841345, abs=1e-6)
    both = [at_most("latency", 2.0), Bound(objective="latency", sense="min", value=1.8)]
    assert UNSURE.select(both).likelihood == pytest.approx(0.682689, abs=1e-6)


def test_a_confidence_leaves_out_what_only_probably_fits():
    for confidence, chosen in ((0.8, NOISY), (0.9, CALM), (0.999999, CALM)):
        assert UNSURE.select({"latency": 2.0}, confidence=confidence).chosen == chosen
    selection = UNSURE.select({"latency": 1.55}, confidence=0.9)
    assert selection.chosen is None
    # Its value fits; it is only not sure enough.
    assert (selection.nearest, dict(selection.misses)) == (CALM, {})
    assert selection.likelihood == pytest.approx(0.691462, abs=1e-6)


def test_values_without_spread_are_certain():
    assert FRONT.select({"latency": 2.0}, confidence=0.999).chosen == MIDDLE
    assert FRONT.select({"latency": 2.0}).likelihood == 1.0
    # What equals a bound is inside it, from above and from below.
    at = [at_most("latency", 2.0), Bound(objective="latency", sense="min", value=2.0)]
    assert FRONT.select(at).likelihood == 1.0


def test_nothing_fits_names_the_nearest_miss_and_by_how_much():
    selection = FRONT.select([at_most("latency", 0.5), at_most("parameters", 50)])
    assert selection.chosen is None
    assert selection.nearest == FAST
    assert selection.misses == {"latency": pytest.approx(1.0)}


def test_of_equally_near_misses_the_likeliest_is_named():
    # Both are 0.5 above the bound of 2: what may be off by more may be below it sooner.
    sure, unsure = uncertain("a-sure", 0.9, 2.5, 0.1), uncertain("b-unsure", 0.8, 2.5, 0.5)
    for points in ([sure, unsure], [unsure, sure]):
        selection = Front.of(points, DIRECTIONS).select({"latency": 2.0})
        assert (selection.chosen, selection.nearest) == (None, unsure)
        # One standard deviation above it.
        assert selection.likelihood == pytest.approx(0.158655, abs=1e-6)
        assert selection.misses == {"latency": pytest.approx(0.25)}


def test_of_what_fits_by_its_values_and_is_not_sure_enough_the_likeliest_is_named():
    # None misses: 1, 2 and 1.5 standard deviations below the bound, none as sure as asked for.
    points = [
        uncertain("a", 0.9, 1.9, 0.1),
        uncertain("b", 0.7, 1.8, 0.1),
        uncertain("c", 0.8, 1.85, 0.1),
    ]
    selection = Front.of(points, DIRECTIONS).select({"latency": 2.0}, confidence=0.999)
    assert (selection.chosen, selection.nearest) == (None, points[1])
    assert dict(selection.misses) == {}
    assert selection.likelihood == pytest.approx(0.977250, abs=1e-6)


def test_nearer_comes_before_likelier_and_equal_likelihoods_go_by_id():
    near, likely = uncertain("a", 0.9, 2.1, 0.01), uncertain("b", 0.9, 2.2, 9.0)
    assert Front.of([likely, near], DIRECTIONS).select({"latency": 2.0}).nearest == near
    twins = [uncertain(name, 0.9, 2.5, 0.1) for name in "cab"]
    assert Front.of(twins, DIRECTIONS).select({"latency": 2.0}).nearest == twins[1]


def test_equal_points_are_chosen_by_id_and_not_by_order():
    twins = [point("b", 0.9, 1), point("a", 0.9, 1)]
    for order in (twins, twins[::-1]):
        selection = Front.of(order, DIRECTIONS).select()
        assert (selection.chosen.id, selection.runner_up.id) == ("a", "b")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: FRONT.select({"energy": 1.0}), "it has: accuracy, latency, parameters"),
        (lambda: FRONT.select(prefer="best"), "valid: accuracy, knee"),
        (lambda: FRONT.select(prefer="weights"), "at least one --weight"),
        (lambda: FRONT.select(weights={"latency": 1.0}), "goes with --prefer weights"),
        (lambda: FRONT.select(prefer="weights", weights={"energy": 1.0}), "no objective"),
        (lambda: FRONT.select(prefer="weights", weights={"latency": -1.0}), "at least 0"),
        (lambda: FRONT.select(confidence=1.0), "between 0 and 1"),
        (lambda: FRONT.select(confidence=0.0), "between 0 and 1"),
        (lambda: FRONT.select(confidence=-0.1), "between 0 and 1"),
        (lambda: Front.of([], DIRECTIONS).select(), "no finished trial"),
    ],
)
def test_a_wrong_question_is_answered_with_its_reason(call, words):
    with pytest.raises(UsageError, match=words):
        call()


VALUES = st.integers(0, 8).map(float)
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=15)


def front_of(rows) -> Front:
    return Front.of([point(f"p{i:02}", *row) for i, row in enumerate(rows)], DIRECTIONS)


@PATIENT
@given(ROWS, VALUES, VALUES, st.sampled_from(sorted(PREFERENCES)))
def test_a_choice_meets_every_bound_and_nothing_that_meets_them_dominates_it(
    rows, latency, accuracy, prefer
):
    front = front_of(rows)
    bounds = [at_most("latency", latency), Bound(objective="accuracy", sense="min", value=accuracy)]
    weights = {"latency": 0.5} if prefer == "weights" else None
    selection = front.select(bounds, prefer, weights=weights)
    fits = [p for p in front.points if all(b.missed_by(p) == 0 for b in bounds)]
    assert (selection.chosen is None) == (not fits)
    if selection.chosen is not None:
        assert selection.chosen in fits
        assert selection.chosen in front.members


@PATIENT
@given(ROWS, VALUES, VALUES)
def test_dropping_a_bound_never_costs_accuracy_and_its_price_can_be_had(rows, latency, parameters):
    front = front_of(rows)
    bounds = [at_most("latency", latency), at_most("parameters", parameters)]
    selection = front.select(bounds)
    assume(selection.chosen is not None)
    for cost, kept in zip(selection.costs, reversed(bounds), strict=True):
        free = front.select([kept]).chosen
        assert cost.alternative == free
        assert cost.gain == pytest.approx(
            free.values["accuracy"] - selection.chosen.values["accuracy"]
        )
        assert 0 <= cost.step_gain <= cost.gain
        if cost.step is not None:
            loosened = at_most(cost.bound.objective, cost.step.values[cost.bound.objective])
            assert front.select([loosened, kept]).chosen != selection.chosen


@PATIENT
@given(ROWS, st.integers(1, 8))
def test_the_nearest_miss_is_a_choice_once_the_bounds_are_loosened_by_its_excess(rows, latency):
    front = front_of([(a, t + 9, p) for a, t, p in rows])
    selection = front.select([at_most("latency", float(latency))])
    assert selection.chosen is None
    enough = latency * (1 + selection.misses["latency"]) + 1e-9
    assert front.select([at_most("latency", enough)]).chosen is not None
