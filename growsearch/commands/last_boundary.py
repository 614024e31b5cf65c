"""Last boundary of the command line: whatever is raised ends as one line and an exit code.

A known problem says itself what to do. Anything else is a fault of ours: its traceback goes into a
file that the line names; GROWSEARCH_DEBUG (or --debug) shows it instead.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from growsearch.errors import GrowsearchError
from growsearch.reading import reason
from growsearch.shown_text import shown

DEBUG = "GROWSEARCH_DEBUG"
_FAILED = 1
# Packages below ours, whose errors are messages to people, too.
_BELOW = ("cost_models", "search_spaces")


def run_to_exit(command: Callable[[], object]) -> None:
    """Run ``command``; a problem is one line on stderr.

    Raises:
        SystemExit: with the exit code of a known problem, 1 for any other.
    """
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold what the terminal's encoding has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        print(f"Error: {_message(error)}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, GrowsearchError) else _FAILED)


def one_line(error: BaseException) -> str:
    """Return an error's text in one line, safe to show."""
    return shown(" ".join(line.strip() for line in str(error).splitlines()))


def _message(error: Exception) -> str:
    below = type(error).__module__.partition(".")[0] in _BELOW
    return one_line(error) if below or isinstance(error, GrowsearchError) else _unexpected(error)


def _unexpected(error: Exception) -> str:
    what = type(error).__name__
    said = reason(error)
    start = what if said == what else f"{what}: {said}"
    kept = _keep(error)
    if kept is None:
        return f"{start}. This should not happen; run it again with --debug to see where"
    return f"{start}. This should not happen; where it did is in {kept}: please report it"


def _keep(error: Exception) -> Path | None:
    """Write the traceback to a new file for this user alone; return where, None if nowhere."""
    text = "".join(traceback.format_exception(error))
    for folder in (None, Path.cwd()):
        try:
            descriptor, name = tempfile.mkstemp(".txt", "growsearch-error-", folder)
            file: TextIO
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return Path(name)
    return None
