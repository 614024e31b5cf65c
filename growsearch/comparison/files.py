"""Files of a comparison: text, figures and pictures in one folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from growsearch.comparison.attainment import attainment_surfaces
from growsearch.comparison.comparison import Comparison
from growsearch.comparison.picture import render_picture
from growsearch.comparison.text import comparison_lines, render_markdown
from growsearch.files import write_bytes

__all__ = ["comparison_lines", "write_comparison"]

FORMAT = 1


def write_comparison(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write compare.md, compare.json, compare.png and compare.svg; return their paths.

    Raises:
        GrowsearchError: if a file cannot be written.
    """
    data = json.dumps(to_json(comparison), indent=2, allow_nan=False) + "\n"
    contents = {
        "compare.md": render_markdown(comparison).encode(),
        "compare.json": data.encode(),
        "compare.png": render_picture(comparison, "png"),
        "compare.svg": render_picture(comparison, "svg"),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    return tuple(folder / name for name in contents)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain JSON data in base units."""
    quality, *costs = comparison.directions
    return {
        "format": FORMAT,
        "objectives": dict(comparison.directions),
        "ideal": comparison.ideal,
        "reference": comparison.reference,
        "front": comparison.front.to_json()["members"],
        "studies": [
            {
                "name": group.name,
                "hypervolume": dataclasses.asdict(group.hypervolume),
                "igd_plus": dataclasses.asdict(group.igd_plus),
                "runs": [
                    {
                        "run": run.label,
                        "compared": run.trials,
                        "hypervolume": run.hypervolume,
                        "igd_plus": run.igd_plus,
                        "on_common_front": run.kept,
                    }
                    for run in group.runs
                ],
            }
            for group in comparison.groups
        ],
        "tests": [dataclasses.asdict(test) for test in comparison.tests],
        "attainment": {
            cost: [dataclasses.asdict(s) for s in attainment_surfaces(comparison, quality, cost)]
            for cost in costs
        },
    }
