"""Which rows may have any size is proven, not guessed."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.growth.surgery.scale_free import (
    fewest_values,
    scale_free_rows,
    scale_free_rows_of,
)
from search_spaces.families.recurrent import RecurrentSpace
from search_spaces.families.wide_resnet import WideResNetSpace

IMAGES = (torch.zeros(8, 2, 6, 6),)


def found(module, inputs=IMAGES):
    """Return how many rows of each layer are free."""
    return {
        free.weight.removesuffix(".weight"): int(free.rows.sum())
        for free in scale_free_rows(module, inputs)
    }


class Net(nn.Module):
    """A convolution and what ``behind`` makes of it, pooled."""

    def __init__(self, behind, channels=4, **settings):
        super().__init__()
        self.conv = nn.Conv2d(2, channels, 3, **settings)
        self.behind = behind
        self.head = nn.LazyLinear(3)
        self(torch.zeros(2, 2, 6, 6))

    def forward(self, x):
        return self.head(torch.relu(self.behind(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize(
    "behind",
    [
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.InstanceNorm2d(4),
        nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(4)),
        nn.Sequential(nn.LeakyReLU(), nn.Dropout(), nn.BatchNorm2d(4)),
    ],
    ids=str,
)
def test_rows_are_free_where_each_channel_is_normalised_alone(behind):
    assert found(Net(behind)) == {"conv": 4}


@pytest.mark.parametrize(
    "behind",
    [
        nn.Identity(),
        nn.GroupNorm(1, 4),
        nn.GroupNorm(2, 4),
        nn.Sequential(nn.Sigmoid(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.GroupNorm(2, 4)),
    ],
    ids=str,
)
def test_rows_are_not_free_where_other_channels_or_a_curve_hear_of_their_size(behind):
    assert found(Net(behind)) == {}


class Leaky(nn.BatchNorm2d):
    """Looks like a BatchNorm, and lets some of what comes in pass."""

    def forward(self, x):
        return super().forward(x) + 0.001 * x


class Frozen(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


@pytest.mark.parametrize("behind", [Leaky(4), Frozen(4)], ids=["leaky", "frozen"])
def test_a_norm_by_name_that_is_none_in_training_frees_nothing(behind):
    assert found(Net(behind)) == {}


def test_frozen_and_computed_weights_are_left_out():
    frozen = Net(nn.BatchNorm2d(4))
    frozen.conv.requires_grad_(False)
    computed = Net(nn.BatchNorm2d(4))
    nn.utils.parametrizations.weight_norm(computed.conv)
    assert found(frozen) == found(computed) == {}


def test_the_search_changes_neither_the_network_nor_the_random_stream():
    module = Net(nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found(module)
    assert torch.equal(torch.rand(2), expected)
    assert module.training
    assert all(torch.equal(before[name], each) for name, each in module.state_dict().items())


class Dense(nn.Module):
    """Feature maps side by side behind one norm, and read once more behind another."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 1)
        self.both, self.one = nn.BatchNorm2d(8), nn.BatchNorm2d(5)
        self.head = nn.Linear(13, 3)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        maps = torch.cat([self.both(torch.cat([a, b], 1)), self.one(b)], 1)
        return self.head(F.relu(maps).mean((2, 3)))


def test_the_features_of_every_norm_behind_a_layer_are_told_by_the_row_that_they_follow():
    first, second = scale_free_rows(Dense(), IMAGES)
    (both,) = first.norms
    assert (first.weight, both.mean) == ("a.weight", "both.running_mean")
    assert (both.positions.tolist(), both.rows.tolist()) == ([0, 1, 2], [0, 1, 2])
    both, one = second.norms
    assert (both.positions.tolist(), both.rows.tolist()) == ([3, 4, 5, 6, 7], [0, 1, 2, 3, 4])
    assert (one.variance, one.rows.tolist()) == ("one.running_var", [0, 1, 2, 3, 4])


