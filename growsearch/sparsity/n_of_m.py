"""N:M patterns, row-wise and transposable: which N of every M neighbouring weights are active?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.sparsity.layers import (
    check_excluded,
    check_rows,
    check_to_be_masked,
    frozen_weights,
    prunable_layers,
)
from growsearch.sparsity.maskable import unmaskable_layers
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.transposable import heaviest_regular_tiles


@dataclass(frozen=True, slots=True)
class NOfM:
    """Exactly ``n`` active weights in every ``m`` neighbours of the weight *matrix*.

    The matrix of a weight (out, in, kh, kw) is (out, in kh kw). Row-wise, each row falls into
    groups of m. Transposable, the matrix falls into m x m tiles and both the rows and the columns
    of each tile keep n, so that the transposed matrix of the backward pass has the pattern too
    (Hubara et al. 2021, arXiv 2102.08124). Among all legal masks the one of highest score is
    chosen, exactly.

    Example:
        >>> import torch
        >>> from growsearch.sparsity import NOfM
        >>> NOfM(2, 4).mask(torch.tensor([[1.0, 4.0, 2.0, 3.0]]))
        tensor([[False,  True, False,  True]])
    """

    n: int
    m: int
    transposable: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m:
            raise UsageError(f"n of m: need 1 <= n <= m, not {self.n}:{self.m}")

    @property
    def density(self) -> float:
        """The share of active weights."""
        return self.n / self.m

    @property
    def together(self) -> int:
        """The active weights of a tile are chosen together, those of a group one by one."""
        return self.n * self.m if self.transposable else 1

    def pool(self, scores: Tensor) -> Tensor:
        """Return the scores as a matrix (out, in kh kw).

        Raises:
            UsageError: if the matrix does not fall into whole groups or tiles.
        """
        matrix = scores.flatten(1)
        rows, columns = matrix.shape
        if columns % self.m or (self.transposable and rows % self.m):
            what = f"{self.m} x {self.m} tiles" if self.transposable else f"groups of {self.m}"
            raise UsageError(
                f"n of m: a weight matrix of {rows} x {columns} does not fall into whole {what}; "
                "exclude that layer"
            )
        return matrix

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """Return the legal mask of highest score; ``count`` must be the pattern's own.

        Raises:
            UsageError: if ``count`` is another, or the matrix does not fit.
        """
        matrix = self.pool(scores)
        if count * self.m != matrix.numel() * self.n:
            raise UsageError(
                f"n of m: {count} of {matrix.numel()} weights are active, which is not "
                f"{self.n} of {self.m}; start from masks of this pattern"
            )
        return self._heaviest(matrix)

    def expand(self, units: Tensor, shape: torch.Size) -> Tensor:
        """Return the matrix mask in the weight's shape."""
        return units.reshape(shape)

    def mask(self, scores: Tensor) -> Tensor:
        """Return the legal mask of highest score in the shape of ``scores``.

        Raises:
            UsageError: if the matrix does not fall into whole groups or tiles.
        """
        return self._heaviest(self.pool(scores)).reshape(scores.shape)

    def _heaviest(self, matrix: Tensor) -> Tensor:
        rows, columns = matrix.shape
        if not self.transposable:
            groups = matrix.reshape(-1, self.m)
            order = torch.argsort(groups, dim=1, descending=True, stable=True)
            chosen = torch.zeros_like(groups, dtype=torch.bool)
            chosen.scatter_(1, order[:, : self.n], torch.ones_like(chosen))
            return chosen.view(rows, columns)
        tiles = matrix.view(rows // self.m, self.m, columns // self.m, self.m).transpose(1, 2)
        chosen = heaviest_regular_tiles(tiles.reshape(-1, self.m, self.m), self.n)
        return chosen.view_as(tiles).transpose(1, 2).reshape(rows, columns)


def sparsify_n_of_m(
    module: nn.Module, pattern: NOfM, *, generator: torch.Generator, exclude: Iterable[str] = ()
) -> Masks:
    """Give every layer outside ``exclude`` a random mask of ``pattern``; zeros go in place.

    Each masked layer is exactly n/m dense. Excluded layers are not paid for: the pattern leaves no
    choice.

    Raises:
        UsageError: if a layer does not fall into whole groups or tiles; exclude it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import NOfM, sparsify_n_of_m
        >>> module = nn.Sequential(nn.Linear(8, 4))
        >>> masks = sparsify_n_of_m(module, NOfM(2, 4), generator=torch.Generator().manual_seed(0))
        >>> masks["0.weight"].view(4, 2, 4).sum(dim=2).unique()
        tensor([2])
    """
    check_to_be_masked(module)
    layers = prunable_layers(module)
    excluded = check_excluded(layers, exclude, unmaskable_layers(module))
    excluded |= frozenset(frozen_weights(module))
    masks = {}
    for layer in layers:
        if layer.name not in excluded:
            try:
                check_rows(layer)
                masks[layer.name] = pattern.mask(torch.rand(layer.shape, generator=generator))
            except UsageError as error:
                raise UsageError(f"{layer.name}: {error}") from error
    return Masks.attach(module, masks)
