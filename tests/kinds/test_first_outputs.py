"""Own networks that are NaN before any update: refused before anything trains."""

import pytest
import torch
from torch import nn

from growsearch.datasets import from_tensors
from growsearch.errors import UsageError
from growsearch.kinds.checking.own_networks import check_own_network

DATA = from_tensors(1 + torch.rand(60, 4), torch.arange(60) % 3)


class Scaled(nn.Module):
    """Divides by the length of its inputs: NaN on zeros, which no data are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x / x.norm(dim=1, keepdim=True))


class Logarithm(Scaled):
    def forward(self, x):
        return torch.log(self.layer(x) - 1e9)


def test_outputs_that_are_nan_on_the_first_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="its outputs are NaN on the first training examples"):
        check_own_network(Logarithm(), DATA, masked=True)


def test_outputs_that_are_nan_on_zeros_alone_are_not() -> None:
    network = Scaled()
    check_own_network(network, DATA, masked=True)
    assert bool(network(torch.zeros(1, 4)).isnan().all())
