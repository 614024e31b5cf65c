import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.training import Cosine, Recipe, Steps

SCHEDULES = {
    "cosine": Cosine(),
    "cosine to 10 %": Cosine(final_share=0.1),
    "steps": Steps(milestones=(3, 6, 8), factor=0.2),
}


def _rate(recipe, epoch):
    """The rate in the first step of ``epoch``, at 390 steps an epoch, as the loop computes it."""
    return recipe.learning_rate_at(epoch * 390 / (recipe.epochs * 390))


def test_half_way_a_cosine_is_in_the_middle_and_a_third_of_the_way_at_three_quarters():
    assert Cosine().share(0.0, epochs=10, warmup=0.0) == 1.0
    assert Cosine().share(1 / 3, epochs=10, warmup=0.0) == pytest.approx(0.75)
    assert Cosine().share(0.5, epochs=10, warmup=0.0) == pytest.approx(0.5)
    assert Cosine().share(1.0, epochs=10, warmup=0.0) == pytest.approx(0.0)


def test_a_cosine_ends_at_its_final_share():
    assert Cosine(final_share=0.1).share(0.5, epochs=1, warmup=0.0) == pytest.approx(0.55)
    assert Cosine(final_share=0.1).share(1.0, epochs=1, warmup=0.0) == pytest.approx(0.1)


def test_a_cosine_takes_what_warm_up_leaves():
    assert Cosine().share(0.2, epochs=10, warmup=0.2) == 1.0
    assert Cosine().share(0.6, epochs=10, warmup=0.2) == pytest.approx(0.5)


def test_steps_change_exactly_at_the_first_step_of_a_milestone():
    steps = Steps(milestones=(2, 3), factor=0.1)
    shares = [steps.share(step / 40, epochs=4, warmup=0.0) for step in range(40)]
    assert shares == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 10)


@given(epochs=st.integers(2, 400), steps_per_epoch=st.integers(1, 2000), data=st.data())
def test_rounding_never_moves_a_milestone_by_a_step(epochs, steps_per_epoch, data):
    milestone = data.draw(st.integers(1, epochs - 1))
    steps = Steps(milestones=(milestone,), factor=0.5)
    total, first = epochs * steps_per_epoch, milestone * steps_per_epoch
    assert steps.share((first - 1) / total, epochs=epochs, warmup=0.0) == 1.0
    assert steps.share(first / total, epochs=epochs, warmup=0.0) == 0.5


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_scaled_schedule_has_the_same_shares_at_the_same_progress(name):
    long = Recipe(epochs=10, schedule=SCHEDULES[name], warmup_epochs=0)
    short = long.scaled(5)
    for tenth in range(10):
        progress = tenth / 10 + 0.01
        assert short.learning_rate_at(progress) == pytest.approx(long.learning_rate_at(progress))


def test_scaling_back_and_forth_gives_the_same_milestones():
    recipe = Recipe(epochs=200, schedule=Steps(milestones=(60, 120, 160), factor=0.2))
    assert recipe.scaled(30).schedule == Steps(milestones=(9, 18, 24), factor=0.2)
    assert recipe.scaled(30).scaled(200) == recipe


@pytest.mark.parametrize("milestones", [(0, 3), (3, 10), (4, 3), (3, 3), (-1,)])
def test_milestones_outside_the_run_or_out_of_order_are_refused(milestones):
    with pytest.raises(UsageError, match=r"milestones: .* do not rise between 0 and 10 epochs"):
        Recipe(epochs=10, schedule=Steps(milestones=milestones, factor=0.1))


def test_a_factor_and_a_final_share_out_of_range_are_refused():
    with pytest.raises(UsageError, match="factor: 0"):
        Recipe(epochs=10, schedule=Steps(milestones=(5,), factor=0))
    with pytest.raises(UsageError, match=r"final_share: 1\.5"):
        Recipe(epochs=10, schedule=Cosine(final_share=1.5))


def test_the_default_warms_up_for_an_epoch_from_a_tenth_and_ends_at_nothing():
    recipe = Recipe(epochs=5)
    assert _rate(recipe, 0) == pytest.approx(0.01)
    assert _rate(recipe, 0.5) == pytest.approx(0.055)
    assert _rate(recipe, 1) == pytest.approx(0.1)
    assert _rate(recipe, 3) == pytest.approx(0.05)
    assert _rate(recipe, 4) == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 0.75)))
    assert _rate(recipe, 5) == pytest.approx(0.0)


def test_warm_up_takes_half_the_run_at_most():
    recipe = Recipe(epochs=2, warmup_epochs=5, warmup_start=0.0)
    assert _rate(recipe, 0) == 0.0
    assert _rate(recipe, 0.5) == pytest.approx(0.05)
    assert _rate(recipe, 1) == pytest.approx(0.1)
