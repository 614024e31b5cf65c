import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cost_models import CostModelError, DenseWeight, NOfMWeight, UnstructuredWeight, trace
from cost_models.counting.sparsity_pattern import (
    holds,
    pattern_from_json,
    pattern_of_weight,
    pattern_to_json,
)


def weight(*rows: str) -> torch.Tensor:
    return torch.tensor([[float(each) for each in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "pattern"),
    [
        (("1111", "1111"), DenseWeight()),
        (("0000", "0000"), UnstructuredWeight(1.0)),
        (("1100", "0011"), NOfMWeight(2, 4)),
        (("1010", "0110"), NOfMWeight(1, 2)),
        (("1000", "0010"), NOfMWeight(1, 4)),
        (("1110", "0111"), NOfMWeight(3, 4)),
        (("11110000", "01010101"), NOfMWeight(4, 8)),
        (("1110", "0000"), UnstructuredWeight(0.625)),
        (("110", "011"), UnstructuredWeight(1 / 3)),
    ],
    ids=lambda value: str(value),
)
def test_a_pattern_is_read_off_the_rows_of_a_weight(rows, pattern):
    found = pattern_of_weight(weight(*rows))
    assert type(found) is type(pattern)
    assert found.sparsity == pytest.approx(pattern.sparsity)
    if isinstance(pattern, NOfMWeight):
        assert found == pattern


def test_a_convolution_is_grouped_along_its_unfolded_inputs():
    kernel = torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat(9).reshape(1, 4, 3, 3)
    assert pattern_of_weight(kernel) == NOfMWeight(2, 4)


def test_a_weight_that_happens_to_be_zero_does_not_hide_the_pattern():
    masked = torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat(8, 4)
    masked[3, 0] = 0.0
    assert pattern_of_weight(masked) == NOfMWeight(2, 4)


def test_a_very_sparse_weight_is_not_called_n_of_m_for_having_few_non_zeros():
    few = torch.zeros(8, 64)
    few[0, 0] = few[3, 40] = 1.0
    assert pattern_of_weight(few) == UnstructuredWeight(1 - 2 / 512)


@settings(deadline=None)
@given(st.integers(1, 4), st.sampled_from([2, 4, 8]), st.integers(0, 99))
def test_a_random_mask_of_a_pattern_is_recognised_with_its_sparsity(n, m, seed):
    n = min(n, m - 1)
    ranks = torch.rand(16, 4, m, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    mask = (ranks < n).float().reshape(16, 4 * m)
    found = pattern_of_weight(mask)
    assert isinstance(found, NOfMWeight)
    assert found.sparsity == 1 - n / m
    assert holds(NOfMWeight(n, m), mask)
    assert found.implies(NOfMWeight(n, m)) or found.m < m


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 7)] * 2), st.tuples(*[st.integers(1, 7)] * 2), st.integers(0, 99))
def test_what_a_pattern_implies_every_mask_of_it_holds(first, second, seed):
    (n, m), (other_n, other_m) = (
        (min(first[0], 3), 2 ** (first[1] % 3 + 1)),
        (
            min(second[0], 3),
            2 ** (second[1] % 3 + 1),
        ),
    )
    pattern = NOfMWeight(min(n, m - 1), m)
    other = NOfMWeight(min(other_n, other_m - 1), other_m)
    ranks = torch.rand(64, 16 // m, m, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    mask = (ranks < pattern.n).float().reshape(64, 16)
    if pattern.implies(other):
        assert holds(other, mask)


@pytest.mark.parametrize(
    ("pattern", "other", "implied"),
    [
        (NOfMWeight(2, 4), NOfMWeight(2, 4), True),
        (NOfMWeight(1, 2), NOfMWeight(2, 4), True),
        (NOfMWeight(1, 4), NOfMWeight(2, 4), True),
        (NOfMWeight(4, 8), NOfMWeight(2, 4), False),
        (NOfMWeight(2, 8), NOfMWeight(2, 4), True),
        (NOfMWeight(3, 4), NOfMWeight(2, 4), False),
        (NOfMWeight(2, 3), NOfMWeight(2, 4), False),
    ],
)
def test_patterns_that_a_two_of_four_machine_can_run(pattern, other, implied):
    assert pattern.implies(other) is implied


@pytest.mark.parametrize(("n", "m"), [(0, 4), (4, 4), (5, 4)])
def test_a_pattern_that_is_none_is_refused(n, m):
    with pytest.raises(CostModelError, match="need 1 <= n < m"):
        NOfMWeight(n, m)


def test_a_pattern_survives_plain_data():
    for pattern in (DenseWeight(), UnstructuredWeight(0.25), NOfMWeight(2, 4)):
        assert pattern_from_json(pattern_to_json(pattern)) == pattern


def test_a_trace_finds_the_pattern_along_a_layers_inputs_only():
    layer = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)[:, ::2] = 0.0
    (work,) = trace(layer, (torch.zeros(1, 8),)).layers
    assert work.pattern == NOfMWeight(1, 2)
    with torch.no_grad():
        layer.weight.fill_(1.0)[::2] = 0.0
    (work,) = trace(layer, (torch.zeros(1, 8),)).layers
    assert work.pattern == UnstructuredWeight(0.5)


def test_a_transposed_convolution_has_its_outputs_elsewhere_and_stays_unstructured():
    layer = nn.ConvTranspose2d(4, 4, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)[:, ::2] = 0.0
    (work,) = trace(layer, (torch.zeros(1, 4, 2, 2),)).layers
    assert work.pattern == UnstructuredWeight(0.5)
