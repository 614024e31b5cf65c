"""Block sparsity: rectangular blocks of the weight matrix are active or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.sparsity.allocation import allocate
from growsearch.sparsity.distributions import Batch, SparsityRequest, sparsity_distribution
from growsearch.sparsity.layers import PrunableLayer, check_rows, check_to_be_masked
from growsearch.sparsity.masks import Masks
from growsearch.sparsity.patterns import highest
from growsearch.sparsity.sparsify import random_mask


@dataclass(frozen=True, slots=True)
class Blocks:
    """Weights are active or masked in whole blocks of ``rows`` x ``columns`` of the matrix.

    The matrix of a weight (out, in, kh, kw) is (out, in kh kw).

    Example:
        >>> import torch
        >>> from growsearch.sparsity import Blocks
        >>> Blocks(2, 4).pool(torch.ones(4, 8)).shape
        torch.Size([2, 2])
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise UsageError(
                f"blocks: {self.rows} x {self.columns} is no block; need 1 x 1 or more"
            )

    @property
    def size(self) -> int:
        """Weights in a block."""
        return self.rows * self.columns

    @property
    def together(self) -> int:
        """Each block is its own choice."""
        return 1

    def grid(self, shape: Iterable[int]) -> tuple[int, int]:
        """Return how many blocks lie below and beside each other.

        Raises:
            UsageError: if the matrix does not fall into whole blocks.
        """
        rows, *rest = shape
        columns = 1
        for size in rest:
            columns *= size
        if rows % self.rows or columns % self.columns:
            raise UsageError(
                f"blocks: a weight matrix of {rows} x {columns} does not fall into whole blocks of "
                f"{self.rows} x {self.columns}; exclude that layer"
            )
        return rows // self.rows, columns // self.columns

    def pool(self, scores: Tensor) -> Tensor:
        """Return the sum of scores of every block."""
        down, across = self.grid(scores.shape)
        return scores.reshape(down, self.rows, across, self.columns).sum(dim=(1, 3))

    def choose(self, scores: Tensor, count: int) -> Tensor:
        """Return the ``count`` blocks of highest score; ties go to the earlier block."""
        return highest(scores, count)

    def expand(self, units: Tensor, shape: torch.Size) -> Tensor:
        """Return the weight mask of a set of blocks."""
        wide = units.repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        return wide.reshape(shape)


def sparsify_blocks(
    module: nn.Module,
    pattern: Blocks,
    *,
    sparsity: float,
    distribution: str = "erk",
    generator: torch.Generator,
    exclude: Iterable[str] = (),
    batch: Batch | None = None,
) -> Masks:
    """Give every layer outside ``exclude`` random blocks at the distribution's densities.

    Excluded layers are dense and the others pay for them. The number of zeros is the one asked for,
    to the nearest whole block. ``batch`` is for the distributions that look at data.

    Raises:
        UsageError: if a layer does not fall into whole blocks, or as `layer_sparsities` raises.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Blocks, sparsify_blocks
        >>> module = nn.Sequential(nn.Linear(8, 4))
        >>> draw = torch.Generator().manual_seed(0)
        >>> masks = sparsify_blocks(module, Blocks(2, 4), sparsity=0.5, generator=draw)
        >>> masks.nonzeros()
        {'0.weight': 16}
    """
    check_to_be_masked(module)
    request = SparsityRequest.of(module, sparsity, exclude, batch)
    densities = sparsity_distribution(distribution)(request)
    free = [layer for layer in request.layers if layer.name not in request.excluded]
    grids = []
    for layer in free:
        try:
            check_rows(layer)
            grid = pattern.grid(layer.shape)
        except UsageError as error:
            raise UsageError(f"{layer.name}: {error}") from error
        grids.append(PrunableLayer(name=layer.name, shape=grid, is_linear=layer.is_linear))
    dense = request.weights - sum(layer.weights for layer in free)
    kept = allocate(grids, densities, round((request.nonzeros - dense) / pattern.size))
    masks = {}
    for layer, blocks in zip(free, grids, strict=True):
        zeros = blocks.weights - kept[layer.name]
        units = random_mask(torch.Size(blocks.shape), zeros, generator)
        masks[layer.name] = pattern.expand(units, torch.Size(layer.shape))
    return Masks.attach(module, masks)
