import pytest
import torch
from torch import nn

from search_spaces.trace_groups import trace_groups
from search_spaces.tracing import channel_flow
from search_spaces.tracing.channel_codes import MIXED, UNMOVED
from search_spaces.tracing.channel_relays import Reading, is_whole, renamed, together


def test_a_relays_channels_are_named_by_those_of_the_source():
    numbers = torch.tensor([2, 0, 1])
    decoded = torch.tensor([1, UNMOVED, 0, MIXED])
    reader = Reading(7, 1)
    assert renamed({reader: decoded}, numbers)[reader].tolist() == [0, UNMOVED, 2, MIXED]
    # Of two that meet the source may have moved one: nobody knows.
    assert renamed({reader: decoded}, torch.tensor([2, 0, UNMOVED])) is None
    assert not is_whole(torch.tensor([0, 0, 1]))


def test_two_ways_to_an_entry_agree_or_mix():
    one, other = torch.tensor([1, UNMOVED, 2, UNMOVED]), torch.tensor([1, 3, 0, UNMOVED])
    assert together(one, other).tolist() == [1, 3, MIXED, UNMOVED]


class Block(nn.Module):
    def __init__(self, width, inner, norm):
        super().__init__()
        self.norm, self.up, self.down = (
            norm(width),
            nn.Linear(width, inner),
            nn.Linear(inner, width),
        )

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Net(nn.Module):
    """Streams of several kinds: plain, shuffled between blocks, in halves, and beside itself."""

    def __init__(self, kind):
        super().__init__()
        self.kind, norm = kind, nn.LayerNorm if kind == "normed" else lambda _: nn.Identity()
        self.stem = nn.Linear(5, 8)
        self.blocks = nn.ModuleList(Block(8, 6, norm) for _ in range(3))
        self.side, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.stem(x)
        first = x
        for block in self.blocks:
            x = block(x)
            if self.kind == "flipped":
                x = x.flip(-1)
        if self.kind == "halves":
            one, other = x.chunk(2, -1)
            x = torch.cat([other, one], -1) + first
        if self.kind == "beside":
            x = x + torch.sigmoid(self.side(first))
        return self.head(x)


@pytest.mark.parametrize("kind", ["plain", "normed", "flipped", "halves", "beside"])
def test_with_and_without_relays_the_same_is_found(kind, monkeypatch):
    torch.manual_seed(0)
    network, inputs = Net(kind), (torch.zeros(2, 5),)
    found = trace_groups(network, inputs)
    monkeypatch.setattr(channel_flow, "relay_places", lambda _: frozenset())
    assert trace_groups(network, inputs) == found
    assert {"blocks.0.up", "blocks.1.up", "blocks.2.up"} <= {g.name for g in found.groups}
