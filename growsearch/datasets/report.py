"""Report of what was read from a person's files: names, sizes, what was changed or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from growsearch.datasets.reading.boundary import shown

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Files or folders that were not read, for one reason: how many, and the first few names."""

    reason: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.reason} ({self.count:,}): {', '.join(map(shown, self.examples))}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What a `Dataset` alone does not tell of the files that it comes from.

    ``class_names`` are in the order of the classes' numbers. ``sizes`` are (width, height) in
    pixels, of the smallest and the largest image by area. ``changes`` are how many images were not
    taken as they lie, and why ("turned upright ... (2)").
    """

    class_names: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    changes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


NOTHING_TO_REPORT = DataReport()


def skipped_of(found: Iterable[tuple[str, str]]) -> tuple[Skipped, ...]:
    """Return what was skipped, (reason, name) each, by reason."""
    by_reason: dict[str, list[str]] = {}
    for reason, name in found:
        by_reason.setdefault(reason, []).append(name)
    return tuple(
        Skipped(reason=reason, count=len(names), examples=tuple(names[:_NAMED]))
        for reason, names in by_reason.items()
    )


def extremes(sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the smallest and the largest size by area; one where all are alike."""
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return tuple(dict.fromkeys([*ordered[:1], *ordered[-1:]]))


def counted(changes: Counter[str]) -> tuple[str, ...]:
    """Return "laid on white (12)" for each change."""
    return tuple(f"{change} ({count:,})" for change, count in sorted(changes.items()))
