"""Code folder of a run: own modules are found where a person says, and nowhere else."""

from __future__ import annotations

from pathlib import Path


def find_code(folder: Path | None) -> None:
    """Let own modules of a run be imported from ``folder``."""
    if folder is not None:
        from search_spaces.user_code import add_code_folder

        add_code_folder(folder)
