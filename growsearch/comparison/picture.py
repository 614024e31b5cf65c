"""Picture of the groups' attainment surfaces: one panel a cost, drawn without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING

from growsearch.comparison.attainment import Surface, attainment_surfaces
from growsearch.comparison.comparison import Comparison
from growsearch.report.describe import title
from growsearch.report.figure_file import axis_unit, figure_file
from growsearch.shown_text import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours; a dash pattern a group besides, so that neither is needed alone.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")
_PANEL_INCHES = (4.6, 3.8)
_WIDTHS = {0.0: 1.0, 50.0: 2.2, 100.0: 1.0}


def render_picture(comparison: Comparison, kind: str) -> bytes:
    """Return the picture as "png" or "svg": the first objective against every other one.

    A group's thick line is what half of its runs attain, the thin ones what at least one and what
    all of them do. A study of one objective has nothing to draw against: its values are points.
    """
    width, height = _PANEL_INCHES
    panels = max(1, len(comparison.directions) - 1)
    return figure_file(lambda figure: _draw(figure, comparison), (width * panels, height), kind)


def _draw(figure: Figure, comparison: Comparison) -> None:
    quality, *costs = comparison.directions
    panels = figure.subplots(1, max(1, len(costs)), squeeze=False, sharey=True)[0]
    if not costs:
        _draw_values(panels[0], comparison, quality)
    for panel, cost in zip(panels, costs, strict=False):
        _draw_panel(panel, comparison, quality, cost)
    panels[-1].legend(frameon=False, fontsize=8, loc="lower right")


def _draw_panel(panel: Axes, comparison: Comparison, quality: str, cost: str) -> None:
    surfaces = attainment_surfaces(comparison, quality, cost)
    scale_x, unit = axis_unit(cost, comparison.reference[cost])
    scale_y, unit_y = axis_unit(quality, comparison.reference[quality])
    worst = (comparison.reference[cost] / scale_x, comparison.reference[quality] / scale_y)
    for place, group in enumerate(comparison.groups):
        lines = [_line(s, (scale_x, scale_y), worst) for s in surfaces if s.group == group.name]
        colour = _COLOURS[place % len(_COLOURS)]
        dash = _DASHES[place // len(_COLOURS) % len(_DASHES)] if place >= len(_COLOURS) else "-"
        for level, (xs, ys) in zip(_WIDTHS, lines, strict=False):
            middle = level == 50.0 or len(lines) == 1
            panel.step(
                xs,
                ys,
                where="post",
                color=colour,
                linestyle=dash,
                linewidth=_WIDTHS[50.0] if middle else _WIDTHS[level],
                alpha=1.0 if middle else 0.45,
                label=shown(f"{group.name} ({len(group.runs)})") if middle else None,
            )
    panel.set_xlabel(f"{title(cost)}{unit}", fontsize=9)
    panel.set_ylabel(f"{title(quality)}{unit_y}", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _line(
    surface: Surface, scale: tuple[float, float], worst: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Return the corners of a surface, from the worst quality at its least cost to its best."""
    xs = [x / scale[0] for x, _ in surface.points]
    ys = [y / scale[1] for _, y in surface.points]
    return [xs[0], *xs, worst[0]], [worst[1], *ys, ys[-1]]


def _draw_values(panel: Axes, comparison: Comparison, quality: str) -> None:
    scale, unit_y = axis_unit(quality, comparison.reference[quality])
    for place, group in enumerate(comparison.groups):
        values = [run.front.members[0].values[quality] / scale for run in group.runs]
        panel.plot([place] * len(values), values, "o", label=shown(f"{group.name} ({len(values)})"))
    panel.set_xticks([])
    panel.set_ylabel(f"{title(quality)}{unit_y}", fontsize=9)
