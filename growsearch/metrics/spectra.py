"""Spectra of sparse layers: how well connected is one as a bipartite graph of inputs and outputs?

A weight (out, in, kh, kw) is the matrix W of shape (out, in kh kw): a graph of input nodes (its
columns) and output nodes (its rows) with an edge wherever the mask is True. The eigenvalues of the
graph's square adjacency are plus and minus the singular values of the mask's matrix, so the largest
non-trivial one is the second singular value. Nodes without an edge are dropped.

Figures follow arXiv 2303.11525, section 4 and appendix B, and what it takes from Hoang et al. 2023
("Revisiting Pruning at Initialization through the Lens of Ramanujan Graph", ICLR 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

# Below it a bipartite graph need not be connected and the bound says nothing.
_MIN_MEAN_DEGREE = 3.0
# A subgraph has this many input nodes at least.
_MIN_NODES = 3
# Layers with this many nodes a side and more: eigenvalues of W W^T, at a tenth of the time.
_FROM_SQUARES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectra:
    """Spectral figures of one layer, or their means; None where a figure is not defined.

    Attributes:
        ramanujan_gap: 2 sqrt(d - 1) - mu_hat(A), d the mean degree over the nodes of both sides.
        biregular_gap: sqrt(d_in - 1) + sqrt(d_out - 1) - mu_hat(A), with each side's own mean
            degree: the bound for bipartite graphs of unequal sides, where d fits neither. Equal
            to ``ramanujan_gap`` when the sides have one mean degree.
        iterative_mean_difference_bound: the mean of 2 sqrt(d_i - 1) - mu_hat(A_Ki) over subgraphs.
        biregular_mean_difference_bound: the same with each side's mean degrees.
        weighted_spectral_gap: mu_0(|W|) - mu_hat(|W|).
        iterative_mean_spectral_gap: its mean over the subgraphs.
    """

    ramanujan_gap: float | None
    biregular_gap: float | None
    iterative_mean_difference_bound: float | None
    biregular_mean_difference_bound: float | None
    weighted_spectral_gap: float | None
    iterative_mean_spectral_gap: float | None


class _Bounds(NamedTuple):
    gap: float
    biregular_gap: float


def layer_spectra(mask: Tensor, weight: Tensor) -> Spectra:
    """Return the spectral figures of one layer.

    The subgraphs K_i of the iterative figures are formed as in the code of Hoang et al.: for every
    degree i that at least 3 input nodes have, K_i holds all input nodes of that degree, the output
    nodes they reach and the edges between (an i-left-regular subgraph). Appendix B of
    arXiv 2303.11525 says only "over all subgraphs" and cites them. Subgraphs whose mean degree
    is below 3 on either side are left out, and so is a layer for the Ramanujan figures. A figure
    whose subgraphs are all left out is None, and so is a spectral gap without a second singular
    value.

    Args:
        mask: bool, (out, in, ...), True where a weight is active.
        weight: (out, in, ...); masked weights do not count.

    Example:
        >>> import torch
        >>> from growsearch.metrics import layer_spectra
        >>> dense = torch.ones(8, 8)
        >>> round(layer_spectra(dense.bool(), dense).ramanujan_gap, 3)
        5.292
    """
    # Of a few thousand entries each: what they are decomposed with is on the CPU.
    mask, weight = mask.cpu(), weight.detach().cpu()
    edges = mask.flatten(1).to(torch.float64)
    strength = (weight.abs() * mask).flatten(1).to(torch.float64)
    bounds = _bounds(edges)
    inner = [(_bounds(edges[:, k]), _spectral_gap(strength[:, k])) for k in _subgraphs(edges)]
    defined = [(bound, gap) for bound, gap in inner if bound is not None]
    return Spectra(
        ramanujan_gap=bounds.gap if bounds else None,
        biregular_gap=bounds.biregular_gap if bounds else None,
        iterative_mean_difference_bound=_mean(bound.gap for bound, _ in defined),
        biregular_mean_difference_bound=_mean(bound.biregular_gap for bound, _ in defined),
        weighted_spectral_gap=_spectral_gap(strength),
        iterative_mean_spectral_gap=_mean(gap for _, gap in defined),
    )


def mean_spectra(layers: Mapping[str, Spectra]) -> Spectra:
    """Return the mean of every figure over the layers that define it; None where none does.

    Example:
        >>> import torch
        >>> from growsearch.metrics import layer_spectra, mean_spectra
        >>> layers = {
        ...     str(size): layer_spectra(torch.ones(size, size).bool(), torch.ones(size, size))
        ...     for size in (5, 10)
        ... }
        >>> round(mean_spectra(layers).ramanujan_gap, 3)
        5.0
    """
    return Spectra(
        **{
            field.name: _mean(getattr(layer, field.name) for layer in layers.values())
            for field in fields(Spectra)
        }
    )


def _subgraphs(edges: Tensor) -> list[Tensor]:
    """Return, for each degree shared by enough input nodes, which columns have it."""
    degrees = edges.sum(dim=0)
    values, counts = torch.unique(degrees[degrees > 0], return_counts=True)
    return [degrees == value for value in values[counts >= _MIN_NODES]]


def _bounds(edges: Tensor) -> _Bounds | None:
    count = float(edges.sum())
    inputs = int(torch.count_nonzero(edges.sum(dim=0)))
    outputs = int(torch.count_nonzero(edges.sum(dim=1)))
    if count == 0 or min(count / inputs, count / outputs) < _MIN_MEAN_DEGREE:
        return None
    second = _singular_values(edges)[1]
    mean_degree = 2 * count / (inputs + outputs)
    sides = math.sqrt(count / inputs - 1) + math.sqrt(count / outputs - 1)
    return _Bounds(2 * math.sqrt(mean_degree - 1) - second, sides - second)


def _spectral_gap(strength: Tensor) -> float | None:
    used = strength[strength.sum(dim=1) > 0][:, strength.sum(dim=0) > 0]
    if min(used.shape) < 2:
        return None
    first, second, *_ = _singular_values(used)
    return first - second


def _singular_values(matrix: Tensor) -> list[float]:
    """Return the singular values, largest first."""
    rows, columns = matrix.shape
    if min(rows, columns) < _FROM_SQUARES:
        values: list[float] = torch.linalg.svdvals(matrix).tolist()
        return values
    square = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    squares = torch.linalg.eigvalsh(square).flip(0)
    # The small ones lose half their digits; the first two are what is asked for.
    roots: list[float] = squares.clamp_min(0.0).sqrt().tolist()
    return roots


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None
