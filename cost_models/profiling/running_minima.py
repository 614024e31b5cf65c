"""Running minima: the time of something that is timed again and again beside other work."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Other work only ever adds time, so the smallest samples are the truest; the mean of a few of them
# is steadier than the smallest alone.
KEPT = 3


def low_of(samples: Sequence[float]) -> float:
    """Give what `RunningMinima` gives of one item's samples: the mean of the smallest."""
    return float(np.mean(sorted(samples)[:KEPT]))


class RunningMinima:
    """The few smallest samples of each item, apart for even and odd passes over all items.

    The two halves of the run saw the machine at different moments: how far they disagree is how
    far a repeat would land.
    """

    def __init__(self, items: int) -> None:
        self._kept = np.full((items, 2, KEPT), np.inf)

    @classmethod
    def of(cls, kept: NDArray[np.float64]) -> "RunningMinima":
        """Take the samples of another run: (items, 2, KEPT), infinite where there is none."""
        lows = cls(len(kept))
        lows._kept[:] = np.sort(kept, axis=2)
        return lows

    @property
    def kept(self) -> NDArray[np.float64]:
        """The smallest samples in seconds, (items, 2, KEPT); infinite where there is none yet."""
        return self._kept.copy()

    def add(self, item: int, half: int, seconds: float) -> None:
        """Take in one sample of an item from an even (0) or odd (1) pass."""
        row = self._kept[item, half]
        if seconds < row[-1]:
            row[-1] = seconds
            row.sort()

    @property
    def low_s(self) -> NDArray[np.float64]:
        """Seconds of each item: the mean of its smallest samples."""
        together = np.sort(self._kept.reshape(len(self._kept), 2 * KEPT), axis=1)
        return np.asarray(together[:, :KEPT].mean(axis=1))

    @property
    def halves_s(self) -> NDArray[np.float64]:
        """The same for each half of the run alone: (items, 2)."""
        return np.asarray(self._kept.mean(axis=2))

    @property
    def noise(self) -> float:
        """Mean relative difference between the halves; 0.02 is 2 %. Infinite before both are in."""
        halves = self.halves_s
        if not len(halves) or not np.isfinite(halves).all():
            return float("inf")
        return float(np.mean(np.abs(halves[:, 1] / halves[:, 0] - 1)))
