import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.sparsity import Timetable


@pytest.mark.parametrize(
    ("steps", "interval", "spans"),
    [(20, 3, (3, 3, 3, 3, 3, 3, 2)), (20, 5, (5, 5, 5, 5)), (10, 10, (10,)), (4, 9, (4,))],
)
def test_the_masks_of_every_update_last_an_interval_and_the_last_ones_the_rest(
    steps, interval, spans
):
    timetable = Timetable(steps=steps, interval=interval)
    assert timetable.spans == spans
    assert timetable.updates == len(spans) - 1
    # As the steps are really counted.
    assert sum(timetable.is_due(step, 1.0) for step in range(1, steps + 1)) == timetable.updates


@given(steps=st.integers(1, 100_000), interval=st.integers(1, 400), data=st.data())
def test_an_update_is_found_by_its_progress(steps, interval, data):
    timetable = Timetable(steps=steps, interval=interval)
    assert sum(timetable.spans) == steps
    if timetable.updates:
        update = data.draw(st.integers(1, timetable.updates))
        # The loop divides step by step: the same number.
        assert timetable.update_at(update * interval / steps) == update


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.16, 0.99])
def test_a_progress_of_another_run_is_refused(progress):
    with pytest.raises(UsageError, match="the plan is for 20 steps and changes every 3"):
        Timetable(steps=20, interval=3).update_at(progress)


def test_masks_stop_changing_at_the_methods_share():
    timetable = Timetable(steps=20, interval=3)
    assert [step for step in range(1, 21) if timetable.is_due(step, 0.75)] == [3, 6, 9, 12]


@pytest.mark.parametrize("values", [{"steps": 0}, {"steps": 5, "interval": 0}])
def test_a_run_of_no_steps_is_refused(values):
    with pytest.raises(UsageError, match="is below 1 step"):
        Timetable(**values)
