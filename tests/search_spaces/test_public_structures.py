"""Small networks with the structure of public ones that a trace once got wrong or refused."""

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import resize
from search_spaces.trace_groups import declare_traced_groups, trace_groups

CLASSES = 3


class Ghost(nn.Module):
    """Half of the channels cheaply made of the others, and as many taken as are asked for."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.out_chs = outputs
        self.primary = nn.Sequential(nn.Conv2d(inputs, outputs // 2, 1), nn.ReLU())
        self.cheap = nn.Conv2d(outputs // 2, outputs // 2, 3, padding=1, groups=outputs // 2)

    def forward(self, x):
        first = self.primary(x)
        return torch.cat([first, self.cheap(first)], 1)[:, : self.out_chs]


class GhostNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(1, 6, 3), Ghost(6, 12), Ghost(12, 8)
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.classifier(self.two(F.relu(self.one(self.stem(x)))).mean((2, 3)))


def test_a_number_of_channels_that_are_taken_follows_where_fewer_would_run_without_it():
    module = GhostNet()
    found = declare_traced_groups(module, (torch.randn(2, 1, 6, 6),))
    assert set(found.fixed) == {"classifier"}
    followed = {
        (group.name, each.module, each.name, each.factor)
        for group in found.groups
        for each in group.attributes
    }
    assert followed == {
        ("one.primary.0", "one", "out_chs", 2),
        ("two.primary.0", "two", "out_chs", 2),
    }
    resize(module, {"one.primary.0": 9, "two.primary.0": 1})
    assert (module.one.out_chs, module.two.out_chs) == (18, 2)
    assert module(torch.randn(2, 1, 6, 6)).shape == (2, CLASSES)


class CosineAttention(nn.Module):
    """Attention by functions, whose keys have no bias: a part of a copy is set to zero."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        bias = self.qkv.bias.clone()
        length = bias.numel() // 3
        bias[length : 2 * length].zero_()
        qkv = F.linear(x, self.qkv.weight, bias)
        qkv = qkv.reshape(*x.shape[:2], 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = F.normalize(qkv[0], dim=-1), F.normalize(qkv[1], dim=-1), qkv[2]
        mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return F.linear(mixed.transpose(1, 2).flatten(2), self.proj.weight, self.proj.bias)


class CosineNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(5, 8), nn.LayerNorm(8)
        self.attention = CosineAttention(8, 2)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.attention(self.norm(x))
        return self.classifier((x + self.down(F.relu(self.up(x)))).mean(1))


def test_a_write_into_a_part_of_a_copy_of_a_bias_is_followed():
    module = CosineNet()
    found = declare_traced_groups(module, (torch.randn(2, 4, 5),))
    assert set(found.fixed) == {"classifier"}
    assert {(group.name, group.size, group.role) for group in found.groups} == {
        ("embed", 8, "embedding"),
        ("up", 12, "mlp"),
        ("attention heads", 2, "heads"),
    }
    assert not any(group.kept for group in found.groups)
    resize(module, {"embed": 7, "up": 5, "attention heads": 1})
    assert module.attention.qkv.weight.shape == (12, 7)
    assert module(torch.randn(2, 4, 5)).shape == (2, CLASSES)


class GrowingStream(nn.Module):
    """A stream that every branch makes larger, until one that is added is its last digit."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.classifier = nn.Linear(4, 6), nn.Linear(6, CLASSES)
        self.branches = nn.ModuleList(nn.Linear(6, 6) for _ in range(20))

    def forward(self, x):
        x = self.stem(x)
        for branch in self.branches:
            x = branch(x) + 8 * x
        return self.classifier(x)


def test_a_stream_of_huge_values_is_one_group():
    found = trace_groups(GrowingStream(), (torch.randn(2, 4),))
    assert set(found.fixed) == {"classifier"}
    assert [(group.name, group.size) for group in found.groups] == [("stem", 6)]
