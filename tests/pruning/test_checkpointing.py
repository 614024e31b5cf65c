"""Blocks that are run again in the backward pass are pruned and counted as others are."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import cost_models
from growsearch.datasets import Dataset
from growsearch.growth import Budget
from growsearch.pruning import PruneConfig, prune
from growsearch.training import Recipe


class Checkpointed(nn.Module):
    """A stem, a hidden layer inside a block, and a head; ``reentrant`` is None for a plain call."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.reentrant = reentrant
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 8, 1)
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        if self.reentrant is None:
            x = self.block(x)
        else:
            x = checkpoint(self.block, x, use_reentrant=self.reentrant)
        return self.head(x.mean(dim=(2, 3)))


def macs_by_hand(stem: int, hidden: int, out: int) -> int:
    """Return the MACs on 8 x 8 images; a BatchNorm takes none."""
    return 64 * (9 * stem + 9 * stem * hidden + hidden * out) + 10 * out


# Torch says so of every run without gradients, such as an evaluation.
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_blocks_are_pruned_to_the_budget_and_counted_exactly(
    reentrant: bool, digits: Dataset
) -> None:
    config = PruneConfig(recipe=Recipe(epochs=2, learning_rate=0.01), importance="taylor", steps=2)
    plain = prune(Checkpointed(None), digits, budget=Budget(macs=0.5), config=config)
    result = prune(Checkpointed(reentrant), digits, budget=Budget(macs=0.5), config=config)
    assert result.full_macs == macs_by_hand(8, 12, 8)
    small = result.model
    assert isinstance(small, Checkpointed)
    convs = [small.stem, small.block[0], small.block[-1]]
    assert result.macs == macs_by_hand(*(conv.weight.shape[0] for conv in convs))
    assert 0.4 * result.full_macs <= result.macs <= result.limit == plain.limit
    inputs = (torch.zeros(1, 1, 8, 8),)
    assert cost_models.trace(small, inputs).dense_macs == result.macs
    assert result.parameters == sum(p.numel() for p in small.parameters())
    # The same weights learn the same: what is kept does not depend on when it is computed.
    assert result.architecture.choices == plain.architecture.choices
    assert all(
        torch.allclose(value, plain.model.state_dict()[name], atol=1e-5)
        for name, value in small.state_dict().items()
        if "running" not in name and "num_batches" not in name
    )
