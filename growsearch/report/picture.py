"""Picture of the front: one panel a device, drawn without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from growsearch.kinds import KINDS
from growsearch.pareto import Direction, Front
from growsearch.pareto.quantities import SHARE, quantity_of
from growsearch.report.describe import direction_of, kind_title, latency_devices, title
from growsearch.report.device_choice import device_choices
from growsearch.report.figure_file import axis_unit, figure_file
from growsearch.report.page_data import metric_names
from growsearch.report.run_data import Run
from growsearch.trial.record import Trial

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, and a shape a kind in the order of KINDS, so that neither is needed
# alone. Beyond them, and for kinds of a newer version, the last again.
_LOOKS = (
    ("#0072B2", "o"),
    ("#D55E00", "^"),
    ("#009E73", "s"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
)
_OUTSIDE = ("#8b95a1", "x", "outside constraints")
_PANEL_INCHES = (4.6, 3.8)


def render_png(run: Run) -> bytes:
    """Return front.png: the first objective against each device's latency.

    A run without latencies is drawn against its second objective or its parameters.
    """
    return _render(run, "png")


def render_svg(run: Run) -> bytes:
    """Return front.svg, the picture of `render_png` in vectors; text stays text."""
    return _render(run, "svg")


def render_pdf(run: Run) -> bytes:
    """Return front.pdf, the picture of `render_png` for a paper."""
    return _render(run, "pdf")


def _render(run: Run, kind: str) -> bytes:
    costs = _costs(run)
    width, height = _PANEL_INCHES
    return figure_file(lambda figure: _draw(figure, run, costs), (width * len(costs), height), kind)


def _draw(figure: Figure, run: Run, costs: list[str]) -> None:
    panels = figure.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    for place, (panel, cost) in enumerate(zip(panels, costs, strict=True)):
        _draw_panel(panel, run, cost, first=place == 0)
    entries: dict[str, Artist] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        panels[-1].legend(
            list(entries.values()), list(entries), loc="lower right", frameon=False, fontsize=8
        )


def _costs(run: Run) -> list[str]:
    quality = next(iter(run.objectives))
    devices = [f"latency[{device}]" for device in latency_devices(run.trials)]
    found = [name for name in devices if name != quality]
    others = [n for n in (*run.objectives, "parameters") if n != quality and n in metric_names(run)]
    return found or others[:1] or [quality]


def _draw_panel(panel: Axes, run: Run, cost: str, *, first: bool) -> None:
    quality = next(iter(run.objectives))
    factor, unit = _unit(run, cost)
    high, unit_y = (100, " (%)") if quantity_of(quality) is SHARE else (1, "")
    points = [t for t in run.finished if cost in t.metrics and quality in t.metrics]
    compared = [p for p in run.front().points if cost in p.values]
    inside = {point.id for point in compared}
    for kind in dict.fromkeys(trial.kind for trial in points):
        chosen = [t for t in points if t.kind == kind and t.id in inside]
        _draw_kind(panel, chosen, _look(kind), (cost, factor), (quality, high))
    outside = [t for t in points if t.id not in inside]
    _draw_kind(panel, outside, _OUTSIDE, (cost, factor), (quality, high))
    directions: dict[str, Direction] = {
        cost: direction_of(cost, run.objectives),
        quality: run.objectives[quality],
    }
    front = Front.of(compared, directions)
    xs = [member.values[cost] / factor for member in front.members]
    ys = [member.values[quality] * high for member in front.members]
    panel.step(xs, ys, where="post", color="#333333", linewidth=1.2, label="front", zorder=1)
    _mark_choice(panel, run, (cost, factor), (quality, high))
    panel.set_xlabel(f"{title(cost)}{_method(points, cost)}{unit}", fontsize=9)
    if first:
        panel.set_ylabel(f"{title(quality)}{unit_y}", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _look(kind: str) -> tuple[str, str, str]:
    """Return a kind's colour, marker and title."""
    place = list(KINDS).index(kind) if kind in KINDS else len(_LOOKS)
    return (*_LOOKS[min(place, len(_LOOKS) - 1)], kind_title(kind))


def _draw_kind(
    panel: Axes,
    trials: list[Trial],
    look: tuple[str, str, str],
    cost: tuple[str, float],
    quality: tuple[str, float],
) -> None:
    """Draw ``trials``; ``cost`` and ``quality`` are a metric and what its values are scaled by."""
    if not trials:
        return
    colour, marker, label = look
    # As arrays: matplotlib looks at each number of a list by itself.
    xs = np.array([trial.metrics[cost[0]] for trial in trials]) / cost[1]
    ys = np.array([trial.metrics[quality[0]] for trial in trials]) * quality[1]
    panel.scatter(
        xs, ys, s=22, c=colour, marker=marker, alpha=0.75, linewidths=0.8, label=label, zorder=2
    )


def _mark_choice(
    panel: Axes, run: Run, cost: tuple[str, float], quality: tuple[str, float]
) -> None:
    for choice in device_choices(run):
        if cost[0] == f"latency[{choice.device}]" and choice.chosen is not None:
            x = choice.chosen.metrics[cost[0]] / cost[1]
            y = choice.chosen.metrics[quality[0]] * quality[1]
            panel.scatter([x], [y], s=110, facecolors="none", edgecolors="#111111", label="choice")


def _method(trials: list[Trial], cost: str) -> str:
    """Name how a latency was found on the axis itself; both where trials differ."""
    device = cost[8:-1] if cost.startswith("latency[") else ""
    found = sorted({t.latency[device].method for t in trials if device in t.latency})
    return f", {' and '.join(found)}" if found else ""


def _unit(run: Run, cost: str) -> tuple[float, str]:
    return axis_unit(cost, max((abs(t.metrics.get(cost, 0.0)) for t in run.finished), default=0.0))
