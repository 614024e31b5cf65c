"""Every published recipe, held against the figures of its paper."""

import pytest
import torch
from torch import nn

from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.training import (
    RECIPES,
    SGD,
    AdamW,
    LanguageModelling,
    Recipe,
    make_optimizer,
    published_recipe,
    train,
)
from search_spaces import SEARCH_SPACES

# Name: ((epoch from 0, learning rate in it), ...), worked out by hand from the papers.
RATES = {
    "sparse-ift-cifar": (
        (0, 0.1), (59, 0.1), (60, 0.02), (119, 0.02), (120, 0.004), (160, 0.0008), (199, 0.0008),
    ),
    "sparse-ift-cifar-cosine": ((0, 0.1), (100, 0.05), (200, 0.0)),
    "sparse-ift-imagenet": ((0, 0.256), (30, 0.192), (45, 0.128), (60, 0.064), (90, 0.0)),
    "random-pruning-cifar": ((0, 0.1), (79, 0.1), (80, 0.01), (120, 0.001), (159, 0.001)),
    "random-pruning-imagenet-dense": (
        (0, 0.4), (29, 0.4), (30, 0.04), (60, 0.004), (79, 0.004), (80, 0.0004), (89, 0.0004),
    ),
    "random-pruning-imagenet-sparse": (
        (0, 0.4), (30, 0.04), (60, 0.004), (89, 0.004), (90, 0.0004), (99, 0.0004),
    ),
    "growth-cifar": ((0, 0.1), (79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001), (159, 0.001)),
    "growth-cifar-wide": (
        (0, 0.1), (60, 0.02), (120, 0.004), (159, 0.004), (160, 0.0008), (199, 0.0008),
    ),
    "gpt3-small": ((0, 0.0), (0.075, 3e-4), (0.15, 6e-4), (0.575, 3.3e-4), (1, 6e-5)),
    # Rate 1 on the sum over 20 or 35 words is rate 20 or 35 on their mean.
    "lstm-ptb-small": ((0, 20), (3, 20), (4, 10), (5, 5), (12, 20 / 2**9)),
    "lstm-ptb-medium": ((0, 35), (5, 35), (6, 35 / 1.2), (7, 35 / 1.44), (38, 35 / 1.2**33)),
    "lstm-ptb-large": ((0, 35), (13, 35), (14, 35 / 1.15), (54, 35 / 1.15**41)),
}  # fmt: skip

# Name: (epochs, batch size, weight decay, optimizer, label smoothing, clip norm).
SETTINGS = {
    "sparse-ift-cifar": (200, 128, 5e-4, SGD(momentum=0.9, nesterov=True), 0, None),
    "sparse-ift-cifar-cosine": (200, 128, 5e-4, SGD(momentum=0.9, nesterov=True), 0, None),
    "sparse-ift-imagenet": (
        90, 256, 3.0517578125e-5, SGD(momentum=0.875, nesterov=False), 0.1, None,
    ),
    "random-pruning-cifar": (160, 128, 5e-4, SGD(momentum=0.9, nesterov=False), 0, None),
    "random-pruning-imagenet-dense": (90, 768, 1e-4, SGD(momentum=0.9, nesterov=False), 0, None),
    "random-pruning-imagenet-sparse": (100, 768, 1e-4, SGD(momentum=0.9, nesterov=False), 0, None),
    "growth-cifar": (160, 128, 1e-4, SGD(momentum=0.9, nesterov=False), 0, None),
    "growth-cifar-wide": (200, 128, 5e-4, SGD(momentum=0.9, nesterov=False), 0, None),
    "gpt3-small": (1, 256, 0.1, AdamW(beta1=0.9, beta2=0.95, epsilon=1e-8), 0, 1.0),
    "lstm-ptb-small": (13, 20, 0, SGD(momentum=0, nesterov=False), 0, 5 / 20),
    "lstm-ptb-medium": (39, 20, 0, SGD(momentum=0, nesterov=False), 0, 5 / 35),
    "lstm-ptb-large": (55, 20, 0, SGD(momentum=0, nesterov=False), 0, 10 / 35),
}  # fmt: skip


def test_every_recipe_is_held_against_its_paper():
    assert RATES.keys() == SETTINGS.keys() == RECIPES.keys()


@pytest.mark.parametrize("name", RATES)
def test_learning_rates_are_those_of_the_paper(name):
    recipe = published_recipe(name)
    for epoch, rate in RATES[name]:
        found = recipe.learning_rate_at(epoch / recipe.epochs)
        assert found == pytest.approx(rate, rel=1e-9, abs=1e-15), epoch


@pytest.mark.parametrize("name", SETTINGS)
def test_other_settings_are_those_of_the_paper(name):
    recipe = published_recipe(name)
    assert SETTINGS[name] == (
        recipe.epochs,
        recipe.batch_size,
        recipe.weight_decay,
        recipe.optimizer,
        recipe.label_smoothing,
        recipe.clip_norm,
    )


@pytest.mark.parametrize("name", RATES)
def test_a_recipe_of_another_length_has_its_rates_at_the_same_share_of_the_run(name):
    recipe, other = published_recipe(name), published_recipe(name, epochs=40)
    assert other.epochs == 40
    for epoch, rate in RATES[name]:
        assert other.learning_rate_at(epoch / recipe.epochs) == pytest.approx(
            rate, rel=1e-9, abs=1e-15
        )


