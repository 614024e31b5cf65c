import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.metrics.spectra import Spectra, layer_spectra, mean_spectra

ROOT = math.sqrt
# Seven lines of three points: the incidence matrix of the Fano plane (the Heawood graph).
FANO = torch.zeros(7, 7, dtype=torch.bool)
for line, points in enumerate(
    [(0, 1, 2), (0, 3, 4), (0, 5, 6), (1, 3, 5), (1, 4, 6), (2, 3, 6), (2, 4, 5)]
):
    FANO[line, list(points)] = True


def ones(*shape):
    return torch.ones(shape, dtype=torch.bool)


def block_diagonal(*blocks):
    return torch.block_diag(*[block.float() for block in blocks]).bool()


def spectra_of(mask):
    return layer_spectra(mask, mask.float())


def test_the_fano_plane_is_a_ramanujan_graph():
    # Degree 3, singular values 3 and sqrt(2) six times: the bound 2 sqrt(2) is held by sqrt(2).
    spectra = spectra_of(FANO)
    assert spectra.ramanujan_gap == pytest.approx(2 * ROOT(2) - ROOT(2))
    assert spectra.biregular_gap == pytest.approx(ROOT(2))
    assert spectra.weighted_spectral_gap == pytest.approx(3 - ROOT(2))


def test_two_parts_without_a_link_break_the_bound():
    spectra = spectra_of(block_diagonal(ones(3, 3), ones(3, 3)))
    assert spectra.ramanujan_gap == pytest.approx(2 * ROOT(2) - 3)
    assert spectra.weighted_spectral_gap == pytest.approx(0.0, abs=1e-12)


def test_sides_of_unequal_degree_by_hand():
    # 6 inputs of degree 3, 3 outputs of degree 6, 18 edges: d = 36 / 9 = 4; one singular value.
    spectra = spectra_of(ones(3, 6))
    assert spectra.ramanujan_gap == pytest.approx(2 * ROOT(3))
    assert spectra.biregular_gap == pytest.approx(ROOT(2) + ROOT(5))


def test_nodes_without_edges_are_dropped():
    padded = torch.zeros(9, 12, dtype=torch.bool)
    padded[1:8, 3:10] = FANO
    assert spectra_of(padded).ramanujan_gap == pytest.approx(ROOT(2))


def test_below_mean_degree_three_on_either_side_the_gap_is_undefined():
    assert spectra_of(ones(2, 10)).ramanujan_gap is None
    assert spectra_of(ones(10, 2)).ramanujan_gap is None
    assert spectra_of(block_diagonal(ones(2, 2), ones(2, 2))).biregular_gap is None


def test_an_empty_layer_defines_nothing():
    assert spectra_of(torch.zeros(4, 4, dtype=torch.bool)) == Spectra(
        ramanujan_gap=None,
        biregular_gap=None,
        iterative_mean_difference_bound=None,
        biregular_mean_difference_bound=None,
        weighted_spectral_gap=None,
        iterative_mean_spectral_gap=None,
    )


def test_the_weighted_gap_takes_absolute_active_weights():
    mask = torch.tensor([[True, False], [False, True]])
    weight = torch.tensor([[-5.0, 100.0], [100.0, 2.0]])
    assert layer_spectra(mask, weight).weighted_spectral_gap == pytest.approx(3.0)


def test_subgraphs_are_the_inputs_of_one_degree():
    # Inputs: three of degree 3, four of degree 4, one of degree 7 (too few to count).
    mask = torch.cat([block_diagonal(ones(3, 3), ones(4, 4)), ones(7, 1)], dim=1)
    spectra = spectra_of(mask)
    # K_3 is the complete 3 x 3 graph, K_4 the complete 4 x 4 one; both have a second value of 0.
    expected = (2 * ROOT(2) + 2 * ROOT(3)) / 2
    assert spectra.iterative_mean_difference_bound == pytest.approx(expected)
    assert spectra.biregular_mean_difference_bound == pytest.approx(expected)
    assert spectra.iterative_mean_spectral_gap == pytest.approx((3 + 4) / 2)


def test_subgraphs_of_low_degree_do_not_count():
    mask = block_diagonal(ones(2, 3), ones(4, 4))
    assert spectra_of(mask).iterative_mean_difference_bound == pytest.approx(2 * ROOT(3))


def test_convolutions_are_read_as_out_by_in_times_kernel():
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(8, 4, 3, 3, generator=generator) < 0.6
    weight = torch.randn(8, 4, 3, 3, generator=generator)
    assert layer_spectra(mask, weight) == layer_spectra(mask.view(8, 36), weight.view(8, 36))


def test_the_mean_leaves_out_layers_that_do_not_define_a_figure():
    defined, undefined = spectra_of(FANO), spectra_of(ones(2, 10))
    mean = mean_spectra({"a": defined, "b": undefined, "c": spectra_of(ones(3, 3))})
    assert mean.ramanujan_gap == pytest.approx((ROOT(2) + 2 * ROOT(2)) / 2)
    assert mean_spectra({"b": undefined}).ramanujan_gap is None


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(3, 9), columns=st.integers(3, 9), seed=st.integers(0, 999))
def test_the_gap_agrees_with_eigenvalues_of_the_square_adjacency(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, columns, generator=generator) < 0.8
    spectra = spectra_of(mask)
    if spectra.ramanujan_gap is None:
        degrees = [mask.sum(axis)[mask.sum(axis) > 0].float().mean() for axis in (0, 1)]
        assert not all(degree >= 3 for degree in degrees)
        return
    adjacency = torch.zeros(rows + columns, rows + columns, dtype=torch.float64)
    adjacency[:rows, rows:] = mask.double()
    adjacency += adjacency.T.clone()
    used = adjacency.sum(0) > 0
    degree = float(adjacency.sum(0)[used].mean())
    values = torch.linalg.eigvalsh(adjacency).abs().sort(descending=True).values
    assert spectra.ramanujan_gap == pytest.approx(2 * ROOT(degree - 1) - float(values[2]), abs=1e-9)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_large_layers_have_the_figures_of_a_singular_value_decomposition(shape):
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(shape, generator=generator) < 0.3
    weight = torch.randn(shape, generator=generator)
    spectra = layer_spectra(mask, weight)
    first, second, *_ = torch.linalg.svdvals((weight.abs() * mask).double()).tolist()
    assert spectra.weighted_spectral_gap == pytest.approx(first - second, rel=1e-9)
    edges = float(mask.sum())
    degree = 2 * edges / sum(shape)
    second = float(torch.linalg.svdvals(mask.double())[1])
    assert spectra.ramanujan_gap == pytest.approx(2 * ROOT(degree - 1) - second, rel=1e-9)
