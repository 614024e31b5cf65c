"""MACs of a run that gets sparser: their mean, their fall and the weights that do them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.sparsity import Connections, CubicSchedule, MacSchedule, Timetable, make_updater
from growsearch.sparsity.dynamic.mac_schedule import kept_at_macs, most_first, plan_macs

SHAPE = CubicSchedule(final=0.5)


def test_a_plan_by_hand():
    """Eight steps, an update every two: the initial masks and three more, two steps each."""
    timetable = Timetable(steps=8, interval=2)
    plan = plan_macs(timetable, SHAPE, first=64, total=8 * 30, macs_per_weight={"a": 1})
    # Updates at 1/4, 1/2 and 3/4 of the run; the cubic ends at 1/2: (1 - 1/2)^3 = 1/8 is to go.
    # 2 (64 + [last + (64 - last) / 8] + last + last) = 240, so that last = 16.7 and the first
    # update has 22.6. Rounded down they miss 4 of 240: one unit each for two updates.
    assert plan.macs == (64, 23, 17, 16)
    assert plan.total == 240


@settings(max_examples=80, deadline=None)
@given(
    steps=st.integers(20, 5000),
    interval=st.integers(1, 100),
    mean=st.integers(3_000, 400_000),
    denser=st.floats(1.0, 4.0),
    unit=st.sampled_from([1, 4, 9, 49]),
)
def test_the_mean_is_met_to_half_a_weight_of_one_interval_and_macs_never_rise(
    steps, interval, mean, denser, unit
):
    timetable = Timetable(steps=steps, interval=min(interval, steps // 10))
    costs = {"late": unit, "early": 4 * unit}
    first = -(-int(mean * denser) // unit) * unit
    if first > most_first(timetable, SHAPE, total=mean * steps, last=6 * unit):
        return
    plan = plan_macs(timetable, SHAPE, first=first, total=mean * steps, macs_per_weight=costs)
    assert all(a >= b for a, b in zip(plan.macs, plan.macs[1:], strict=False))
    assert all(macs % unit == 0 for macs in plan.macs)
    if plan.macs[1] < plan.macs[0]:
        assert abs(plan.total - mean * steps) <= unit * timetable.interval / 2


def test_the_densest_start_ends_where_it_was_said():
    timetable = Timetable(steps=1000, interval=100)
    first = most_first(timetable, SHAPE, total=1000 * 1000, last=250)
    plan = plan_macs(
        timetable, SHAPE, first=int(first), total=1000 * 1000, macs_per_weight={"a": 1}
    )
    assert plan.macs[-1] == pytest.approx(250, abs=1.5)


@pytest.mark.parametrize(
    ("first", "steps", "message"),
    [(100_000, 100, "start sparser"), (900, 100, "start denser"), (2000, 10, "no mask update")],
)
def test_a_mean_that_cannot_be_met_is_refused(first, steps, message):
    with pytest.raises(UsageError, match=message):
        plan_macs(
            Timetable(steps=steps, interval=10),
            SHAPE,
            first=first,
            total=1000 * steps,
            macs_per_weight={"a": 1},
        )


def test_the_largest_weights_stay_whatever_their_layer_and_their_macs_are_exact():
    scores = {"early": torch.tensor([9.0, 7, 5, 3]), "late": torch.tensor([8.0, 6, 4, 2])}
    costs = {"early": 4, "late": 1}
    # 9, 8, 7 make 9 MACs; 6 makes 10 and 5 would make 14.
    assert kept_at_macs(scores, costs, 10) == {"early": 2, "late": 2}
    # 11 and 12: the late layer makes up what an early weight is too dear for.
    assert kept_at_macs(scores, costs, 11) == {"early": 2, "late": 3}
    assert kept_at_macs(scores, costs, 12) == {"early": 2, "late": 4}
    # 13 are out of reach that way: three early ones and one late one.
    assert kept_at_macs(scores, costs, 13) == {"early": 3, "late": 1}


def test_no_layer_loses_its_last_weight():
    scores = {"small": torch.tensor([0.1, 0.2]), "large": torch.tensor([5.0, 6, 7])}
    assert kept_at_macs(scores, {"small": 1, "large": 1}, 3) == {"small": 1, "large": 2}


@pytest.mark.parametrize("name", ["granet", "gmp"])
def test_an_updater_keeps_the_macs_of_its_plan(name):
    timetable = Timetable(steps=40, interval=4)
    costs = {"early": 16, "late": 4}
    plan = plan_macs(timetable, SHAPE, first=64 * 20, total=40 * 500, macs_per_weight=costs)
    updater = make_updater(name, schedule=plan)
    assert updater.planned_for == timetable
    generator = torch.Generator().manual_seed(0)
    masks = {key: torch.ones(64, dtype=torch.bool) for key in costs}
    for update in range(1, timetable.updates + 1):
        layers = {
            key: Connections(
                weight=torch.randn(64, generator=generator) * mask,
                gradient=torch.randn(64, generator=generator),
                mask=mask,
            )
            for key, mask in masks.items()
        }
        masks = updater.update(layers, timetable.progress(update), generator)
        assert sum(costs[key] * int(mask.sum()) for key, mask in masks.items()) == plan.macs[update]


def test_a_plan_says_when_it_is_asked_about_another_run():
    plan = MacSchedule(
        timetable=Timetable(steps=9, interval=3), macs=(4, 3, 2), macs_per_weight={"a": 1}
    )
    with pytest.raises(UsageError, match="the plan is for 9 steps"):
        plan.kept({"a": torch.ones(4)}, 0.5)
