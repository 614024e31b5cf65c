"""Channels behind any moves of axes and entries: which entries of a weight read which channel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces.trace_groups import trace_groups

CHANNELS, SIZE = 4, 2


class Moved(nn.Module):
    """Four channels of 2 x 2, which ``moves`` move about before a head reads all entries."""

    def __init__(self, moves) -> None:
        super().__init__()
        self.moves = moves
        self.inner, self.head = nn.Conv2d(1, CHANNELS, 1), nn.Linear(CHANNELS * SIZE**2, 2)

    def forward(self, x):
        x = self.inner(x)
        for kind, one, other in self.moves:
            x = MOVES[kind](x, 1 + one % (x.ndim - 1), 1 + other % (x.ndim - 1))
        return self.head(x.flatten(1))


def split(x, axis, _):
    """Part an axis of even length in two."""
    return x if x.shape[axis] % 2 else x.unflatten(axis, (2, -1))


def merge(x, axis, _):
    """Join an axis with the next one."""
    return x.flatten(axis, min(axis + 1, x.ndim - 1))


MOVES = {
    "transpose": lambda x, one, other: x.transpose(one, other),
    "permute": lambda x, one, _: x.permute(0, *range(one, x.ndim), *range(1, one)),
    "flip": lambda x, one, _: x.flip(one),
    "roll": lambda x, one, _: torch.roll(x, 1, one),
    "merge": merge,
    "split": split,
}

moves = st.lists(
    st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 5), st.integers(0, 5)),
    min_size=1,
    max_size=5,
)


@torch.no_grad()
def channels_read(module):
    """Return the channel that each entry of the head's input follows, by pushing one at a time."""
    seen = []
    module.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].clone()))
    module.inner.weight.zero_()
    for channel in range(CHANNELS):
        module.inner.bias.zero_()[channel] = 1
        module(torch.zeros(1, 1, SIZE, SIZE))
    return torch.stack(seen).argmax(0)


def in_order(channels):
    """Tell whether channels stand in their order, each as often, in one block or several."""
    return any(
        torch.equal(
            channels,
            torch.arange(CHANNELS)
            .repeat_interleave(repeat)
            .repeat(len(channels) // CHANNELS // repeat),
        )
        for repeat in (1, 2, 4)
    )


@settings(max_examples=40, deadline=None)
@given(moves)
def test_a_group_reads_what_moves_with_its_channels_or_there_is_none(moved):
    module = Moved(moved)
    found = trace_groups(module, (torch.zeros(2, 1, SIZE, SIZE),))
    channels = channels_read(module)
    if not found.groups:
        relies_on_an_even_width = any(kind == "split" for kind, _, _ in moved)
        assert relies_on_an_even_width or not in_order(channels)
        assert found.reasons["inner"]
        return
    (group,) = found.groups
    (reader,) = [member for member in group.members if member.reads]
    assert reader.tensor == "head.weight"
    maker = next(member for member in group.members if member.tensor == "inner.weight")
    for channel in range(group.size):  # some of the layer's may go together
        one = torch.tensor([channel])
        made, read = (member.entries(one, group.size) for member in (maker, reader))
        there = (channels.unsqueeze(1) == made).any(1)
        assert sorted(read.tolist()) == there.nonzero().flatten().tolist()


def test_the_moves_are_those_of_the_cases_that_went_wrong():
    last = (("permute", 1, 0),)  # channels last: (N, H, W, C)
    assert channels_read(Moved(last)).tolist() == [0, 1, 2, 3] * SIZE**2
    assert channels_read(Moved((("flip", 0, 0),))).tolist() == [3] * 4 + [2] * 4 + [1] * 4 + [0] * 4
