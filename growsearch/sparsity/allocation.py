"""Allocation of weights to layers, so that the whole network meets its target exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from growsearch.errors import UsageError
from growsearch.sparsity.layers import PrunableLayer


def solve_densities(
    layers: Sequence[PrunableLayer],
    nonzeros: float,
    proportions: Mapping[str, float],
    floors: Mapping[str, float],
) -> dict[str, float]:
    """Return densities d_l = min(1, max(floor_l, e p_l)) with sum(d_l n_l) = ``nonzeros``.

    The scale e is found exactly, on the piecewise linear sum. A layer whose density would pass 1
    is dense and the others make up for it, which is the fixed point of "make it dense and solve
    again" (Evci et al. 2020, arXiv 1911.11134, appendix).

    Args:
        layers: n_l weights each.
        nonzeros: target, between 0 and the number of all weights.
        proportions: p_l > 0 by parameter name.
        floors: lower bounds of densities in [0, 1] by parameter name; 0 where not named. A floor
            of 1 keeps a layer dense.

    Raises:
        UsageError: if the floors alone need more than ``nonzeros``.
    """
    floor = {layer.name: floors.get(layer.name, 0.0) for layer in layers}
    needed = sum(floor[layer.name] * layer.weights for layer in layers)
    if needed > nonzeros * (1 + 1e-12):
        kept = ", ".join(name for name, bound in floor.items() if bound > 0)
        raise UsageError(
            f"sparsity: only {nonzeros:.0f} weights may stay, but {needed:.0f} are fixed by the "
            f"layers kept dense or partly so ({kept}); lower the sparsity or exclude less"
        )
    low, high = 0.0, math.inf
    corners = sorted(
        {bound / proportions[name] for name, bound in floor.items()}
        | {1.0 / proportions[layer.name] for layer in layers}
    )
    for corner in corners:
        if _kept(layers, proportions, floor, corner) < nonzeros:
            low = corner
        else:
            high = corner
            break
    scale = _interpolate(layers, proportions, floor, (low, high), nonzeros)
    return {
        layer.name: min(1.0, max(floor[layer.name], scale * proportions[layer.name]))
        for layer in layers
    }


def _kept(
    layers: Sequence[PrunableLayer],
    proportions: Mapping[str, float],
    floor: Mapping[str, float],
    scale: float,
) -> float:
    return math.fsum(
        layer.weights * min(1.0, max(floor[layer.name], scale * proportions[layer.name]))
        for layer in layers
    )


def _interpolate(
    layers: Sequence[PrunableLayer],
    proportions: Mapping[str, float],
    floor: Mapping[str, float],
    segment: tuple[float, float],
    nonzeros: float,
) -> float:
    """Return the scale inside one linear segment of the sum."""
    low, high = segment
    if math.isinf(high):
        return low
    at_low = _kept(layers, proportions, floor, low)
    at_high = _kept(layers, proportions, floor, high)
    if at_high <= at_low:
        return high
    return low + (high - low) * (nonzeros - at_low) / (at_high - at_low)


def allocate(
    layers: Sequence[PrunableLayer], densities: Mapping[str, float], nonzeros: int
) -> dict[str, int]:
    """Round densities to whole weights by largest remainder; the counts sum to ``nonzeros``.

    A layer whose density is above 0 keeps at least one weight, since an empty layer cuts the
    network in two. Ties go to the earlier layer.

    Raises:
        UsageError: if there are fewer weights to keep than layers to keep them in.
    """
    exact = {layer.name: densities[layer.name] * layer.weights for layer in layers}
    lowest = {name: 1 if value > 0 else 0 for name, value in exact.items()}
    if sum(lowest.values()) > nonzeros:
        raise UsageError(
            f"sparsity: {nonzeros} weights cannot keep {sum(lowest.values())} layers alive; "
            "lower the sparsity"
        )
    # 1e-9 of a weight: a count such as 44.999999999999 is 45.
    counts = {n: max(lowest[n], math.floor(value + 1e-9)) for n, value in exact.items()}
    size = {layer.name: layer.weights for layer in layers}
    while (missing := nonzeros - sum(counts.values())) != 0:
        step = 1 if missing > 0 else -1
        movable = [n for n in counts if lowest[n] <= counts[n] + step <= size[n] and exact[n] > 0]
        # sorted is stable: the earlier layer wins a tie.
        movable.sort(key=lambda n: -step * (exact[n] - counts[n]))
        if not movable:
            raise UsageError(
                f"sparsity: {nonzeros} weights do not fit into the layers that may keep some; "
                "raise the sparsity"
            )
        for name in movable[: abs(missing)]:
            counts[name] += step
    return counts
