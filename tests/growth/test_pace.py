"""Pace: a growing run spends what uniform widths spend, and its rate follows what is spent."""

import pytest
import torch

from growsearch.datasets import from_tensors
from growsearch.growth import Budget, GrowthConfig, grow, train_fixed, uniform_architecture
from growsearch.training import Cosine, Hook, Recipe, Steps, TrainingOptions
from search_spaces import search_space

LATE = Recipe(
    epochs=10,
    batch_size=20,
    learning_rate=0.1,
    warmup_epochs=0,
    schedule=Steps(milestones=(7.0, 9.0), factor=0.1),
)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(240, 1, 4, 4, generator=generator)
    return from_tensors(inputs, torch.arange(240) % 3)


@pytest.fixture(scope="module")
def space(data):
    return search_space("mlp-digits").for_data(data.input_shape, data.num_classes)


class Rates(Hook):
    def __init__(self):
        self.at = []

    def after_update(self, state):
        rate = state.optimizer.param_groups[0]["lr"]
        self.at.append((state.epoch, rate, state.training_macs))


def watched(space, data, **settings):
    rates = Rates()
    result = grow(
        space,
        data,
        budget=Budget(macs=0.4),
        config=GrowthConfig(recipe=settings.pop("recipe", LATE), **settings),
        options=TrainingOptions(hooks=(rates,)),
    )
    return result, rates.at


@pytest.mark.parametrize("policy", ["planned", "random-order", "learned"])
def test_a_matched_run_spends_the_training_macs_of_uniform_widths(space, data, policy):
    result, steps = watched(space, data, policy=policy)
    uniform = train_fixed(
        space, data, uniform_architecture(space, Budget(macs=0.4)), recipe=LATE, seed=0
    )
    # Uniform widths are rounded down; a step of the last epochs is the least that there is.
    assert result.training_macs == pytest.approx(uniform.training_macs, rel=0.03)
    assert len(result.history) == 10
    of_epoch = [sum(epoch == e for epoch, *_ in steps) for e in range(10)]
    assert of_epoch[:3] == [9] * 3
    assert min(of_epoch[3:]) > 9
    assert max(of_epoch[3:]) - min(of_epoch[3:]) <= 1


def test_one_pass_an_epoch_where_nothing_is_matched(space, data):
    _, steps = watched(space, data, until="epochs")
    assert [sum(epoch == e for epoch, *_ in steps) for e in range(10)] == [9] * 10


def test_the_rate_is_at_its_peak_until_the_structure_is_final_and_then_follows_the_macs(
    space, data
):
    cosine = Recipe(epochs=10, batch_size=20, learning_rate=0.1, warmup_epochs=0, schedule=Cosine())
    result, steps = watched(space, data, recipe=cosine)
    assert {rate for epoch, rate, _ in steps if epoch < 3} == {0.1}
    spent_before = [0, *(macs for *_, macs in steps)]
    whole = result.training_macs
    for (epoch, rate, _), spent in zip(steps, spent_before, strict=False):
        if epoch >= 3:
            assert rate == pytest.approx(cosine.learning_rate_at(spent / whole), abs=2e-3)


def test_warm_up_goes_by_what_is_spent_too(space, data):
    warm = Recipe(
        epochs=10, batch_size=20, learning_rate=0.1, warmup_epochs=1, schedule=LATE.schedule
    )
    _, steps = watched(space, data, recipe=warm)
    first = [rate for epoch, rate, _ in steps if epoch == 0]
    # The seed is 40 % of the budget: its 9 steps are 4 % of the run, of 10 % of warm-up.
    assert first[0] == pytest.approx(0.01)
    assert first[-1] == pytest.approx(0.01 + 0.09 * 0.4 * 8 / 9, rel=0.1)
    assert max(rate for epoch, rate, _ in steps if epoch < 3) <= 0.1


def test_by_epochs_the_rate_falls_where_the_recipe_says(space, data):
    _, steps = watched(space, data, pace="epochs")
    by_epoch = {epoch: {rate for e, rate, _ in steps if e == epoch} for epoch in range(10)}
    assert [max(by_epoch[e]) for e in range(7)] == [0.1] * 7
    assert [max(by_epoch[e]) for e in (7, 8, 9)] == pytest.approx([0.01, 0.01, 0.001])


def test_a_matched_run_that_is_interrupted_ends_as_one_that_is_not(space, data, tmp_path):
    class StoppedError(Exception):
        pass

    whole, _ = watched(space, data)
    for stop in (2, 5):

        def stopping(record, stop=stop):
            if record.epoch == stop:
                raise StoppedError

        file = tmp_path / f"{stop}.safetensors"
        config = GrowthConfig(recipe=LATE)
        with pytest.raises(StoppedError):
            grow(space, data, budget=Budget(macs=0.4), config=config,
                 options=TrainingOptions(checkpoint=file, on_epoch=stopping))  # fmt: skip
        resumed = grow(space, data, budget=Budget(macs=0.4), config=config,
                       options=TrainingOptions(checkpoint=file))  # fmt: skip
        assert resumed.history == whole.history
        for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert torch.equal(one, other)
