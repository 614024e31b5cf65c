"""Examples at the end of a command's help: one a line, ready to be copied."""

from __future__ import annotations

import textwrap

_WIDTH = 70


def examples(*commands: str) -> str:
    """Return an epilog that is not wrapped anew; long commands go on behind a backslash."""
    lines = [
        " \\\n".join(
            textwrap.wrap(
                command,
                _WIDTH,
                initial_indent="  ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
        for command in commands
    ]
    # \b keeps click from filling the paragraph.
    return "\b\n" + "\n".join(["Example:" if len(commands) == 1 else "Examples:", *lines])
