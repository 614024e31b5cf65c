"""First line of a long command: shown before what takes seconds to load, then taken away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from growsearch.commands.terminal import Terminal, say

if TYPE_CHECKING:
    from rich.status import Status


class Opening:
    """What is shown until a search's progress takes its place."""

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def end(self) -> None:
        """Take it away; a second time nothing happens."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def opening(words: str) -> Iterator[Opening]:
    """Say ``words`` at once: in place in a terminal, as a line elsewhere.

    Args:
        words: one line, which may hold names of files.
    """
    terminal = Terminal()
    status = None
    if terminal.is_terminal and not terminal.is_dumb_terminal:
        status = terminal.status(words, spinner="dots")
        status.start()
    else:
        say(words)
        sys.stdout.flush()
    shown = Opening(status)
    try:
        yield shown
    finally:
        shown.end()
