"""Timetable of mask updates: at which steps of a run may the masks change?"""

from __future__ import annotations

from dataclasses import dataclass

from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Steps count from 1; masks may change after every multiple of ``interval`` but the last step.

    A method stops earlier, at the share ``until`` of all ``steps`` (see `MaskUpdater`).

    Raises:
        UsageError: for fewer than one step or interval.

    Example:
        >>> from growsearch.sparsity import Timetable
        >>> timetable = Timetable(steps=1000, interval=100)
        >>> timetable.is_due(300, until=0.75), timetable.is_due(800, until=0.75)
        (True, False)
    """

    steps: int
    interval: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "interval"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: {getattr(self, name)} is below 1 step")

    def is_due(self, step: int, until: float) -> bool:
        """Tell whether the masks change after this step."""
        return step % self.interval == 0 and step < until * self.steps

    @property
    def updates(self) -> int:
        """How often masks change when the method never stops."""
        return (self.steps - 1) // self.interval

    @property
    def spans(self) -> tuple[int, ...]:
        """How many steps the initial masks last, and then the masks of each update."""
        last = self.steps - self.updates * self.interval
        return (*[self.interval] * self.updates, last)

    def progress(self, update: int) -> float:
        """Return the share of all steps that is over at an update; they count from 1."""
        return update * self.interval / self.steps

    def update_at(self, progress: float) -> int:
        """Return the number of the update at the share ``progress`` of the run.

        Raises:
            UsageError: if this timetable has no update there.
        """
        update = round(progress * self.steps / self.interval)
        # One millionth of the run is less than a step of all but endless runs.
        if not 1 <= update <= self.updates or abs(self.progress(update) - progress) > 1e-6:
            raise UsageError(
                f"steps: the masks change at {progress:.6f} of the run, but the plan is for "
                f"{self.steps} steps and changes every {self.interval}; plan for this run"
            )
        return update