WINDOWS = {"lstm-ptb-small": 20, "lstm-ptb-medium": 35, "lstm-ptb-large": 35}


@pytest.mark.parametrize("name", sorted(RECIPES.keys() - WINDOWS.keys()))
def test_every_recipe_trains_a_network_better_than_chance(name):
    digits = subset(load_dataset("digits"), train=800, validation=200, test=10)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    recipe = published_recipe(name, epochs=40)
    history, _ = train(model, digits, recipe, seed=0, forward_macs=1)
    assert history[-1].loss < history[0].loss
    assert history[-1].accuracy > 0.5


@pytest.mark.parametrize("name", WINDOWS)
def test_every_recipe_for_texts_trains_a_network_better_than_chance(name, text):
    space = SEARCH_SPACES["lstm-ptb-small"].for_data((WINDOWS[name],), len(text.vocabulary))
    torch.manual_seed(0)
    model = space.build(space.with_widths(space.largest(), {"hidden0": 16, "hidden1": 16}))
    task = LanguageModelling(data=text, window=WINDOWS[name], carried=True)
    history, _ = train(model, task, published_recipe(name, epochs=20), seed=0, forward_macs=1)
    assert history[-1].loss < history[0].loss
    # 11 words guessed at random; without reading, all are as likely.
    assert history[-1].perplexity < 5


def test_an_unknown_recipe_lists_the_valid_ones():
    with pytest.raises(UsageError, match="unknown 'nope'; valid: gpt3-small, growth-cifar, "):
        published_recipe("nope")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: 0 is not above 0"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"learning_rate": -0.1}, r"learning_rate: -0\.1"),
        ({"clip_norm": 0.0}, r"clip_norm: 0\.0"),
        ({"weight_decay": -1e-4}, r"weight_decay: -0\.0001 is below 0"),
        ({"warmup_epochs": -1}, "warmup_epochs: -1"),
        ({"label_smoothing": 1.1}, r"label_smoothing: 1\.1 is not in \[0, 1\]"),
        ({"warmup_start": -0.5}, r"warmup_start: -0\.5"),
    ],
)
def test_a_recipe_that_cannot_run_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        Recipe(**{"epochs": 3, **settings})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1.0), r"momentum: 1\.0"),
        (lambda: SGD(momentum=0.0), "nesterov: needs momentum"),
        (lambda: AdamW(beta1=1.0), r"beta1: 1\.0"),
        (lambda: AdamW(beta2=-0.1), r"beta2: -0\.1"),
        (lambda: AdamW(epsilon=0.0), r"epsilon: 0\.0"),
    ],
)
def test_an_optimizer_that_cannot_run_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_biases_and_batch_norm_are_not_decayed_by_either_optimizer():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    for rule in (SGD(), AdamW()):
        optimizer = make_optimizer(model, Recipe(epochs=1, weight_decay=0.01, optimizer=rule))
        shapes = {
            group["weight_decay"]: [tuple(p.shape) for p in group["params"]]
            for group in optimizer.param_groups
        }
        assert shapes == {0.01: [(2, 1, 3, 3), (2, 8)], 0.0: [(2,), (2,), (2,), (2,)]}


def test_frozen_parameters_are_not_given_to_the_optimizer():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    groups = make_optimizer(model, Recipe(epochs=1)).param_groups
    assert [len(group["params"]) for group in groups] == [0, 1]


def test_adamw_takes_one_step_as_worked_out_by_hand():
    # Algorithm 2: decay first (0.5 - 0.1 * 0.01 * 0.5), then the first step is the sign times lr.
    weight = nn.Parameter(torch.tensor([[0.5]]))
    groups = [{"params": [weight], "weight_decay": 0.01}]
    optimizer = AdamW(beta1=0.9, beta2=0.95, epsilon=1e-8).over(groups, 0.1)
    weight.grad = torch.tensor([[4.0]])
    optimizer.step()
    assert weight.item() == pytest.approx(0.5 - 0.0005 - 0.1)
    # Second: m = (0.9 * 0.4 + 0.1 * 2) / 0.19, v = (0.95 * 0.8 + 0.05 * 4) / 0.0975.
    weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    first = 0.3995 * (1 - 0.001)
    assert weight.item() == pytest.approx(
        first - 0.1 * (0.56 / 0.19) / (0.96 / 0.0975) ** 0.5, rel=1e-5
    )


@pytest.mark.parametrize(("nesterov", "second"), [(False, -0.29), (True, -0.461)])
def test_momentum_takes_two_steps_as_worked_out_by_hand(nesterov, second):
    # Gradient 1 twice, lr 0.1: velocities 1 and 1.9; Nesterov adds 0.9 of the velocity once more.
    weight = nn.Parameter(torch.tensor([[0.0]]))
    groups = [{"params": [weight], "weight_decay": 0.0}]
    optimizer = SGD(momentum=0.9, nesterov=nesterov).over(groups, 0.1)
    for _ in range(2):
        weight.grad = torch.tensor([[1.0]])
        optimizer.step()
    assert weight.item() == pytest.approx(second)
