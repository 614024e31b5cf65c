import copy
import dataclasses
import math
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.datasets import Augmentation, Dataset, Split, load_dataset, subset
from growsearch.errors import DivergedError, UsageError
from growsearch.training import (
    SGD,
    AdamW,
    Hook,
    Recipe,
    Steps,
    TrainingOptions,
    train,
)

CONSTANT = Steps(milestones=(), factor=1.0)


def _network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="module")
def digits():
    return subset(load_dataset("digits"), train=200, validation=50, test=10)


def _weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _two_points(inputs=((1.0, 0.0), (0.0, 1.0)), labels=(0, 1)):
    split = Split(inputs=torch.tensor(inputs), labels=torch.tensor(labels))
    return Dataset(name="two", train=split, validation=split, test=split, num_classes=2)


def _linear():
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    return model


def _plain_loop(model, dataset, *, seed, epochs, batch):
    """The default recipe written out: Nesterov's momentum, one epoch of warm-up, a cosine."""
    vectors = [p for p in model.parameters() if p.ndim == 1]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    optimizer = torch.optim.SGD(
        [{"params": matrices, "weight_decay": 5e-4}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )
    generator = torch.Generator().manual_seed(seed)
    per_epoch = len(dataset.train) // batch
    for epoch in range(epochs):
        order = torch.randperm(len(dataset.train), generator=generator)
        for index in range(per_epoch):
            chosen = order[index * batch : (index + 1) * batch]
            progress = (epoch * per_epoch + index) / (epochs * per_epoch)
            warmup = 1 / epochs
            rate = 0.1 * (0.1 + 0.9 * progress / warmup)
            if progress >= warmup:
                rate = 0.1 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            F.cross_entropy(
                model(dataset.train.inputs[chosen]), dataset.train.labels[chosen]
            ).backward()
            optimizer.step()


def test_the_default_recipe_is_bit_for_bit_the_loop_written_out(digits):
    ours, plain = _network(), _network()
    train(ours, digits, Recipe(epochs=4), seed=5, forward_macs=1)
    plain.train()
    _plain_loop(plain, digits, seed=5, epochs=4, batch=64)
    assert torch.equal(_weights(ours), _weights(plain))


def test_the_same_seed_gives_the_same_network_and_another_one_does_not(digits):
    results = []
    for seed in (1, 1, 2):
        model = _network()
        train(model, digits, Recipe(epochs=1), seed=seed, forward_macs=1)
        results.append(_weights(model))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_the_history_has_a_line_an_epoch_and_counts_three_passes_a_step(digits):
    seen = []
    options = TrainingOptions(on_epoch=seen.append)
    history, state = train(
        _network(), digits, Recipe(epochs=3, batch_size=60), seed=0, forward_macs=7, options=options
    )
    # 200 examples are 3 whole batches of 60; the other 20 wait for the next epoch.
    assert [record.epoch for record in history] == [1, 2, 3]
    assert [record.training_macs for record in history] == [3 * 7 * 180 * n for n in (1, 2, 3)]
    assert seen == history
    assert (state.step, state.steps_per_epoch, state.total_steps) == (9, 3, 9)
    assert state.batch_examples == 60


def test_a_batch_larger_than_the_data_takes_all_of_it():
    _, state = train(
        _linear(), _two_points(), Recipe(epochs=2, batch_size=64), seed=0, forward_macs=1
    )
    assert (state.step, state.batch_examples) == (2, 2)


def test_one_step_is_as_worked_out_by_hand():
    # Zero weights: both probabilities 1/2; dL/dW = mean over examples of (p - y) x^T.
    model = _linear()
    recipe = Recipe(
        epochs=1,
        batch_size=2,
        learning_rate=0.1,
        warmup_epochs=0,
        weight_decay=0.0,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=CONSTANT,
    )
    history, _ = train(model, _two_points(), recipe, seed=0, forward_macs=1)
    assert torch.allclose(model.weight, torch.tensor([[0.025, -0.025], [-0.025, 0.025]]))
    assert history[0].loss == pytest.approx(math.log(2))
    assert history[0].accuracy == 1.0


def test_label_smoothing_shrinks_that_step_by_its_share():
    # Smoothed targets are 0.9 and 0.1, so p - y is 0.4 in size and not 0.5.
    model = _linear()
    recipe = Recipe(
        epochs=1,
        batch_size=2,
        learning_rate=0.1,
        warmup_epochs=0,
        label_smoothing=0.2,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=CONSTANT,
    )
    train(model, _two_points(), recipe, seed=0, forward_macs=1)
    assert torch.allclose(model.weight.abs(), torch.full((2, 2), 0.02))


@pytest.mark.parametrize(("clip", "size"), [(None, 0.025), (0.5, 0.025), (0.1, 0.005)])
def test_clipping_bounds_the_norm_of_all_gradients_together(clip, size):
    # Four gradients of 0.25 have the norm 0.5.
    model = _linear()
    recipe = Recipe(
        epochs=1,
        batch_size=2,
        learning_rate=0.1,
        warmup_epochs=0,
        clip_norm=clip,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=CONSTANT,
    )
    train(model, _two_points(), recipe, seed=0, forward_macs=1)
    assert torch.allclose(model.weight.abs(), torch.full((2, 2), size), rtol=1e-4)


def test_hooks_see_gradients_before_they_are_clipped():
    norms = []

    class Watches(Hook):
        def before_update(self, state):
            norms.append(float(state.model.weight.grad.norm()))
            return True

    options = TrainingOptions(hooks=[Watches()])
    recipe = Recipe(epochs=1, batch_size=2, clip_norm=0.1)
    train(_linear(), _two_points(), recipe, seed=0, forward_macs=1, options=options)
    assert norms == pytest.approx([0.5])


def test_adamw_trains(digits):
    recipe = Recipe(epochs=5, learning_rate=0.01, optimizer=AdamW())
    history, state = train(_network(), digits, recipe, seed=0, forward_macs=1)
    assert isinstance(state.optimizer, torch.optim.AdamW)
    assert history[-1].accuracy > 0.6


def test_a_loss_that_is_not_finite_stops_at_its_epoch_and_step():
    dataset = _two_points(inputs=((float("nan"), 0.0), (0.0, 1.0)))
    with pytest.raises(DivergedError, match="the loss became nan in epoch 1, step 1, before any"):
        train(_linear(), dataset, Recipe(epochs=2), seed=0, forward_macs=1)


def test_a_loss_that_an_update_broke_is_told_to_be_of_the_learning_rate():
    recipe = Recipe(epochs=9, batch_size=2, learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"in epoch \d+, step ([2-9]|\d\d+); lower the learn"):
        train(_linear(), _two_points(), recipe, seed=0, forward_macs=1)


class _Records(Hook):
    def __init__(self, name, log, wants_update=True):
        self.name, self.log, self.wants_update = name, log, wants_update

    def on_start(self, state):
        self.log.append((self.name, "start", state.step))

    def before_update(self, state):
        self.log.append((self.name, "before", state.step))
        return self.wants_update

    def after_update(self, state):
        self.log.append((self.name, "after", state.step))

    def on_epoch_end(self, state):
        self.log.append((self.name, "end", state.step))


def test_hooks_run_in_order_around_every_step():
    log = []
    options = TrainingOptions(hooks=[_Records("a", log), _Records("b", log)])
    train(
        _linear(),
        _two_points(),
        Recipe(epochs=1, batch_size=2),
        seed=0,
        forward_macs=1,
        options=options,
    )
    assert log == [
        (name, what, step)
        for what, step in (("start", 0), ("before", 0), ("after", 1), ("end", 1))
        for name in "ab"
    ]


def test_one_hook_that_replaces_the_update_is_enough_and_the_others_still_run():
    log = []
    hooks = [_Records("a", log, wants_update=False), _Records("b", log)]
    model = _linear()
    history, _ = train(
        model,
        _two_points(),
        Recipe(epochs=1),
        seed=0,
        forward_macs=5,
        options=TrainingOptions(hooks=hooks),
    )
    assert torch.equal(model.weight, torch.zeros(2, 2))
    assert ("b", "before", 0) in log
    assert history[0].training_macs == 3 * 5 * 2


def test_the_guard_is_entered_for_every_step_and_for_the_evaluation():
    entered = []

    @contextmanager
    def guard():
        entered.append("in")
        yield
        entered.append("out")

    options = TrainingOptions(guard=guard)
    train(
        _linear(),
        _two_points(),
        Recipe(epochs=2, batch_size=1),
        seed=0,
        forward_macs=1,
        options=options,
    )
    assert entered == ["in", "out"] * 6


class _Remembers(nn.Module):
    """Keeps what it is shown, apart for training and evaluation."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.shown = {True: [], False: []}

    def forward(self, x):
        self.shown[self.training].append(x.clone())
        return self.linear(x.flatten(1))


def test_training_images_are_augmented_and_validation_images_are_not(digits):
    shifting = dataclasses.replace(digits, augmentation=Augmentation(shift_pixels=2))
    plain, shifted = _Remembers(), _Remembers()
    for model, dataset in ((plain, digits), (shifted, shifting)):
        train(model, dataset, Recipe(epochs=1, batch_size=50), seed=0, forward_macs=1)
    originals = {image.numpy().tobytes() for image in digits.train.inputs}
    for model, low, high in ((plain, 200, 200), (shifted, 0, 100)):
        images = torch.cat(model.shown[True])
        unchanged = sum(image.numpy().tobytes() in originals for image in images)
        assert low <= unchanged <= high
        assert torch.equal(torch.cat(model.shown[False]), digits.validation.inputs)
    assert digits.train.inputs.shape == (200, 1, 8, 8)


def test_augmented_training_is_repeatable(digits):
    shifting = dataclasses.replace(digits, augmentation=Augmentation(shift_pixels=1, mirror=True))
    results = []
    for _ in range(2):
        model = _network()
        train(model, shifting, Recipe(epochs=2), seed=3, forward_macs=1)
        results.append(_weights(model))
    assert torch.equal(results[0], results[1])


class Listening(nn.Module):
    """A convolution that notes the type and layout of what it puts out."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.seen = []

    def forward(self, x):
        out = self.conv(x)
        if self.training:
            channels_last = out.is_contiguous(memory_format=torch.channels_last)
            self.seen.append((out.dtype, channels_last))
        return out.mean(dim=(2, 3))


def _pictures():
    inputs = torch.randn(8, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    split = Split(inputs=inputs, labels=torch.arange(8) % 4)
    return Dataset(name="pictures", train=split, validation=split, test=split, num_classes=4)


def test_bfloat16_is_for_the_forward_pass_and_weights_and_gradients_stay_float32():
    model = Listening()
    recipe = Recipe(epochs=1, batch_size=8, precision="bfloat16")
    train(model, _pictures(), recipe, seed=0, forward_macs=1)
    assert [dtype for dtype, _ in model.seen] == [torch.bfloat16]
    assert model.conv.weight.dtype == model.conv.weight.grad.dtype == torch.float32


def test_channels_last_lays_weights_and_inputs_out_and_changes_rounding_only():
    torch.manual_seed(0)
    plain = Listening()
    laid_out = copy.deepcopy(plain)
    recipe = Recipe(epochs=1, batch_size=8)
    options = TrainingOptions(channels_last=True)
    train(plain, _pictures(), recipe, seed=0, forward_macs=1)
    train(laid_out, _pictures(), recipe, seed=0, forward_macs=1, options=options)
    assert plain.seen == [(torch.float32, False)]
    assert laid_out.seen == [(torch.float32, True)]
    torch.testing.assert_close(plain.conv.weight, laid_out.conv.weight)


def test_an_unknown_precision_is_refused_with_the_valid_ones():
    with pytest.raises(UsageError, match="'half'; valid: float32, bfloat16"):
        Recipe(epochs=1, precision="half")


def test_a_batch_norm_that_gets_one_value_a_channel_is_told_what_helps():
    split = Split(inputs=torch.eye(4), labels=torch.arange(4))
    data = Dataset(name="tiny", train=split, validation=split, test=split, num_classes=4)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    with pytest.raises(UsageError, match=r"^batch_size: a BatchNorm cannot learn from"):
        train(model, data, Recipe(epochs=1, batch_size=1), seed=0, forward_macs=1)
