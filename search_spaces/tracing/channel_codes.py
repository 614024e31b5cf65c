"""Channel codes: which channels move in which run, so that each is known by its runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Entries that no channel moves, and those that more than one does.
UNMOVED, MIXED = -1, -2


class ChannelCodes:
    """Code words of channels, one bit a run, as many ones in each as in any other.

    What moves in the runs of two channels moves in more runs than one channel does: it is no code
    word. With half of the bits ones, n runs tell n! / (n/2)!^2 channels apart (Sperner's theorem:
    no code does with fewer), where a number in binary and its complement take 2 log2(n).

    Example:
        >>> from search_spaces.tracing.channel_codes import ChannelCodes
        >>> codes = ChannelCodes(3)
        >>> codes.words.int().tolist()
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        >>> import torch
        >>> moved = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 0]]).bool()
        >>> codes.decoded(moved).tolist()
        [0, -2, -1]
    """

    def __init__(self, channels: int) -> None:
        runs = next(n for n in itertools.count(1) if math.comb(n, n // 2 or 1) >= channels)
        ones = runs // 2 or 1
        known = list(itertools.islice(itertools.combinations(range(runs), ones), _most(runs, ones)))
        # Spread over all words, so that every run moves about half of the channels.
        chosen = torch.tensor([known[c * len(known) // channels] for c in range(channels)])
        self.words = torch.zeros(channels, runs, dtype=torch.bool).scatter_(1, chosen, value=True)

    def decoded(self, moved: Sequence[Tensor] | Tensor) -> Tensor:
        """Return the channel that moves each entry, `UNMOVED` or `MIXED`, from runs (entries,)."""
        keys = _keys(torch.stack(list(moved), dim=1))
        table = torch.full((2 ** self.words.shape[1],), MIXED)
        table[0] = UNMOVED
        table[_keys(self.words)] = torch.arange(len(self.words))
        return table[keys]


def _most(runs: int, ones: int) -> int:
    return math.comb(runs, ones)


def _keys(bits: Tensor) -> Tensor:
    """Return each row (rows, bits) as a number."""
    return (bits.long() << torch.arange(bits.shape[1])).sum(dim=1)
