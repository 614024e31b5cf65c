"""Notebook view of a study: its picture and its front as HTML, from what its run holds so far."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from growsearch.errors import GrowsearchError


def study_html(name: str, folder: Path, notes: Sequence[str] = ()) -> str:
    """Return a study for a notebook: counts of its trials, front.svg as an image, and the front.

    ``notes`` come first.
    All text is escaped, and the picture is an image of its own, so that nothing in a run becomes
    part of the page. A run that is not there yet is said so.
    """
    from growsearch.report import read_run
    from growsearch.report.picture import render_svg

    head = "".join(f"<p>Note: {escape(note)}</p>" for note in notes)
    head += f"<p><b>{escape(name)}</b>: "
    if not (folder / "study.yaml").exists():
        return f"{head}not run yet; its folder will be {escape(str(folder))}</p>"
    try:
        run = read_run(folder)
        front = run.front()
        counts = f"{len(run.finished)} finished trials"
        counts += f", {len(run.failed)} failed" if run.failed else ""
        head += f"{counts} in {escape(str(folder))}</p>"
        if not front.points:
            return head
        picture = base64.b64encode(render_svg(run)).decode()
    except GrowsearchError as error:
        return f"{head}{escape(str(error))}</p>"
    image = f'<img alt="Front of {escape(name)}" src="data:image/svg+xml;base64,{picture}">'
    return f"{head}{image}{front._repr_html_()}"
