"""Memory of this machine, and whether what a file promises fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from growsearch.datasets.reading.boundary import shown
from growsearch.errors import UsageError

# Where Linux says what a container may use: of control groups 2 and 1.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or less in a container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *(limit for path in _LIMITS if (limit := _limit(path)) is not None)])


def _limit(path: Path) -> int | None:
    try:
        # Without a limit the file says "max".
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def check_memory_for(place: Path | str, what: str, needed_bytes: int) -> None:
    """Refuse before allocation what this machine would then kill us for.

    Raises:
        UsageError: if ``needed_bytes`` are more than there are.
    """
    total = memory_bytes()
    if needed_bytes > total:
        raise UsageError(
            f"{shown(place)} has {what}, which need {_gigabytes(needed_bytes)} GB of memory; this "
            f"machine has {_gigabytes(total)} GB. Use fewer or smaller ones"
        )


def _gigabytes(size: int) -> str:
    # In whole numbers: what a file promises may be more than a float holds.
    return f"{-(-size // 10**9):,}"
