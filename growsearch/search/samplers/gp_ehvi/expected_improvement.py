"""Expected hypervolume improvement of an untried network whose costs are known.

Minimised costs c and a minimised error e span the hypervolume up to a reference. Let F(x) be the
least error of the front among its members of costs at most x, the reference error where there is
none. A network of exact costs c and an uncertain error e adds

    integral over x from c to the reference of max(F(x) - e, 0) dx,

so its expectation is a sum over the pieces on which F is constant: volume of the piece right of c,
times E[max(f - e, 0)]. With ln e normal of mean m and deviation s, and d = (ln f - m) / s, that
expectation is f Phi(d) - exp(m + s^2 / 2) Phi(d - s), as in the Black-Scholes price of a put.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import qmc

Array = npt.NDArray[np.float64]

# From three costs on, boxes are too many: the integral is a mean over so many spread points.
_SPREAD_POINTS = 2**12


def expected_shortfall(levels: Array, mean: Array, deviation: Array) -> Array:
    """Return E[max(level - e, 0)], shape (candidates, levels), for log-normal errors e.

    Args:
        levels: positive errors to fall below, shape (levels,).
        mean: mean of ln e, shape (candidates,).
        deviation: standard deviation of ln e, above 0, shape (candidates,).
    """
    mean, deviation = mean[:, None], deviation[:, None]
    distance = (np.log(levels)[None, :] - mean) / deviation
    expected = np.exp(mean + deviation**2 / 2)
    gain = levels * ndtr(distance) - expected * ndtr(distance - deviation)
    return np.asarray(np.maximum(gain, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What is known so far, or expected of running trials: costs and errors, both minimised.

    Attributes:
        costs: shape (results, costs).
        errors: positive, shape (results,).
        reference: the costs up to which hypervolume counts, shape (costs,).
        reference_error: the error up to which it counts.
    """

    costs: Array
    errors: Array
    reference: Array
    reference_error: float

    def least_error(self, places: Array) -> Array:
        """Return F at places of cost space: shape (..., costs) in, (...,) out."""
        best = np.full(places.shape[:-1], self.reference_error)
        for cost, error in zip(self.costs, self.errors, strict=True):
            covered = (cost <= places).all(axis=-1)
            best = np.where(covered, np.minimum(best, error), best)
        return best

    def inside(self) -> Reached:
        """Return the same without what lies beyond the reference."""
        keep = (self.costs < self.reference).all(axis=1) & (self.errors < self.reference_error)
        return Reached(
            costs=self.costs[keep],
            errors=self.errors[keep],
            reference=self.reference,
            reference_error=self.reference_error,
        )


def expected_gain(reached: Reached, costs: Array, mean: Array, deviation: Array) -> Array:
    """Return the expected hypervolume improvement of candidates, shape (candidates,).

    Exact for up to two costs; from three on the integral over cost space is a mean over
    spread points.

    Args:
        reached: the results so far.
        costs: exact costs of the candidates, shape (candidates, costs).
        mean: mean of ln error, shape (candidates,).
        deviation: standard deviation of ln error, above 0, shape (candidates,).
    """
    reached = reached.inside()
    if len(reached.reference) <= 2:
        best, overlaps = _boxes(reached, costs)
    else:
        best, overlaps = _spread_points(reached, costs)
    levels, level_of = np.unique(best, return_inverse=True)
    volumes = _volumes(level_of.reshape(best.shape), len(levels), overlaps)
    return np.asarray((volumes * expected_shortfall(levels, mean, deviation)).sum(axis=1))


def _boxes(reached: Reached, costs: Array) -> tuple[Array, list[Array]]:
    """Return F on the boxes between the front's costs, and each axis' overlap with candidates."""
    edges = [
        np.concatenate([[-np.inf], np.unique(reached.costs[:, axis]), [limit]])
        for axis, limit in enumerate(reached.reference)
    ]
    corners = np.meshgrid(*(edge[:-1] for edge in edges), indexing="ij")
    places = np.stack(corners, axis=-1) if corners else np.empty((0,))
    overlaps = [
        np.maximum(edge[1:] - np.maximum(edge[:-1], costs[:, axis, None]), 0.0)
        for axis, edge in enumerate(edges)
    ]
    return reached.least_error(places), overlaps


def _spread_points(reached: Reached, costs: Array) -> tuple[Array, list[Array]]:
    """Return F at spread points, and the volume that each stands for right of a candidate."""
    axes = len(reached.reference)
    low = np.minimum(costs.min(axis=0), reached.costs.min(axis=0, initial=np.inf))
    low = np.minimum(low, reached.reference)
    spread = qmc.Sobol(axes, scramble=False).random(_SPREAD_POINTS)
    places = low + spread * (reached.reference - low)
    share = float(np.prod(reached.reference - low)) / _SPREAD_POINTS
    covered = (costs[:, None, :] <= places[None, :, :]).all(axis=-1)
    return reached.least_error(places), [share * covered]


def _volumes(level_of: npt.NDArray[np.intp], levels: int, overlaps: list[Array]) -> Array:
    """Return the volume of each level's pieces right of each candidate: (candidates, levels)."""
    if not overlaps:
        return np.ones((1, 1))
    columns = []
    for level in range(levels):
        here = (level_of == level).astype(np.float64)
        if len(overlaps) == 1:
            columns.append(overlaps[0] @ here)
        else:
            columns.append(((overlaps[0] @ here) * overlaps[1]).sum(axis=1))
    return np.stack(columns, axis=1)
