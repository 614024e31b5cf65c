"""Batches of one size from a split, in a fresh order every epoch; the rest waits."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from growsearch.datasets.dataset import Split
from growsearch.training.tasks.task import InputsAndTargets


def whole_steps(split: Split, batch_size: int) -> int:
    """Return the number of whole batches in ``split``, at least one."""
    return max(1, len(split) // batch_size)


def whole_batches(
    split: Split, batch_size: int, generator: torch.Generator
) -> Iterator[InputsAndTargets]:
    """Return batches of inputs and labels (batch, ...); a small split is one batch of all."""
    size = min(batch_size, len(split))
    order = torch.randperm(len(split), generator=generator)
    return split.batches(size, order[: whole_steps(split, batch_size) * size])


def random_batch(split: Split, count: int, generator: torch.Generator) -> InputsAndTargets:
    """Return ``count`` examples of ``split``, or all of them."""
    chosen = split.at(torch.randperm(len(split), generator=generator)[:count])
    return chosen.inputs, chosen.labels
