"""The checks of the benchmark of real networks: they find what shape checks cannot."""

import copy

import pytest
import torch
from real_networks_truth import (
    difference,
    flop_counter_macs,
    products,
    stirred,
    without_channels,
)
from torch import nn

from growsearch.growth.surgery.surgeon import Surgeon
from search_spaces import ChannelGroup, Member


def _group(size, *members):
    return ChannelGroup(name="g", size=size, members=tuple(Member(**each) for each in members))


def _made(*, blocks):
    """Two convolutions with a flatten between: channels are outermost in what is flattened."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    layout = {"blocks": 4} if blocks else {"repeat": 4}
    out = [{"tensor": f"{layer}.{leaf}", "axis": 0} for layer, leaf in _OUT]
    group = _group(4, *out, {"tensor": "3.weight", "axis": 1, **layout})
    return stirred(net.double().eval()), group


_OUT = [("0", "weight"), ("0", "bias")] + [
    ("1", leaf) for leaf in ("weight", "bias", "running_mean", "running_var")
]


@pytest.mark.parametrize(("blocks", "right"), [(False, True), (True, False)])
def test_a_group_in_the_wrong_layout_is_found_though_every_shape_fits(blocks, right):
    full, group = _made(blocks=blocks)
    live = torch.tensor([True, False, True, True])
    compact = copy.deepcopy(full)
    Surgeon(compact, (group,)).seed(live)
    deaf = without_channels(full, compact, (group,), {"g": live.nonzero().flatten()})
    x = (torch.randn(5, 2, 2, 2, dtype=torch.double),)
    assert (difference(compact, deaf, x) < 2e-6) is right


def test_a_norm_over_channels_is_compared_on_the_live_ones():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    net = stirred(net.double().eval())
    out = [
        {"tensor": f"{layer}.{leaf}", "axis": 0} for layer in "01" for leaf in ("weight", "bias")
    ]
    group = _group(6, *out, {"tensor": "2.weight", "axis": 1})
    live = torch.tensor([True, False, True, True, False, True])
    compact = copy.deepcopy(net)
    Surgeon(compact, (group,)).seed(live)
    deaf = without_channels(net, compact, (group,), {"g": live.nonzero().flatten()})
    x = (torch.randn(5, 3, dtype=torch.double),)
    assert difference(compact, deaf, x) < 2e-6
    # With the full network's statistics it would be another function.
    with torch.no_grad():
        net[2].weight[:, ~live] = 0
    assert difference(compact, net, x) > 1e-3


def test_zeros_are_counted_where_the_kernel_gets_them():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 3)).eval()
    with torch.no_grad():
        net[0].weight[0] = 0
        net[2].weight[:2] = 0
    x = (torch.randn(1, 2, 4, 4),)
    found = products(net, x)
    # 2 x 2 places, three filters of 9 weights; one row of 16 weights.
    assert found.macs == 4 * 27 + 16
    assert flop_counter_macs(net, x) == 4 * 36 + 48
    assert sorted(found.operands) == [(36, 9), (48, 32)]


def test_zeros_that_the_forward_pass_fills_again_are_not_counted():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return nn.functional.conv2d(x, weight)

    net = Standardised(2, 4, 3, bias=False).eval()
    with torch.no_grad():
        net.weight[:, 0] = 0
    assert products(net, (torch.randn(1, 2, 3, 3),)).macs == 72
