"""Networks that the validation examples do not tell apart: the cheapest, or the highest."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.pareto import Bound, Direction, Front, Point

DIRECTIONS: dict[str, Direction] = {"accuracy": "maximize", "latency": "minimize"}


def point(name: str, right: int, latency: float, noise: float = 0.0, of: int = 100) -> Point:
    values = {"accuracy": right / of, "latency": latency}
    return Point(id=name, values=values, noise={"latency": noise} if noise else {})


def front(*points: Point, examples: int | None = 100) -> Front:
    return dataclasses.replace(Front.of(points, DIRECTIONS), examples=examples)


# The standard error of 90 of 100 is 3 examples.
BEST, NEAR, CHEAP, FAR = (
    point("best", 90, 8.0),
    point("near", 88, 4.0),
    point("cheap", 87, 2.0),
    point("far", 86, 1.0),
)
FOUR = front(BEST, NEAR, CHEAP, FAR)


def test_few_examples_give_the_cheapest_within_one_standard_error():
    for ties in (None, "auto", "cheapest"):
        found = FOUR.select([], ties=ties)
        assert found.chosen == CHEAP
        assert found.ties.best == BEST
        assert found.ties.tied == (BEST, NEAR, CHEAP)
        assert found.ties.applied


def test_the_highest_is_taken_where_it_is_asked_for_and_the_cheapest_is_told():
    found = FOUR.select([], ties="highest")
    assert (found.chosen, found.ties.cheapest, found.ties.applied) == (BEST, CHEAP, False)


def test_many_examples_give_the_highest_by_themselves():
    many = front(point("best", 90_000, 8, of=100_000), point("cheap", 89_990, 1, of=100_000))
    many = dataclasses.replace(many, examples=100_000)
    assert many.select().chosen.id == "best"
    assert many.select([], ties="cheapest").chosen.id == "cheap"


def test_a_bound_costs_what_the_rule_would_take_without_it_though_it_does_not_apply_inside():
    # Of 20,000 examples the interval is narrower than a point at 5 %, and wider at 50 %.
    of = 20_000
    poor, best, cheap = (
        point("poor", 1_000, 1, of=of),
        point("best", 10_000, 8, of=of),
        point("cheap", 9_990, 4, of=of),
    )
    many = dataclasses.replace(front(poor, best, cheap), examples=of)
    found = many.select({"latency": 2})
    assert (found.chosen, found.ties.applied) == (poor, False)
    assert many.select([]).chosen == cheap
    (cost,) = found.costs
    assert cost.alternative == cheap


def test_without_known_examples_the_highest_is_taken():
    bare = front(BEST, CHEAP, examples=None)
    assert bare.select().chosen == BEST
    assert bare.select().ties is None
    with pytest.raises(UsageError, match="how many validation examples it was judged on is not"):
        bare.select([], ties="cheapest")


def test_bounds_come_first():
    # Inside 4 the highest is 88; its error is 3.2 examples, and 86 are within it.
    assert FOUR.select({"latency": 4.0}).chosen == FAR
    assert FOUR.select([Bound(objective="accuracy", sense="min", value=0.88)]).chosen == NEAR


def test_latencies_that_are_not_told_apart_are_no_reason_to_give_up_accuracy():
    noisy = front(point("best", 90, 1.00, 0.03), point("cheap", 89, 0.97, 0.03))
    # 1.96 sqrt(2) x 0.03 = 0.083
    assert noisy.select().chosen.id == "best"
    quiet = front(point("best", 90, 1.00, 0.01), point("cheap", 89, 0.97, 0.01))
    assert quiet.select().chosen.id == "cheap"


def test_a_bound_says_what_the_choice_by_ties_would_be_without_it():
    found = FOUR.select([Bound(objective="accuracy", sense="min", value=0.88)])
    (cost,) = found.costs
    assert (found.chosen, cost.alternative) == (NEAR, CHEAP)
    assert (cost.step, cost.step_choice) == (CHEAP, CHEAP)
    assert cost.gain == pytest.approx(-0.01)
    # A looser bound that admits only dearer networks of the same accuracy changes nothing.
    (cost,) = front(NEAR, CHEAP, point("dear", 88, 9.0)).select({"latency": 4.0}).costs
    assert (cost.binds, cost.gain) == (False, 0.0)


def test_a_looser_bound_may_raise_the_bar_for_those_inside_already():
    # With "best" inside, "cheap" is too far behind, and "middle" is the cheapest near it.
    best, middle, cheap = point("best", 96, 9.0), point("middle", 95, 5.0), point("cheap", 93, 1.0)
    found = front(best, middle, cheap).select({"latency": 6.0})
    assert found.chosen == cheap
    (cost,) = found.costs
    assert (cost.step, cost.step_choice) == (best, middle)
    assert cost.step_gain == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: FOUR.select([], ties="lowest"), "--ties: unknown 'lowest'; valid: auto, cheapest"),
        (lambda: FOUR.select(prefer="knee", ties="cheapest"), "goes with --prefer accuracy"),
        (
            lambda: front(BEST, CHEAP).only(["accuracy"]).select([], ties="cheapest"),
            "no objective is a cost",
        ),
        (
            lambda: front(BEST, CHEAP).only(["latency", "accuracy"]).select([], ties="cheapest"),
            "the first objective is latency",
        ),
    ],
)
def test_ties_that_cannot_be_broken_are_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        asked()


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(60, 100), st.integers(1, 9), st.sampled_from([0.0, 0.1, 1.0])),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 10),
)
def test_the_rule_gives_up_at_most_one_standard_error_and_never_costs_more(values, most):
    points = [point(f"p{i}", a, c, noise) for i, (a, c, noise) in enumerate(values)]
    some = front(*points)
    highest, found = (some.select({"latency": most}, ties=t) for t in ("highest", "cheapest"))
    if highest.chosen is None:
        assert found.chosen is None
        return
    best, taken = highest.chosen.values, found.chosen.values
    error = max((best["accuracy"] * (1 - best["accuracy"]) / 100) ** 0.5, 0.01)
    assert best["accuracy"] - taken["accuracy"] <= error + 1e-9
    assert taken["latency"] <= best["latency"]
    assert found.chosen in some.members
    (cost,) = found.costs
    # What is said of the bound is what would be chosen.
    assert some.select([], ties="cheapest").chosen == cost.alternative
    assert cost.binds == (cost.alternative is not found.chosen)
    if cost.step is not None:
        loose = some.select({"latency": cost.step.values["latency"]}, ties="cheapest")
        assert loose.chosen == cost.step_choice
