"""Transposable masks: a tile with N active weights in every row and column, and the most score."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from growsearch.errors import DivergedError

# Tiles solved together; 1,024 tiles of 8 x 8 doubles are 512 KiB, which caches hold.
_CHUNK = 1024
# A path must be shorter by more than this: rounding must not make cycles of no gain.
_TOLERANCE = 1e-12


def heaviest_regular_tiles(scores: Tensor, n: int) -> Tensor:
    """Return, for each tile (B, m, m), the mask with n True a row and a column of highest score.

    Solved exactly as a minimum-cost flow from rows to columns by successive shortest paths
    (Hubara et al. 2021, arXiv 2102.08124, section 3.1, where a faster 2-approximation is used),
    for all tiles of a chunk at once.

    Raises:
        DivergedError: if a score is not finite, which would have no shortest path.
    """
    if not bool(torch.isfinite(scores).all()):
        raise DivergedError("n of m: scores are not finite; check the weights and gradients")
    parts = [_solve(part.double(), n) for part in torch.split(scores, _CHUNK)]
    return torch.cat(parts) if parts else torch.zeros_like(scores, dtype=torch.bool)


def _solve(scores: Tensor, n: int) -> Tensor:
    # Shortest paths compare sums of scores: bring them to one scale first.
    scores = scores / scores.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-300)
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    for _ in range(n * scores.shape[1]):
        _augment(chosen, scores, n)
    return chosen


def _augment(chosen: Tensor, scores: Tensor, n: int) -> None:
    """Add one unit of flow along the cheapest path of every tile, in place."""
    row_before, column_from, distance = _shortest_paths(chosen, scores, n)
    open_columns = chosen.sum(dim=1) < n
    column = distance.masked_fill(~open_columns, math.inf).argmin(dim=1)
    tile = torch.arange(len(chosen), device=chosen.device)
    while len(tile):
        row = column_from[tile, column]
        chosen[tile, row, column] = True
        before = row_before[tile, row]
        going_on = before >= 0
        tile, row, column = tile[going_on], row[going_on], before[going_on]
        chosen[tile, row, column] = False


def _shortest_paths(chosen: Tensor, scores: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return each row's column before it (-1: the source), each column's row, its distance.

    Bellman-Ford: choosing (row, column) costs -score, giving up a chosen one costs +score.
    """
    open_rows = chosen.sum(dim=2) < n
    to_row = torch.where(open_rows, 0.0, math.inf).to(scores.dtype)
    to_column = torch.full_like(to_row, math.inf)
    row_before = torch.full_like(open_rows, -1, dtype=torch.long)
    column_from = torch.full_like(row_before, -1)
    choose = torch.where(chosen, math.inf, -scores)
    give_up = torch.where(chosen, scores, math.inf)
    for _ in range(2 * scores.shape[1]):
        cost, row = (to_row.unsqueeze(2) + choose).min(dim=1)
        better_column = cost < to_column - _TOLERANCE
        to_column = torch.where(better_column, cost, to_column)
        column_from = torch.where(better_column, row, column_from)
        cost, column = (to_column.unsqueeze(1) + give_up).min(dim=2)
        better_row = cost < to_row - _TOLERANCE
        to_row = torch.where(better_row, cost, to_row)
        row_before = torch.where(better_row, column, row_before)
        if not bool(better_row.any()):
            break
    return row_before, column_from, to_column
