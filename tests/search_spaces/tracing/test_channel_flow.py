"""What moves with a channel, by hand, for single layers, products and what lies between."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.tracing.channel_flow import MIXED, UNMOVED, ChannelFlow
from search_spaces.tracing.operator_record import record_operators


class Between(nn.Module):
    """A layer of four channels, ``between``, and a layer that reads what comes out of it."""

    def __init__(self, between, width, channels=4):
        super().__init__()
        self.first, self.between = nn.Conv2d(1, channels, 1), between
        self.second = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        return self.second(self.between(self.first(x)))


@torch.no_grad()
def flow_of(module, x):
    return ChannelFlow(record_operators(module.eval(), (x,)), torch.Generator().manual_seed(0))


def read_by(module, tensor, x=None):
    """For the first layer, which of its channels moves each input of ``tensor``."""
    flow = flow_of(module, torch.randn(2, 1, 3, 3) if x is None else x)
    source = next(s for s in flow.sources.layers() if s.tensor == "first.weight")
    reached = flow.reached(source)
    for reading, channels in reached.readings.items():
        axis = flow.weight_axis(reading)
        if axis is not None and axis.tensor == tensor:
            return channels.tolist()
    raise AssertionError(f"{tensor} reads nothing of it")


ORDER = [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (nn.Identity(), ORDER),
        (torch.relu, ORDER),
        (torch.sigmoid, ORDER),
        (nn.BatchNorm2d(4), ORDER),
        (nn.MaxPool2d(2), ORDER),
        (nn.Conv2d(4, 4, 1, groups=4), ORDER),
        (lambda x: x.flip(1), [3, 2, 1, 0]),
        (lambda x: torch.roll(x, 1, 1), [3, 0, 1, 2]),
        (lambda x: x.flip(2), ORDER),
        (lambda x: x.transpose(2, 3), ORDER),
        (nn.ChannelShuffle(2), [0, 2, 1, 3]),
        (lambda x: torch.cat([x, x], 1), [*ORDER, *ORDER]),
        (lambda x: x.repeat_interleave(2, 1), [0, 0, 1, 1, 2, 2, 3, 3]),
        (lambda x: x[:, 1:3], [1, 2]),
        (lambda x: x * x.sum(1, keepdim=True).sigmoid(), ORDER),
        (nn.GroupNorm(1, 4), ORDER),
        (lambda x: x.softmax(1), ORDER),
        (lambda x: x + x.flip(1), [MIXED] * 4),
        (lambda x: torch.cat([x[:, :2], torch.zeros_like(x[:, 2:])], 1), [0, 1, UNMOVED, UNMOVED]),
    ],
)
def test_what_a_layer_reads_moves_with_the_channels_that_come_to_it(between, expected):
    assert read_by(Between(between, len(expected)), "second.weight") == expected


def test_a_statistic_over_channels_is_noted():
    for between, expected in ((nn.GroupNorm(1, 4), True), (nn.BatchNorm2d(4), False)):
        flow = flow_of(Between(between, 4), torch.randn(2, 1, 3, 3))
        assert bool(flow.reached(flow.sources.layers()[0]).statistics) is expected


def test_channels_that_leave_the_network_are_noted():
    flow = flow_of(Between(nn.Identity(), 4), torch.randn(2, 1, 3, 3))
    first, second = flow.sources.layers()
    assert not flow.reached(first).outputs
    assert flow.reached(second).outputs


class Weights(nn.Module):
    """One layer and a parameter that a function reads in some way."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.kind = nn.Linear(3, 4), kind
        self.matrix = nn.Parameter(
            torch.randn(4, 5) if kind in ("right", "io") else torch.randn(5, 4)
        )

    def forward(self, x):
        y = self.first(x)
        kinds = {
            "right": lambda: y @ self.matrix,
            "turned": lambda: y @ self.matrix.t(),
            "linear": lambda: F.linear(y, self.matrix),
            "io": lambda: torch.einsum("nti,io->nto", y, self.matrix),
            "left": lambda: self.matrix @ y.transpose(1, 2),
            "conv": lambda: F.conv1d(y.transpose(1, 2), self.matrix[:, :, None]),
            "view": lambda: F.linear(y, self.matrix.view(5, 2, 2).flatten(1)),
        }
        return kinds[self.kind]()


@pytest.mark.parametrize("kind", ["right", "turned", "linear", "io", "left", "conv", "view"])
def test_a_parameter_is_read_along_the_axis_that_is_summed_over(kind):
    flow = flow_of(Weights(kind), torch.randn(2, 6, 3))
    reached = flow.reached(flow.sources.layers()[0])
    (reading,) = reached.readings
    axis = flow.weight_axis(reading)
    assert axis.tensor == "matrix"
    assert flow.record.values[flow.record.leaves["matrix"]].shape[axis.axis] == 4
    assert reached.readings[reading][axis.entries.flatten().argsort()].tolist() == ORDER


def test_a_weight_that_is_computed_is_no_axis_of_a_parameter():
    class Scaled(Weights):
        def forward(self, x):
            return F.linear(self.first(x), 2 * self.matrix)

    flow = flow_of(Scaled("linear"), torch.randn(2, 6, 3))
    (reading,) = flow.reached(flow.sources.layers()[0]).readings
    assert flow.weight_axis(reading) is None
    assert flow.weight_names(reading) == ("matrix",)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(3, 4) for _ in range(3))
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        return self.out(scores.softmax(-1) @ self.value(x))


def test_queries_and_keys_end_in_their_product_and_values_pass_through_theirs():
    flow = flow_of(Attention(), torch.randn(2, 6, 3))
    reached = {s.tensor: flow.reached(s) for s in flow.sources.layers()}
    (query,), (key,) = reached["query.weight"].readings, reached["key.weight"].readings
    assert flow.is_product_of_data(query)
    assert (query.place, query.side, key.side) == (key.place, 0, 1)
    # Of each example, in the order of channels.
    assert reached["query.weight"].readings[query].tolist() == [*ORDER, *ORDER]
    (value,) = reached["value.weight"].readings
    assert flow.weight_axis(value).tensor == "out.weight"


def test_parts_of_a_channel_are_told_by_blocks_or_side_by_side():
    gated = Between(lambda x: F.glu(x, 1), 2)
    assert read_by(gated, "second.weight") == [0, 1]
    shuffled = Between(nn.PixelShuffle(2), 2, channels=8)
    assert read_by(shuffled, "second.weight") == [0, 1]


def test_a_network_whose_outputs_are_not_numbers_is_seen_up_to_there():
    assert (
        read_by(Between(lambda x: torch.log(x - 1e9).nan_to_num() + x, 4), "second.weight") == ORDER
    )
