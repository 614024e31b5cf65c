import itertools

import pytest
import torch

from search_spaces.tracing.channel_codes import MIXED, UNMOVED, ChannelCodes


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 20, 71])
def test_every_channel_is_told_and_no_two_together_are_taken_for_one(channels):
    codes = ChannelCodes(channels)
    words = codes.words
    assert torch.equal(codes.decoded(words.T), torch.arange(channels))
    assert bool(words.any(dim=0).all()) or channels == 1
    pairs = list(itertools.combinations(range(channels), 2))
    if pairs:
        both = torch.stack([words[one] | words[other] for one, other in pairs])
        assert bool((codes.decoded(both.T) == MIXED).all())
    nothing = torch.zeros(words.shape[1], 1, dtype=torch.bool)
    assert codes.decoded(nothing).tolist() == [UNMOVED]


def test_a_thousand_channels_take_thirteen_runs_of_about_half_of_them():
    words = ChannelCodes(1000).words
    assert words.shape[1] == 13
    assert bool((words.float().mean(dim=0) > 0.4).all())
