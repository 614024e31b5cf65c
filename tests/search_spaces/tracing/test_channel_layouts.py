"""Layers whose tensors or attributes lie otherwise than (out, in, ...)."""

import pytest
import torch
from torch import nn

from search_spaces import ChannelGroup, Member, SearchSpaceError, resize
from search_spaces.channel_groups import is_consumed, sync_attributes
from search_spaces.group_builder import GroupBuilder
from search_spaces.trace_groups import declare_groups

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@pytest.mark.parametrize("kind", TRANSPOSED)
@pytest.mark.parametrize(("groups", "width"), [(1, 6), (2, 6), (8, 8), (8, 16)])
def test_attributes_of_a_transposed_convolution_stay_when_another_layer_is_resized(
    kind, groups, width
):
    layer = kind(8, width, 3, groups=groups)
    sync_attributes(layer)
    assert (layer.in_channels, layer.out_channels, layer.groups) == (8, width, groups)


class Up(nn.Module):
    def __init__(self, kind, conv, norm):
        super().__init__()
        self.first, self.norm1 = conv(1, 4, 3, padding=1), norm(4)
        self.up, self.norm2 = kind(4, 6, 2, 2), norm(6)
        self.each, self.norm3 = kind(6, 6, 2, 2, groups=6), norm(6)
        self.last = conv(6, 3, 1)

    def forward(self, x):
        x = self.norm2(self.up(torch.relu(self.norm1(self.first(x)))))
        return self.last(torch.relu(self.norm3(self.each(torch.relu(x)))))

    def channel_groups(self):
        builder = GroupBuilder(self)
        builder.produced_by("in", self.first, self.norm1)
        builder.consumed_by("in", self.up)
        builder.produced_by("up", self.up, self.norm2, self.each, self.norm3)
        builder.consumed_by("up", self.last)
        return builder.groups()


@pytest.mark.parametrize(
    ("kind", "conv", "norm", "places"),
    [
        (TRANSPOSED[0], nn.Conv1d, nn.BatchNorm1d, 1),
        (TRANSPOSED[1], nn.Conv2d, nn.BatchNorm2d, 2),
        (TRANSPOSED[2], nn.Conv3d, nn.BatchNorm3d, 3),
    ],
)
def test_transposed_convolutions_are_declared_and_resized_on_their_own_axes(
    kind, conv, norm, places
):
    module = Up(kind, conv, norm)
    groups = {group.name: group for group in module.channel_groups()}
    assert Member(tensor="up.weight", axis=0) in groups["in"].members
    assert Member(tensor="up.weight", axis=1) in groups["up"].members
    assert Member(tensor="each.weight", axis=0) in groups["up"].members
    assert is_consumed(module, Member(tensor="up.weight", axis=0))
    assert not is_consumed(module, Member(tensor="up.weight", axis=1))
    assert not is_consumed(module, Member(tensor="each.weight", axis=0))
    resize(module, {"in": 3, "up": 5})
    assert module.up.weight.shape[:2] == (3, 5)
    assert (module.up.in_channels, module.up.out_channels) == (3, 5)
    assert (module.each.in_channels, module.each.groups, module.each.out_channels) == (5, 5, 5)
    assert module(torch.randn(2, 1, *([3] * places))).shape[1] == 3


def test_a_grouped_transposed_convolution_cannot_be_declared_as_a_reader():
    layer = nn.Sequential(nn.ConvTranspose2d(8, 6, 3, groups=2))
    with pytest.raises(SearchSpaceError, match="name it in produced_by"):
        GroupBuilder(layer).consumed_by("in", layer[0])


def test_heads_of_attention_keep_their_size_when_their_number_changes():
    module = nn.Sequential(nn.MultiheadAttention(12, 3, batch_first=True))
    members = [
        Member(tensor="0.in_proj_weight", axis=0, repeat=4, blocks=3),
        Member(tensor="0.in_proj_weight", axis=1, repeat=4),
        Member(tensor="0.in_proj_bias", axis=0, repeat=4, blocks=3),
        Member(tensor="0.out_proj.weight", axis=0, repeat=4),
        Member(tensor="0.out_proj.weight", axis=1, repeat=4),
        Member(tensor="0.out_proj.bias", axis=0, repeat=4),
    ]
    declare_groups(module, (ChannelGroup(name="heads", size=3, members=tuple(members)),))
    resize(module, {"heads": 2})
    attention = module[0]
    assert (attention.embed_dim, attention.num_heads, attention.head_dim) == (8, 2, 4)
    x = torch.randn(2, 5, 8)
    assert attention(x, x, x)[0].shape == (2, 5, 8)


def test_a_cell_and_norms_follow_their_tensors():
    cell, norm = nn.GRUCell(3, 4), nn.RMSNorm(4)
    cell.weight_hh = nn.Parameter(torch.zeros(6, 2))
    norm.weight = nn.Parameter(torch.ones(2))
    plain = nn.BatchNorm2d(4, track_running_stats=False)
    plain.weight = nn.Parameter(torch.ones(2))
    for layer in (cell, norm, plain):
        sync_attributes(layer)
    assert (cell.input_size, cell.hidden_size) == (3, 2)
    assert norm.normalized_shape == (2,)
    assert plain.num_features == 2
