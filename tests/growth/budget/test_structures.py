"""Channels and units in one flat numbering; the tiny example is written out by hand."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.growth.budget.structures import Structures

# Stream of 2, inside of unit u 3 channels, of unit v 1 channel; then the units u and v.
STRUCTURES = Structures(
    names=("stream", "u.in", "v.in", "u", "v"),
    sizes=(2, 3, 1, 1, 1),
    inside={"u": ("u.in",), "v": ("v.in",)},
)


def mask(text):
    return torch.tensor([digit == "1" for digit in text.replace(" ", "")])


def test_units_stand_behind_the_channels():
    assert STRUCTURES.total == 8
    assert STRUCTURES.starts() == [0, 2, 5, 6, 7]
    assert STRUCTURES.group_of() == [0, 0, 1, 1, 1, 2, 3, 4]
    assert torch.equal(STRUCTURES.are_units(), mask("00 000 0 1 1"))
    assert STRUCTURES.groups_inside() == {3: [1], 4: [2]}


def test_a_group_keeps_one_channel_and_a_unit_may_go():
    assert STRUCTURES.floors == (1, 1, 1, 0, 0)
    assert torch.equal(STRUCTURES.first_of_each(), mask("10 100 1 0 0"))
    assert torch.equal(STRUCTURES.seed(), mask("10 000 0 0 0"))


def test_the_indicator_of_a_unit_takes_precedence_over_those_inside_it():
    wanted = mask("11 101 1 0 1")
    assert torch.equal(STRUCTURES.running(wanted), mask("11 000 1 0 1"))
    assert torch.equal(wanted, mask("11 101 1 0 1"))


def test_structures_are_counted_by_name():
    live = mask("11 101 0 1 0")
    assert STRUCTURES.counts(live) == [2, 2, 0, 1, 0]
    assert STRUCTURES.widths(live) == {"stream": 2, "u.in": 2, "v.in": 0, "u": 1, "v": 0}
    assert STRUCTURES.sums(torch.tensor([0.5, 1, 0, 0, 2, 3, 4, 5])) == [1.5, 2, 3, 4, 5]


@given(st.lists(st.booleans(), min_size=8, max_size=8).map(torch.tensor))
def test_what_runs_needs_no_second_look(live):
    once = STRUCTURES.running(live)
    assert torch.equal(STRUCTURES.running(once), once)
    assert not (once & ~live).any()
