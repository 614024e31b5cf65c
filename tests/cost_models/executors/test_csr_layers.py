import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cost_models.executors.csr_layers import (
    CsrIm2colConv2d,
    CsrLinear,
    CsrPointwiseConv2d,
    CsrTapsConv2d,
    csr_matrix,
)

CONVOLUTIONS = [CsrIm2colConv2d, CsrTapsConv2d]


def sparse(layer: nn.Module, sparsity: float, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        layer.weight *= torch.rand(layer.weight.shape, generator=generator) >= sparsity
        if layer.bias is not None:
            layer.bias.normal_(generator=generator)
    return layer


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_equal_to(layer: nn.Module, replacement: nn.Module, x: torch.Tensor) -> None:
    with torch.inference_mode():
        expected, found = layer(x), replacement(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_matrix_in_csr_form_keeps_its_non_zeros_with_32_bit_indices():
    csr = csr_matrix(torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    assert csr.values().tolist() == [2.0, 3.0]
    assert csr.col_indices().tolist() == [1, 0]
    assert csr.crow_indices().tolist() == [0, 1, 2]
    assert csr.col_indices().dtype == csr.crow_indices().dtype == torch.int32


@pytest.mark.parametrize("shape", [(6,), (1, 6), (5, 6), (2, 3, 6), (129, 6), (300, 6)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_a_sparse_linear_layer_computes_what_the_dense_one_does(shape, bias):
    layer = sparse(nn.Linear(6, 4, bias=bias), 0.5)
    assert_equal_to(layer, CsrLinear(layer), values(*shape))


def test_a_linear_layer_by_hand():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        layer.bias.copy_(torch.tensor([1.0, 5.0]))
    assert CsrLinear(layer)(torch.tensor([[7.0, 3.0]])).tolist() == [[7.0, 5.0]]


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_by_hand(kind):
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 0, 2] = 1.0  # takes the neighbour above and to the right
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    expected = [[[[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [4.0, 5.0, 0.0]]]]
    assert kind(layer)(x).tolist() == expected


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_ungrouped_convolution_computes_what_the_dense_one_does(kind, data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = data.draw(pair), data.draw(pair), data.draw(pair)
    padding = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    layer = nn.Conv2d(2, 3, kernel, stride, padding, dilation, bias=data.draw(st.booleans()))
    sparse(layer, data.draw(st.sampled_from([0.0, 0.6, 1.0])))
    size = data.draw(st.tuples(st.integers(7, 11), st.integers(7, 11)))
    assert_equal_to(layer, kind(layer), values(data.draw(st.integers(1, 3)), 2, *size))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_an_input_of_many_blocks_of_columns_is_computed_alike(kind):
    layer = sparse(nn.Conv2d(3, 4, 3, padding=1), 0.8)
    assert_equal_to(layer, kind(layer), values(3, 3, 20, 21))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_an_input_that_is_not_contiguous_is_computed_alike(kind):
    layer = sparse(nn.Conv2d(3, 4, 3, 2), 0.8)
    x = values(2, 3, 9, 8).to(memory_format=torch.channels_last)
    assert_equal_to(layer, kind(layer), x)
    assert_equal_to(layer, kind(layer), values(3, 2, 8, 9).transpose(0, 1).transpose(2, 3))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_without_padding_by_name_is_computed_alike(kind):
    layer = sparse(nn.Conv2d(2, 2, 3, padding="valid"), 0.5)
    assert_equal_to(layer, kind(layer), values(1, 2, 6, 6))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (3, 3, 25, 26)])
def test_a_pointwise_convolution_computes_what_the_dense_one_does(stride, bias, shape):
    layer = sparse(nn.Conv2d(3, 4, 1, stride, bias=bias), 0.6)
    assert_equal_to(layer, CsrPointwiseConv2d(layer), values(*shape))
    x = values(*shape).to(memory_format=torch.channels_last)
    assert_equal_to(layer, CsrPointwiseConv2d(layer), x)


def test_taps_without_a_non_zero_are_left_out():
    layer = nn.Conv2d(2, 2, 3, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[0, 1, 2, 0] = 3.0
    replacement = CsrTapsConv2d(layer)
    assert [(down, across) for down, across, _ in replacement.taps] == [(2, 0)]
    x = values(1, 2, 5, 5)
    torch.testing.assert_close(replacement(x), F.conv2d(x, layer.weight))
