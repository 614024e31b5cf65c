"""How sparse should the masked layers be at a moment of dense-to-sparse training?"""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class CubicSchedule:
    """Sparsity of the masked weights, rising fast first and slowly last.

    s(t) = final + (initial - final) (1 - (t - begin) / (end - begin))^3 between ``begin`` and
    ``end``, which are shares of training (Zhu & Gupta 2018, arXiv 1710.01878, eq. 1).
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

    def sparsity_at(self, progress: float) -> float:
        """Return the sparsity after the share ``progress`` of training."""
        share = min(1.0, max(0.0, (progress - self.begin) / (self.end - self.begin)))
        return self.final + (self.initial - self.final) * (1.0 - share) ** 3

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
