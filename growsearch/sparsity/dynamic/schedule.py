"""Pruning schedules: how sparse are the masked layers at a moment of dense-to-sparse training?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from growsearch.errors import UsageError
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.ranking import counts_within


class PruningSchedule(Protocol):
    """How many weights stay, of all masked layers together, as training goes on."""

    @property
    def planned_for(self) -> Timetable | None:
        """The one run that the schedule is for, or None if any will do."""
        ...

    def kept(self, scores: Mapping[str, Tensor], progress: float) -> dict[str, int]:
        """Return how many of each layer's highest scores stay after the share ``progress``.

        Args:
            scores: by layer in the weights' shapes; -inf where a weight is masked already.
            progress: share of all training steps done, in [0, 1].
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CubicSchedule:
    """Sparsity of the masked weights, rising fast first and slowly last.

    s(t) = final + (initial - final) (1 - (t - begin) / (end - begin))^3 between ``begin`` and
    ``end``, which are shares of training (Zhu & Gupta 2018, arXiv 1710.01878, eq. 1).

    Example:
        >>> from growsearch.sparsity import CubicSchedule
        >>> schedule = CubicSchedule(final=0.8, end=0.5)
        >>> [round(schedule.sparsity_at(progress), 3) for progress in (0.0, 0.25, 0.5, 1.0)]
        [0.0, 0.7, 0.8, 0.8]
    """

    final: float
    initial: float = 0.0
    begin: float = 0.0
    end: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.initial <= self.final < 1.0:
            raise UsageError(
                f"schedule: need 0 <= initial <= final < 1, not {self.initial} and {self.final}"
            )
        if not 0.0 <= self.begin < self.end <= 1.0:
            raise UsageError(
                f"schedule: need 0 <= begin < end <= 1, not {self.begin} and {self.end}"
            )

    @property
    def planned_for(self) -> Timetable | None:
        """Any run: the schedule goes by shares of it."""
        return None

    def kept(self, scores: Mapping[str, Tensor], progress: float) -> dict[str, int]:
        """Keep the highest scores of all layers together so that the whole has s(t)."""
        weights = sum(score.numel() for score in scores.values())
        limit = weights - round(weights * self.sparsity_at(progress))
        return counts_within(scores, dict.fromkeys(scores, 1), limit)

    def sparsity_at(self, progress: float) -> float:
        """Return the sparsity after the share ``progress`` of training."""
        return self.final + (self.initial - self.final) * self.remaining(progress)

    def remaining(self, progress: float) -> float:
        """Return which share of the way from ``initial`` to ``final`` is still to go: 1 to 0."""
        share = min(1.0, max(0.0, (progress - self.begin) / (self.end - self.begin)))
        return (1.0 - share) ** 3

    def mean_sparsity(self, until: float = 1.0) -> float:
        """Return the mean of s(t) over the first ``until`` of training, integrated exactly."""
        ramp_end = min(until, self.end)
        before = min(until, self.begin) * self.initial
        ramp = max(0.0, ramp_end - self.begin)
        width = self.end - self.begin
        # The integral of (1 - u)^3 over u from 0 to ramp / width, times width.
        cubic = width / 4 * (1.0 - (1.0 - ramp / width) ** 4)
        after = max(0.0, until - self.end) * self.final
        return (before + ramp * self.final + (self.initial - self.final) * cubic + after) / until
