"""Markdown tables, whatever their cells hold."""

from __future__ import annotations

from collections.abc import Sequence

from growsearch.shown_text import shown


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table; no cell can become markup, another cell or a line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(safe(cell) for cell in line) + " |" for line in lines)


def safe(text: str) -> str:
    """Keep file content from becoming markup, a new cell or a new line."""
    one_line = shown(" ".join(text.split()))
    escapes = {"\\": "\\\\", "|": "\\|", "<": "&lt;", "[": "\\[", "`": "\\`", "*": "\\*"}
    return "".join(escapes.get(character, character) for character in one_line)
