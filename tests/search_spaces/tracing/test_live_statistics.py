"""Norms over channels, found by what they do, and their statistics over some channels only."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.trace_groups import trace_groups
from search_spaces.tracing.live_statistics import find_norms, norm_of


class LlamaNorm(nn.Module):
    """As Llama's: the mean square in single precision, epsilon inside the root."""

    def __init__(self, width) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(width)), 1e-6

    def forward(self, x):
        single = x.to(torch.float32)
        single = single * torch.rsqrt(single.pow(2).mean(-1, True) + self.variance_epsilon)
        return self.weight * single.to(x.dtype)


class GemmaNorm(LlamaNorm):
    """As Gemma's: one more than the weight is the scale, and the mean drops its axis."""

    def forward(self, x):
        square = x.pow(2).mean(-1) + self.variance_epsilon
        return x / square.sqrt().unsqueeze(-1) * (1 + self.weight)


class ChannelsFirst(nn.Module):
    """As ConvNeXt's: a LayerNorm over axis 1, by hand."""

    def __init__(self, width) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.small = 1e-4

    def forward(self, x):
        centred = x - x.mean(1, keepdim=True)
        out = centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + self.small)
        return self.gain[:, None, None] * out + self.shift[:, None, None]


class LayerNorm2d(nn.LayerNorm):
    """As torchvision's: the channels are the last axis for a moment."""

    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias)
        return x.permute(0, 3, 1, 2)


class Scaled(nn.Module):
    """A LayerNorm and more: its output is another function of the input."""

    def __init__(self, more) -> None:
        super().__init__()
        self.weight, self.more = nn.Parameter(torch.ones(6)), more

    def forward(self, x):
        return self.more(F.layer_norm(x, (6,), self.weight))


@pytest.mark.parametrize(
    ("layer", "shape", "axes", "centred", "eps"),
    [
        (nn.LayerNorm(6, eps=1e-3), (2, 5, 6), (-1,), True, 1e-3),
        (nn.LayerNorm((6, 3)), (2, 6, 3), (-2, -1), True, 1e-5),
        (nn.RMSNorm(6), (2, 5, 6), (-1,), False, None),
        (nn.GroupNorm(1, 6), (2, 6, 3, 3), (1, 2, 3), True, 1e-5),
        (LlamaNorm(6), (2, 5, 6), (-1,), False, 1e-6),
        (GemmaNorm(6), (2, 5, 6), (-1,), False, 1e-6),
        (ChannelsFirst(6), (2, 6, 3, 3), (1,), True, 1e-4),
        (LayerNorm2d(6), (2, 6, 3, 3), (1,), True, 1e-5),
    ],
)
def test_what_a_module_does_to_its_channels_says_which_norm_it_is(layer, shape, axes, centred, eps):
    norm = norm_of(layer, torch.randn(shape))
    assert norm is not None
    assert (norm.axes, norm.centred, norm.eps) == (axes, centred, eps)


@pytest.mark.parametrize(
    "layer",
    [
        *(Scaled(more) for more in (torch.relu, torch.tanh, lambda x: x * x.abs(), torch.cumsum)),
        *(nn.GroupNorm(2, 6), nn.Softmax(-1), nn.ReLU(), nn.Identity(), nn.BatchNorm1d(6)),
    ],
)
def test_a_module_that_does_anything_else_is_no_norm(layer):
    assert norm_of(layer.eval(), torch.randn(2, 6, 6)) is None


@pytest.mark.parametrize(
    ("layer", "shape"), [(GemmaNorm(6), (2, 5, 6)), (ChannelsFirst(6), (2, 6, 3, 3))]
)
def test_live_statistics_are_those_of_a_norm_that_holds_the_live_channels_only(layer, shape):
    x = 3 * torch.randn(shape).double() + 1
    live = torch.tensor([True, False, True, True, False, True])
    norm, layer = norm_of(layer.double(), x), layer.double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    out = norm.live_output(layer, x, live)
    small = type(layer)(4).double()
    for own, full in zip(small.parameters(), layer.parameters(), strict=True):
        own.data = full.data[live]
    channels = live.nonzero().flatten()
    kept = out.index_select(norm.channels, channels)
    torch.testing.assert_close(kept, small(x.index_select(norm.channels, channels)))


class Residual(nn.Module):
    """A stream of 8 with LayerScale that norms read, added to and read once more."""

    def __init__(self, norm, width=8) -> None:
        super().__init__()
        self.embed, self.norm, self.last = nn.Linear(5, width), norm(width), norm(width)
        self.expand, self.contract = nn.Linear(width, 7), nn.Linear(7, width)
        self.scale, self.head = nn.Parameter(torch.full((width,), 1e-5)), nn.Linear(width, 3)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.scale * self.contract(F.gelu(self.expand(self.norm(x))))
        return self.head(self.last(x))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, LlamaNorm, GemmaNorm])
def test_a_stream_that_is_normalised_names_its_norms_and_can_lose_channels(norm):
    found = trace_groups(Residual(norm), (torch.zeros(2, 4, 5),))
    groups = {group.name: group for group in found.groups}
    assert (groups["embed"].normalised, groups["embed"].kept) == (("norm", "last"), "")
    axes = {(member.tensor, member.axis) for member in groups["embed"].members}
    assert {("scale", 0), ("norm.weight", 0), ("contract.weight", 0), ("head.weight", 1)} <= axes
    assert groups["expand"].normalised == ()


def test_a_norm_that_no_module_does_alone_keeps_the_channels_of_its_stream():
    class Inline(Residual):
        def forward(self, x):
            x = self.embed(x)
            x = x + self.contract(self.expand(x * x.square().mean(-1, keepdim=True).rsqrt()))
            return self.head(self.last(x))

    found = trace_groups(Inline(nn.LayerNorm), (torch.zeros(2, 4, 5),))
    stream = next(group for group in found.groups if group.size == 8)
    assert stream.kept.startswith("without some of its channels the others change")


def test_norms_of_a_network_are_found_by_path_whatever_else_it_holds():
    network = Residual(LlamaNorm)
    assert set(find_norms(network, (torch.randn(2, 4, 5),))) == {"norm", "last"}
