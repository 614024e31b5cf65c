import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity import NOfM, sparsify, sparsify_n_of_m
from growsearch.sparsity.lasting_zeros import check_network_keeps_zeros
from growsearch.sparsity.maskable import tell_kept, unmaskable_layers


class Standardised(nn.Conv2d):
    """As in BiT: the weight has mean 0 and variance 1 whenever it is used."""

    def forward(self, x):
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, training=True, momentum=0.0)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


class Adapted(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        # One of the two starts at 0, so that nothing is added at first.
        self.up, self.down = (
            nn.Parameter(torch.zeros(outputs, 1)),
            nn.Parameter(torch.ones(inputs, 1)),
        )

    def forward(self, x):
        return F.linear(x, self.weight + self.up @ self.down.t(), self.bias)


class Scaled(nn.Conv2d):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 2.0))

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.gain, self.bias)


class Padded(nn.Conv1d):
    def forward(self, x):
        return super().forward(F.pad(x, (2, 0)))


class TwoInputs(nn.Linear):
    def forward(self, x, y):
        return super().forward(x) + y


class Clamped(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight.clamp(-1, 1), self.bias)


@pytest.mark.parametrize("make", [lambda: Standardised(4, 8, 3), lambda: Adapted(4, 8)])
def test_a_layer_in_which_zeros_come_back_gets_no_mask(make, generator):
    network = nn.Sequential(make())
    before = network[0].weight.clone()
    kind = type(network[0]).__name__
    with pytest.raises(UsageError, match=rf"^0\.weight: {kind} computes with another weight"):
        sparsify(network, sparsity=0.5, generator=generator)
    with pytest.raises(UsageError, match=r"^0\.weight"):
        sparsify_n_of_m(network, NOfM(2, 4), generator=generator)
    assert torch.equal(network[0].weight, before)
    assert not any("mask" in name for name in network.state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scaled(4, 8, 3),
        lambda: Padded(4, 8, 3),
        lambda: TwoInputs(4, 8),
        lambda: Clamped(4, 8),
        lambda: nn.Conv2d(4, 8, 3),
    ],
)
def test_a_layer_that_keeps_zeros_is_masked_whatever_else_it_does(make, generator):
    network = nn.Sequential(make())
    masks = sparsify(network, sparsity=0.5, generator=generator)
    assert masks.zeros == network[0].weight.numel() // 2


def test_weights_with_channels_innermost_are_tried_too():
    network = nn.Sequential(Standardised(4, 8, 3)).to(memory_format=torch.channels_last)
    with pytest.raises(UsageError, match=r"^0\.weight"):
        check_network_keeps_zeros(network, (torch.zeros(1, 4, 6, 6),))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_such_a_layer_may_be_excluded(generator):
    network = nn.Sequential(Standardised(4, 8, 3), nn.Conv2d(8, 8, 3))
    masks = sparsify(network, sparsity=0.4, generator=generator, exclude=["0.weight"])
    assert masks.names == ("1.weight",)


class Functional(nn.Module):
    """Reads its layer's weight, and lets no zero of it be."""

    def __init__(self, shift):
        super().__init__()
        self.conv, self.head, self.shift = nn.Conv2d(1, 4, 3), nn.Linear(4, 2), shift

    def forward(self, x):
        return self.head(F.conv2d(x, self.conv.weight - self.shift).mean((2, 3)))


def test_a_network_in_which_zeros_come_back_is_refused_and_left_as_it_was():
    network, inputs = Functional(1.0), (torch.zeros(1, 1, 6, 6),)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UsageError, match=r"^conv\.weight: Conv2d computes with another weight"):
        check_network_keeps_zeros(network, inputs)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    check_network_keeps_zeros(Functional(0.0), inputs)


def test_layers_that_stay_for_one_reason_are_told_in_one_line(caplog):
    module = nn.Sequential(*(Standardised(4, 4, 1) for _ in range(3)), nn.Conv2d(4, 2, 1))
    with caplog.at_level(logging.WARNING):
        tell_kept("OneLineNet", unmaskable_layers(module))
        tell_kept("OneLineNet", unmaskable_layers(module))
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("OneLineNet: 0.weight and 2 others stay as they are: 0.weight: Standard")
