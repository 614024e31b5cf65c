"""Registry of report formats: one line a format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from growsearch.errors import GrowsearchError, UsageError
from growsearch.files import write_bytes
from growsearch.garbage import without_cycle_search
from growsearch.reading import reason
from growsearch.report.html_page import render_html
from growsearch.report.json_export import render_json
from growsearch.report.markdown import render_markdown
from growsearch.report.picture import render_pdf, render_png, render_svg
from growsearch.report.run_data import Run, read_run
from growsearch.report.tables.csv_table import render_csv
from growsearch.report.tables.latex_table import render_latex
from growsearch.report.tables.parquet_table import render_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind of report: its file's name and how its content is made."""

    file: str
    render: Callable[[Run], str | bytes]
    description: str


FORMATS: dict[str, Format] = {
    "html": Format(
        file="report.html", render=render_html, description="one interactive page, offline"
    ),
    "md": Format(file="report.md", render=render_markdown, description="the answer and the front"),
    "csv": Format(file="front.csv", render=render_csv, description="the front, every metric"),
    "json": Format(file="report.json", render=render_json, description="all of it, for programs"),
    "png": Format(file="front.png", render=render_png, description="one panel a device"),
    "svg": Format(file="front.svg", render=render_svg, description="that picture in vectors"),
    "pdf": Format(file="front.pdf", render=render_pdf, description="that picture for a paper"),
    "tex": Format(file="front.tex", render=render_latex, description="the front as a LaTeX table"),
    "parquet": Format(
        file="trials.parquet", render=render_parquet, description="every trial, for data frames"
    ),
}

# What a search writes at its end.
USUAL = ("html", "md", "csv", "json", "png")


@without_cycle_search()
def write_report(run_folder: Path, formats: Collection[str] = USUAL) -> dict[str, Path]:
    """Write the report of a run into its folder, again if it is there, and return the paths.

    Raises:
        UsageError: for an unknown format (the valid ones are listed) or a folder that is no run.
        GrowsearchError: if a file cannot be written, or not of what this run holds; a finished file
            is never left half written.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"--format: unknown {name!r}; valid: {', '.join(FORMATS)}")
    run = read_run(run_folder)
    written = {}
    for name in dict.fromkeys(formats):
        with _rendering(run_folder, name):
            content = FORMATS[name].render(run)
        path = run_folder / FORMATS[name].file
        write_bytes(path, content.encode() if isinstance(content, str) else content)
        written[name] = path
    return written


@contextmanager
def _rendering(folder: Path, name: str) -> Iterator[None]:
    """Turn what goes wrong while a foreign run is shown into a message."""
    try:
        yield
    except (GrowsearchError, MemoryError):
        raise
    except Exception as problem:
        raise GrowsearchError(
            f"{folder} holds something that --format {name} cannot show ({reason(problem)}); take "
            "another format, or see where it is with --debug"
        ) from problem
