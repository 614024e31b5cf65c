import torch
from torch import nn

from growsearch.datasets import Dataset, Split
from growsearch.kinds.checking.own_networks import check_own_network
from growsearch.sparsity import Coverage, mask_coverage, sparsify
from growsearch.sparsity.coverage import maskable_note


class Mixed(nn.Module):
    """One linear layer, a matrix of the network's own, a standardised layer and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(8, 30))
        self.first, self.standard, self.head = nn.Linear(30, 4), Standardised(4, 4), nn.Linear(4, 3)
        self.shift = nn.Parameter(torch.zeros(1, 30))

    def forward(self, x):
        return self.head(self.standard(self.first(x @ self.own + self.shift)))


class Standardised(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight - self.weight.mean(), self.bias)


INPUTS = (torch.randn(2, 8),)
# All that is multiplied by; the shift is not.
MATRIX = 8 * 30 + 30 * 4 + 4 * 4 + 4 * 3


def test_coverage_is_of_all_that_a_network_multiplies_by(generator):
    network = Mixed()
    assert mask_coverage(network, INPUTS) == Coverage(masked=0, zeros=0, matrix=MATRIX)
    masks = sparsify(network, sparsity=0.5, generator=generator)
    found = mask_coverage(network, INPUTS)
    assert found == Coverage(masked=132, zeros=66, matrix=MATRIX)
    assert masks.density == 0.5
    assert found.share == 132 / MATRIX
    assert found.summary.endswith("50.0 % of them are zero, 17.0 % of all")


def test_a_study_is_told_what_masks_cannot_touch_before_it_trains():
    split = Split(inputs=torch.randn(6, 8), labels=torch.arange(6) % 3)
    data = Dataset(name="tiny", train=split, validation=split, test=split, num_classes=3)
    dense, covered = check_own_network(Mixed(), data, masked=True)
    assert dense.startswith("standard.weight: Standardised computes with another weight")
    assert dense.endswith("it stays dense")
    assert covered.startswith("masks can touch 34.0 % of its 388 matrix weights")
    assert check_own_network(Mixed(), data, masked=False) == ()
    assert maskable_note(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), INPUTS) == ""
