"""Terminal output: text from files is shown as text, never as markup, emoji or escape codes."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from growsearch.shown_text import shown, shown_lines


class Terminal(Console):
    """A console whose strings, those in tables included, are shown as they are.

    Colours and movements are rich's own; a text that holds some shows their codes.
    """

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return what rich makes of a string, its control codes made visible before."""
        return super().render_str(shown_lines(text), **options)


def say(line: object) -> None:
    """Print one line to stdout, with what cannot be seen made visible."""
    typer.echo(shown(str(line)))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 seed", "1,200 steps"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
