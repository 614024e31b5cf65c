import dataclasses

import pytest
import torch

from growsearch.datasets import TokenDataset
from growsearch.errors import UsageError
from growsearch.growth import (
    POLICIES,
    RELAXATIONS,
    STEERINGS,
    Budget,
    GrowthConfig,
    GrowthOptions,
    IndicatorConfig,
    grow,
)
from growsearch.training import SGD, AdamW, Recipe, read_checkpoint
from search_spaces.families.recurrent import RecurrentSpace
from search_spaces.families.residual_units import BasicResNetSpace

BUDGET = Budget(macs=0.4)
# Structure changes after epochs 1 to 4; the checkpoint of epoch 5 is of a final one.
RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=0.05)
CONFIG = GrowthConfig(recipe=RECIPE, freeze_at=0.67)


class KilledError(Exception):
    """Stands for a kill at the end of an epoch."""


class Follower:
    """Notes what it hears, and stops the run after an epoch."""

    def __init__(self, stop=None):
        self.stop, self.before, self.heard = stop, [], []

    def resumed(self, records):
        self.before = list(records)

    def epoch(self, record):
        self.heard.append(record)
        if record.epoch == self.stop:
            raise KilledError


def _grow(space, dataset, config, path=None, stop=None):
    follower = Follower(stop)
    options = GrowthOptions(checkpoint=path, listener=follower)
    return (
        grow(space, dataset, budget=BUDGET, config=config, seed=1, options=options),
        follower,
    )


def _interrupted(space, dataset, config, path, stops=(2, 5)):
    for stop in stops:
        with pytest.raises(KilledError):
            _grow(space, dataset, config, path, stop)
    return _grow(space, dataset, config, path)


def _assert_same(left, right):
    assert left.history == right.history
    assert left.architecture == right.architecture
    for name, tensor in left.model.state_dict().items():
        assert torch.equal(tensor, right.model.state_dict()[name]), name


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_run_that_was_stopped_grows_the_same_network_bit_for_bit(
    space, dataset, tmp_path, policy
):
    config = dataclasses.replace(CONFIG, policy=policy)
    whole, _ = _grow(space, dataset, config)
    resumed, follower = _interrupted(space, dataset, config, tmp_path / "c")
    _assert_same(whole, resumed)
    assert (*follower.before, *follower.heard) == resumed.history
    assert len(follower.before) == 5


@pytest.mark.parametrize(
    ("relaxation", "steering"),
    [
        *((relaxation, "task") for relaxation in sorted(RELAXATIONS)),
        *(("sigmoid", steering) for steering in sorted(STEERINGS) if steering != "task"),
    ],
)
def test_every_way_of_learning_indicators_resumes_to_the_bit(
    space, dataset, tmp_path, relaxation, steering
):
    indicators = IndicatorConfig(relaxation=relaxation, steering=steering)
    config = dataclasses.replace(CONFIG, indicators=indicators)
    whole, _ = _grow(space, dataset, config)
    resumed, _ = _interrupted(space, dataset, config, tmp_path / "c", stops=(2,))
    _assert_same(whole, resumed)


def test_channels_that_were_detached_before_the_stop_come_back_as_they_were(
    space, dataset, tmp_path
):
    config = dataclasses.replace(CONFIG, policy="random", freeze_at=0.9)
    whole, _ = _grow(space, dataset, config)
    resumed, _ = _interrupted(space, dataset, config, tmp_path / "c", stops=(2, 3))
    assert sum(record.attached for record in whole.history[3:]) > 0
    _assert_same(whole, resumed)


def test_once_frozen_the_checkpoint_holds_the_live_network_alone(space, dataset, tmp_path):
    with pytest.raises(KilledError):
        _grow(space, dataset, CONFIG, tmp_path / "c", stop=3)
    growing = read_checkpoint(tmp_path / "c").tensors
    _grow(space, dataset, CONFIG, tmp_path / "c")
    final = read_checkpoint(tmp_path / "c").tensors
    assert any("surgeon/value" in name for name in growing)
    assert not any("surgeon/value" in name for name in final)


def test_another_budget_or_configuration_is_refused_by_key(space, dataset, tmp_path):
    with pytest.raises(KilledError):
        _grow(space, dataset, CONFIG, tmp_path / "c", stop=1)
    other = dataclasses.replace(CONFIG, freeze_at=0.5)
    with pytest.raises(UsageError, match=r"GrowthHook\.config\.freeze_at was 0\.67 and is 0\.5"):
        _grow(space, dataset, other, tmp_path / "c")
    with pytest.raises(UsageError, match=r"GrowthHook\.limit was"):
        grow(
            space,
            dataset,
            budget=Budget(macs=0.5),
            config=CONFIG,
            seed=1,
            options=GrowthOptions(checkpoint=tmp_path / "c"),
        )


def test_a_listener_hears_what_the_history_says(space, dataset):
    result, follower = _grow(space, dataset, CONFIG)
    assert tuple(follower.heard) == result.history
    last = result.history[-1]
    assert (last.cost, last.limit) == (result.cost, result.limit)
    assert last.dense_training_macs == result.dense_training_macs
    assert last.training_saving == result.training_saving
    assert 0 < last.live_share < 1


def test_units_resume_to_the_bit_before_and_after_the_freeze(dataset, tmp_path):
    space = BasicResNetSpace(
        name="tiny-units",
        description="for tests",
        most_units=(2, 3),
        base_width=4,
        input_shape=dataset.input_shape,
        num_classes=3,
    )
    whole, _ = _grow(space, dataset, CONFIG)
    resumed, _ = _interrupted(space, dataset, CONFIG, tmp_path / "c", stops=(3, 5))
    assert sum(map(len, whole.history[-1].units.values())) < 5
    _assert_same(whole, resumed)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_language_model_with_dropout_resumes_to_the_bit(tmp_path, momentum):
    tokens = torch.randint(7, (901,), generator=torch.Generator().manual_seed(0))
    text = TokenDataset(
        name="text",
        train=tokens[:601],
        validation=tokens[601:],
        test=tokens,
        vocabulary=tuple("abcdefg"),
    )
    space = RecurrentSpace(
        name="tiny-lstm",
        description="for tests",
        embedding=6,
        hidden=(8,),
        keep_probability=0.7,
        input_shape=(10,),
        num_classes=7,
    )
    recipe = dataclasses.replace(
        RECIPE, batch_size=4, optimizer=SGD(momentum=momentum, nesterov=False)
    )
    config = GrowthConfig(recipe=recipe)
    whole, _ = _grow(space, text, config)
    resumed, _ = _interrupted(space, text, config, tmp_path / "c", stops=(2, 4))
    _assert_same(whole, resumed)


def test_a_run_with_adam_resumes_to_the_bit_before_and_after_the_freeze(space, dataset, tmp_path):
    recipe = dataclasses.replace(RECIPE, learning_rate=0.005, optimizer=AdamW())
    config = dataclasses.replace(CONFIG, recipe=recipe)
    whole, _ = _grow(space, dataset, config)
    resumed, _ = _interrupted(space, dataset, config, tmp_path / "c", stops=(2, 5))
    assert whole.cost <= whole.limit
    _assert_same(whole, resumed)
