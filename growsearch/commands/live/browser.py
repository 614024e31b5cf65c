"""Browser that is shown an address with a token in it, which stands in no command line."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>growsearch</title>
</head>
<body><p><a href="{address}">Open the page</a></p></body>
</html>
"""


@contextmanager
def shown_in_browser(address: str) -> Iterator[bool]:
    """Open ``address`` in the person's browser; tells whether one was found.

    Every user of a machine sees the command lines of all its processes. The browser is given a file
    that leads to the address, which this user alone may read, and which is there as long as the
    block goes on.
    """
    with tempfile.TemporaryDirectory(prefix="growsearch-watch-") as folder:
        file = Path(folder) / "open.html"
        # The folder has mode 0700; the file does not rely on it.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(_PAGE.format(address=html.escape(address)))
        yield webbrowser.open(file.as_uri())
