"""Speed-up by sparsity: how much faster do zeros make a layer, judging by published points?

    S(s) = max(1, min(1 / ((1 - s) p), S_max))

sub-linear by p, and saturating at S_max. Both are fitted, in closed form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cost_models.errors import CostModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """S(s): how many times faster a layer of sparsity s is than the dense layer of its shape."""

    penalty: float
    maximum: float

    def __call__(self, sparsity: float) -> float:
        """Give S at a sparsity in [0, 1]; never below 1, as zeros need not be skipped."""
        density = 1.0 - sparsity
        ideal = math.inf if density <= 0.0 else 1.0 / (density * self.penalty)
        return max(1.0, min(ideal, self.maximum))


NO_SPARSITY_SUPPORT = SpeedUp(penalty=1.0, maximum=1.0)


def fit_speed_up(points: Sequence[tuple[float, float]]) -> SpeedUp:
    """Fit S to (sparsity, speed-up) points, least squares in log S.

    The sparsest points lie on the plateau S_max, the others on the slope 1 / ((1 - s) p). Each
    split of the points has a closed-form best p and S_max (geometric means); the split with the
    least error wins, and of equal ones the one with fewer points on the plateau.
    """
    if not points or any(not 0 <= s < 1 or speed <= 0 for s, speed in points):
        raise CostModelError(
            f"calibration points {list(points)}: need sparsity in [0, 1) and speed-up above 0"
        )
    ordered = sorted(points)
    fits = [_fit_split(ordered[:count], ordered[count:]) for count in range(len(ordered), 0, -1)]
    return min(fits, key=lambda speed_up: _error(speed_up, ordered))


def _fit_split(
    slope: Sequence[tuple[float, float]], plateau: Sequence[tuple[float, float]]
) -> SpeedUp:
    penalty = _geometric_mean([1.0 / ((1.0 - s) * speed) for s, speed in slope])
    maximum = _geometric_mean([speed for _, speed in plateau]) if plateau else math.inf
    return SpeedUp(penalty=penalty, maximum=maximum)


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _error(speed_up: SpeedUp, points: Sequence[tuple[float, float]]) -> float:
    return sum(math.log(speed_up(s) / speed) ** 2 for s, speed in points)
