"""Reasons why a layer keeps its width: they say what was seen, and no more."""

import pytest
import torch
from torch import nn

from search_spaces.trace_groups import trace_groups

X = torch.zeros(2, 1, 6, 6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.head, self.prototypes = nn.Linear(12, 3), nn.Parameter(torch.randn(3, 12))

    def between(self, x):
        return x

    def forward(self, x):
        return self.head(torch.relu(self.b(self.between(self.a(x)))).mean((2, 3)))


def kept(network):
    """Return why each group loses no channels, "" where it may."""
    return {group.name: group.kept for group in trace_groups(network, (X,)).groups}


class Detached(Net):
    def between(self, x):
        return x.detach()


class Rounded(Net):
    def between(self, x):
        return torch.round(10 * x)


class Distances(Net):
    def forward(self, x):
        return -torch.cdist(self.b(self.a(x)).mean((2, 3)), self.prototypes)


class Turned(Net):
    def between(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])


class CutOff(Net):
    """Rows of zeros come before those of `a` along the batch, and alone are put out."""

    def between(self, x):
        return torch.cat([torch.zeros_like(x), x])

    def forward(self, x):
        return super().forward(x)[: len(x)]


class Closed(Net):
    def between(self, x):
        return torch.relu(-1 - x.abs())


@pytest.mark.parametrize("make", [Rounded, Detached])
def test_what_passes_on_no_gradient_is_heard_all_the_same(make):
    assert kept(make()) == {"a": "", "b": ""}


@pytest.mark.parametrize("make", [CutOff, Closed])
def test_channels_that_no_output_heard_are_told_to_be_unproven_and_no_more(make):
    found = kept(make())
    assert found.pop("a").startswith(
        "no effect of its channels on the outputs was seen on random inputs"
    )
    assert found == {"b": ""}


def test_channels_that_a_distance_reads_are_no_outputs():
    found = trace_groups(Distances(), (X,))
    assert found.reasons["b"] == (
        "its channels come to the outputs through no layer that takes them in one by one"
    )
    assert trace_groups(Net(), (X,)).reasons["head"] == "its channels are outputs of the network"


def test_channels_whose_way_is_not_known_are_not_told_to_be_unread():
    reason = trace_groups(Turned(), (X,)).reasons["a"]
    assert reason.startswith("no layer was found that takes in its channels one by one")
