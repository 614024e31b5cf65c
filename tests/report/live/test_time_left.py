"""Time left: the pace so far, with the epochs of running trials, and never a guess from nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.report.live.time_left import Pace, clock
from growsearch.trial.progress_file import TrialProgress


def _running(epoch: int, epochs: int = 10, **changes: object) -> TrialProgress:
    fields = {"id": "a", "phase": "training", "epoch": epoch, "epochs": epochs}
    return TrialProgress(**(fields | changes))


def _pace(**changes: object) -> Pace:
    fields = {"wanted": 10, "done": 0, "done_here": 0, "spent_s": 100.0}
    return Pace(**(fields | changes))


def test_finished_trials_alone_go_on_at_their_pace() -> None:
    # Four of ten in 100 s: six more take 150 s.
    left = _pace(done=4, done_here=4).left(0.0)
    assert left.seconds == 150.0
    assert left.basis == "4 trials in 1:40"


def test_trials_of_earlier_sessions_say_nothing_of_the_pace() -> None:
    # Two were here in 100 s, four before: four more take 200 s.
    assert _pace(done=6, done_here=2).left(0.0).seconds == 200.0


def test_epochs_of_running_trials_count_on_both_sides() -> None:
    # 1.5 trials in 100 s, 8.5 to go.
    left = _pace(done=1, done_here=1, running=(_running(5),)).left(0.0)
    assert left.seconds == pytest.approx(100 / 1.5 * 8.5)
    assert left.basis == "1.5 trials in 1:40"


def test_epochs_that_a_trial_had_behind_it_are_done_and_not_of_this_pace() -> None:
    # Half of it was there before; 0.3 trials in 100 s, and 9.2 to go.
    left = _pace(running=(_running(8, resumed_epoch=5),)).left(0.0)
    assert left.seconds == pytest.approx(100 / 0.3 * 9.2)


def test_the_last_trial_needs_its_own_rest_at_least() -> None:
    # Nine quick ones, and one that needs 80 s for each tenth of itself.
    slow = _running(1, started_at=1000.0, written_at=1080.0)
    left = _pace(done=9, done_here=9, running=(slow,)).left(1080.0)
    assert left.seconds == pytest.approx(80 / 0.1 * 0.9)


@pytest.mark.parametrize(
    ("pace", "words"),
    [
        (_pace(), "nothing has been trained yet"),
        (_pace(running=(_running(0, epochs=0),)), "nothing has been trained yet"),
        (_pace(wanted=None, done=4, done_here=4), "the study has no number of trials"),
    ],
)
def test_where_nothing_is_known_nothing_is_told(pace: Pace, words: str) -> None:
    assert pace.left(0.0).seconds is None
    assert pace.left(0.0).basis == words


def test_a_time_budget_ends_a_search_before_its_trials_do_and_not_after() -> None:
    short = _pace(done=4, done_here=4, budget_s=120.0).left(0.0)
    assert (short.seconds, short.basis) == (20.0, "its time budget")
    assert _pace(done=4, done_here=4, budget_s=9000.0).left(0.0).seconds == 150.0
    assert _pace(wanted=None, budget_s=120.0).left(0.0).seconds == 20.0
    assert _pace(done=10, done_here=10).left(0.0).seconds == 0.0


@given(
    done=st.integers(0, 20),
    here=st.integers(0, 20),
    spent=st.floats(0, 1e6),
    epochs=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20), st.integers(0, 40))),
)
def test_time_left_is_never_negative(
    done: int, here: int, spent: float, epochs: list[tuple[int, int, int]]
) -> None:
    running = tuple(_running(e, epochs=of, resumed_epoch=r) for e, of, r in epochs)
    pace = _pace(done=done, done_here=min(done, here), spent_s=spent, running=running)
    seconds = pace.left(0.0).seconds
    assert seconds is None or seconds >= 0


def test_a_clock_has_hours_where_there_are_some() -> None:
    assert [clock(s) for s in (0, 59.9, 60, 3599, 3600)] == [
        "0:00",
        "0:59",
        "1:00",
        "59:59",
        "1:00:00",
    ]
