"""How do weights come from a seed alone, with torch's own generator left as it was?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from search_spaces import SearchSpace


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's default generator (fresh weights, dropout) inside, and restore it after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build_full(space: SearchSpace, seed: int) -> nn.Module:
    """Build the full configuration with weights drawn from ``seed`` and nothing else."""
    with seeded(seed):
        return space.build(space.largest())