class HalfHeard(Net):
    """Only the first two channels are normalised."""

    def forward(self, x):
        x = self.conv(x)
        x = torch.cat([self.behind(x[:, :2]), x[:, 2:]], 1)
        return self.head(torch.relu(x).mean((2, 3)))


def test_of_a_layer_only_those_rows_are_free_that_are_normalised():
    (free,) = scale_free_rows(HalfHeard(nn.BatchNorm2d(2)), IMAGES)
    assert free.rows.tolist() == [True, True, False, False]


def test_sums_on_a_stream_and_the_classifier_are_not_free():
    """Pre-activation blocks: a stream of sums, whose parts' sizes against each other matter."""
    space = WideResNetSpace(
        name="w", description="w", blocks=(1, 1, 1), factor=1, input_shape=(2, 8, 8), num_classes=3
    )
    layers = {free.weight for free in scale_free_rows_of(space)}
    assert layers == {"stem.weight", *(f"stages.{s}.0.conv1.weight" for s in range(3))}


def test_all_filters_of_a_residual_network_are_free_and_its_classifier_is_not(space):
    module = space.build(space.largest())
    convs = {n for n, m in module.named_modules() if isinstance(m, nn.Conv2d)}
    rows = scale_free_rows_of(space)
    assert {free.weight.removesuffix(".weight") for free in rows} == convs
    assert all(bool(free.rows.all()) for free in rows)


def test_depthwise_and_grouped_filters_are_free():
    behind = nn.Sequential(
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 8, 3, groups=4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1, groups=2, bias=False),
        nn.BatchNorm2d(4),
    )
    assert found(Net(behind, bias=False)) == {"conv": 4, "behind.2": 8, "behind.5": 4}


def test_networks_without_such_norms_and_those_that_cannot_train_so_have_none():
    words = RecurrentSpace(name="l", description="l", cell="lstm", hidden=(4, 4), num_classes=5,
                           input_shape=(3,), embedding=4)  # fmt: skip
    assert scale_free_rows_of(words) == ()
    single = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert scale_free_rows(single, (torch.zeros(1, 3),)) == ()


def test_transposed_and_one_dimensional_layers_have_rows_as_well():
    transposed = nn.Sequential(nn.ConvTranspose2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(),
                               nn.Flatten(), nn.Linear(5 * 64, 2))  # fmt: skip
    (free,) = scale_free_rows(transposed, IMAGES)
    assert (free.axis, free.bias, len(free.rows)) == (1, "0.bias", 5)
    flat = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    assert found(flat, (torch.zeros(8, 6),)) == {"0": 4}


def test_values_of_a_feature_are_examples_times_positions_and_the_network_stays_as_it_was():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 1),
        nn.BatchNorm2d(3),
    )
    net[1].eval()
    before = copy.deepcopy(net.state_dict())
    # 8 x 8 images leave 6 x 6 positions, then 3 x 3.
    assert fewest_values(net, (torch.zeros(2, 1, 8, 8),)) == 2 * 9
    assert [each.training for each in net] == [True, False, True, True, True]
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    assert fewest_values(nn.Linear(2, 3), (torch.zeros(2, 2),)) == 0


class ByName(Net):
    """Calls its layers by the names of their arguments, and counts and remembers its calls."""

    def __init__(self):
        super().__init__(nn.BatchNorm2d(4))
        self.register_buffer("calls", torch.zeros(()))
        self.last = None

    def forward(self, x):
        self.last = self.behind(input=self.conv(input=x))
        if hasattr(self, "calls"):
            self.calls += 1
        return self.head(input=torch.relu(self.last).mean((2, 3)))


def test_norms_that_are_called_by_name_are_seen_and_calls_leave_nothing_behind():
    net = ByName()
    net(IMAGES[0])
    calls, last, drawn = int(net.calls), net.last, torch.get_rng_state()
    # 6 x 6 images leave 4 x 4 positions.
    assert fewest_values(net, (torch.zeros(2, 2, 6, 6),)) == 2 * 16
    assert (int(net.calls), net.last) == (calls, last)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert net.training
    assert not net.behind._forward_pre_hooks
    assert found(net) == {"conv": 4}
