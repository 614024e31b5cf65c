import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.search.fidelity.mo_asha import (
    MultiObjectiveAsha,
    Promotion,
    RungRecord,
    pareto_ranks,
    rank_contributions,
    rung_steps,
)

DIRECTIONS = {"accuracy": "maximize", "macs": "minimize"}


def _record(trial: str, steps: int, accuracy: float, macs: float) -> RungRecord:
    return RungRecord(trial=trial, steps=steps, values={"accuracy": accuracy, "macs": macs})


def _asha(*records: RungRecord, eta: int = 2, seed: int = 0) -> MultiObjectiveAsha:
    return MultiObjectiveAsha.rebuilt(DIRECTIONS, (1, 3, 9), records, eta=eta, seed=seed)


@pytest.mark.parametrize(
    ("first", "most", "eta", "steps"),
    [(1, 9, 3, (1, 3, 9)), (1, 10, 3, (1, 3, 9, 10)), (5, 5, 2, (5,)), (2, 15, 2, (2, 4, 8, 15))],
)
def test_rungs_grow_by_eta_and_end_at_the_most(
    first: int, most: int, eta: int, steps: tuple[int, ...]
) -> None:
    assert rung_steps(first, most, eta) == steps


@pytest.mark.parametrize(("first", "most", "eta"), [(0, 9, 3), (10, 9, 3), (1, 9, 1)])
def test_rungs_that_lead_nowhere_are_refused(first: int, most: int, eta: int) -> None:
    with pytest.raises(UsageError, match=r"first =|eta ="):
        rung_steps(first, most, eta)


def test_ranks_are_those_of_a_drawn_staircase() -> None:
    # (1,4) (2,2) (4,1) are a front; (3,3) is behind (2,2); (4,4) behind (3,3).
    values = np.array([[1, 4], [4, 4], [2, 2], [3, 3], [4, 1]], dtype=float)
    assert pareto_ranks(values).tolist() == [0, 2, 0, 1, 0]
    assert pareto_ranks(np.array([[3.0], [1.0], [3.0]])).tolist() == [1, 0, 1]


def test_contributions_are_the_rectangles_that_only_one_trial_covers() -> None:
    # Ranges 0..10 in both; the reference is (11, 11), scaled by 10.
    values = np.array([[0, 10], [4, 4], [10, 0]], dtype=float)
    found = rank_contributions(values, np.zeros(3, dtype=np.intp))
    assert found == pytest.approx([4 * 1 / 100, 6 * 6 / 100, 1 * 4 / 100])


def test_a_rung_is_ordered_by_rank_and_then_by_contribution() -> None:
    asha = _asha(
        _record("cheap", 1, 0.10, 0),
        _record("knee", 1, 0.70, 40),
        _record("good", 1, 0.90, 100),
        _record("behind the knee", 1, 0.65, 50),
        _record("worst", 1, 0.05, 110),
    )
    assert asha.ranking(0)[0] == "knee"
    assert set(asha.ranking(0)[1:3]) == {"cheap", "good"}
    assert asha.ranking(0)[3:] == ("behind the knee", "worst")


def test_the_best_of_every_eta_trials_is_promoted_once_and_higher_rungs_first() -> None:
    asha = _asha()
    assert asha.next_promotion() is None
    asha.record(_record("a", 1, 0.5, 10))
    assert asha.next_promotion() is None
    asha.record(_record("b", 1, 0.6, 5))
    # b dominates a; one of two is promoted, and only once.
    assert asha.next_promotion() == Promotion(trial="b", steps=3)
    assert asha.next_promotion() is None
    asha.record(_record("c", 1, 0.7, 4))
    asha.record(_record("d", 1, 0.4, 20))
    # Now two of four: c and b, and b has gone up already.
    assert asha.next_promotion() == Promotion(trial="c", steps=3)
    asha.record(_record("b", 3, 0.8, 5))
    asha.record(_record("c", 3, 0.75, 6))
    asha.record(_record("e", 1, 0.9, 1))
    asha.record(_record("f", 1, 0.3, 30))
    # Rung 3 steps has two trials, so that b may go on; that comes before e on the lowest rung.
    assert asha.next_promotion() == Promotion(trial="b", steps=9)
    assert asha.next_promotion() == Promotion(trial="e", steps=3)
    assert asha.next_promotion() is None


def test_a_trial_on_the_last_rung_has_nowhere_to_go() -> None:
    asha = _asha(_record("a", 9, 0.5, 10), _record("b", 9, 0.6, 5))
    assert asha.next_promotion() is None


def test_rebuilt_from_records_it_knows_who_went_up_already() -> None:
    records = [
        _record("a", 1, 0.5, 10),
        _record("b", 1, 0.6, 5),
        _record("b", 3, 0.7, 5),
    ]
    assert _asha(*records).next_promotion() is None
    # A promotion that was given and never came to its end is given again.
    assert _asha(*records[:2]).next_promotion() == Promotion(trial="b", steps=3)


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_records_does_not_matter_and_no_trial_precedes_its_dominator(
    values: list[tuple[int, int]], order: object
) -> None:
    records = [_record(f"t{i}", 1, float(a), float(m)) for i, (a, m) in enumerate(values)]
    shuffled = list(records)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    ranking = _asha(*records).ranking(0)
    assert ranking == _asha(*shuffled).ranking(0)
    known = {record.trial: record.values for record in records}
    for place, late in enumerate(ranking):
        for early in ranking[:place]:
            assert not (
                known[late]["accuracy"] >= known[early]["accuracy"]
                and known[late]["macs"] <= known[early]["macs"]
                and known[late] != known[early]
            )


def test_equal_trials_are_drawn_by_lot_and_the_seed_decides() -> None:
    records = [_record(f"t{i}", 1, 0.5, 5) for i in range(8)]
    rankings = {_asha(*records, seed=seed).ranking(0) for seed in range(6)}
    assert len(rankings) > 1
    assert _asha(*records, seed=1).ranking(0) == _asha(*records, seed=1).ranking(0)


def test_steps_that_are_no_rung_and_values_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match=r"steps = 2 is no rung; rungs: 1, 3, 9"):
        _asha(_record("a", 2, 0.5, 1))
    with pytest.raises(UsageError, match=r"trial a: .* is not finite"):
        _asha(_record("a", 1, math.nan, 1))
    with pytest.raises(UsageError, match=r"trial a: .* is not finite"):
        _asha(RungRecord(trial="a", steps=1, values={"accuracy": 0.5}))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_a_trial_goes_on_exactly_where_the_ranking_has_it_among_the_best(
    values: list[tuple[int, int]],
) -> None:
    asha = MultiObjectiveAsha({"a": "minimize", "b": "minimize"}, (1, 3), eta=3, seed=4)
    for index, (first, second) in enumerate(values):
        record = RungRecord(trial=f"t{index:02d}", steps=1, values={"a": first, "b": second})
        goes_on = asha.goes_on(record)
        assert goes_on == (index + 1 < 3 or record.trial in asha.best(0))
