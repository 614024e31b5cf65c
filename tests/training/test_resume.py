import copy

import pytest
import torch
from torch import nn

from growsearch.datasets import load_dataset, subset
from growsearch.errors import GrowsearchError, UsageError
from growsearch.training import SGD, AdamW, Hook, Recipe, TrainingOptions, train


class KilledError(Exception):
    """Stands for a kill at the end of an epoch."""


def _network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="module")
def digits():
    return subset(load_dataset("digits"), train=200, validation=50, test=10)


def _train(digits, path=None, *, stop=None, hooks=(), channels_last=False, **recipe):
    def on_epoch(record):
        if record.epoch == stop:
            raise KilledError

    settings = Recipe(**{"epochs": 4, "learning_rate": 0.02, **recipe})
    model = _network()
    heard = []
    options = TrainingOptions(
        hooks=hooks,
        on_epoch=on_epoch,
        on_resume=lambda records: heard.extend(records),
        channels_last=channels_last,
        checkpoint=path,
    )
    # Dropout draws from torch's own generator, which a fresh process would seed otherwise.
    torch.manual_seed(torch.initial_seed() if path is None else 99)
    history, state = train(model, digits, settings, seed=5, forward_macs=7, options=options)
    return model, history, state, heard


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("optimizer", [SGD(), AdamW()], ids=["sgd", "adamw"])
def test_a_run_that_was_stopped_twice_ends_with_the_same_bits(
    digits, tmp_path, optimizer, channels_last
):
    changes = {"optimizer": optimizer, "channels_last": channels_last}
    torch.manual_seed(99)
    expected, history, _, _ = _train(digits, tmp_path / "whole", **changes)
    path = tmp_path / "checkpoint"
    for stop in (1, 3):
        with pytest.raises(KilledError):
            _train(digits, path, stop=stop, **changes)
    model, resumed_history, state, heard = _train(digits, path, **changes)
    assert resumed_history == history
    assert heard == history[:3]
    assert state.training_macs == history[-1].training_macs
    for name, tensor in expected.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_a_finished_run_comes_back_without_training(digits, tmp_path):
    model, history, _, _ = _train(digits, tmp_path / "c")
    again, same, state, heard = _train(digits, tmp_path / "c")
    assert same == heard == history
    assert (state.epoch, state.step) == (3, 12)
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"learning_rate": 0.03}, "recipe.learning_rate was 0.02 and is 0.03"),
        ({"optimizer": SGD(momentum=0.8)}, "recipe.optimizer.momentum was 0.9 and is 0.8"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_with_the_innermost_key(
    digits, tmp_path, change, key
):
    _train(digits, tmp_path / "c", epochs=1)
    with pytest.raises(UsageError, match=key):
        _train(digits, tmp_path / "c", epochs=1, **change)


def test_a_checkpoint_of_another_network_is_refused_by_tensor(digits, tmp_path):
    recipe, options = Recipe(epochs=1), TrainingOptions(checkpoint=tmp_path / "c")
    train(_network(), digits, recipe, seed=5, forward_macs=7, options=options)
    wider = _network()
    wider[5] = nn.Linear(256, 11)
    with pytest.raises(UsageError, match=r"another network: '5\.weight' does not fit"):
        train(wider, digits, recipe, seed=5, forward_macs=7, options=options)


def test_a_damaged_checkpoint_stops_before_anything_is_trained(digits, tmp_path):
    _train(digits, tmp_path / "c", epochs=1)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:100])
    damaged = (tmp_path / "c").read_bytes()
    with pytest.raises(GrowsearchError, match="is damaged"):
        _train(digits, tmp_path / "c", epochs=1)
    assert (tmp_path / "c").read_bytes() == damaged


class Average(Hook):
    """Keeps a running mean of the first weight: something that a checkpoint must hold."""

    def __init__(self):
        self.mean = torch.zeros(())

    def after_update(self, state):
        self.mean = 0.9 * self.mean + 0.1 * next(state.model.parameters()).detach().mean()

    def state(self):
        return {"mean": self.mean}

    def load_state(self, tensors, training):
        self.mean = tensors["mean"]


def test_hooks_go_on_from_what_they_held(digits, tmp_path):
    whole, parts = Average(), [Average(), Average()]
    _train(digits, tmp_path / "whole", hooks=(whole,))
    with pytest.raises(KilledError):
        _train(digits, tmp_path / "c", stop=2, hooks=(parts[0],))
    _train(digits, tmp_path / "c", hooks=(parts[1],))
    assert torch.equal(whole.mean, parts[1].mean)
    assert not torch.equal(whole.mean, parts[0].mean)


def test_a_hook_that_cannot_be_kept_is_refused_before_the_first_step(digits, tmp_path):
    class Forgetful(Hook):
        def before_update(self, state):
            raise AssertionError("trained")

    with pytest.raises(UsageError, match="Forgetful cannot be kept in a checkpoint"):
        _train(digits, tmp_path / "c", hooks=(Forgetful(),))
    assert not (tmp_path / "c").exists()


def test_without_a_checkpoint_hooks_need_not_be_kept(digits):
    before = copy.deepcopy(_network().state_dict())
    model, *_ = _train(digits, hooks=(Hook(),), epochs=1)
    assert not torch.equal(before["0.weight"], model.state_dict()["0.weight"])
