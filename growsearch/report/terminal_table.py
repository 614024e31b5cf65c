"""Table of a terminal: the one look that tables have in all commands, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Column = Literal["text", "number", "folds"]


def terminal_table(columns: Iterable[tuple[str, Column]], title: str = "") -> Table:
    """Return an empty table: a line under its head, and no other that would take width.

    Args:
        columns: titles, each with what is in it: "text" that is shown whole on one line, a "number"
            on the right, or text that "folds" where the line is too long, so that no figure is cut.
        title: stands above it, on the left.

    Example:
        >>> from growsearch.report.terminal_table import terminal_table
        >>> table = terminal_table([("network", "text"), ("accuracy", "number")])
        >>> [column.justify for column in table.columns]
        ['left', 'right']
    """
    # Imported here: a report's files are written without it.
    from rich import box
    from rich.table import Table

    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        # Two columns apart, which leaves the most for what is in it.
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name, kind in columns:
        folds = kind == "folds"
        table.add_column(
            name,
            justify="right" if kind == "number" else "left",
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
        )
    return table
