"""Figure files that are the same twice, and the scale of their axes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from growsearch.pareto.quantities import SHARE, TIME, quantity_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Neither a date nor a version: the same run gives the same file.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_DPI = 160
# The salt names the clip paths of an SVG, which are random otherwise. A name with a dollar is a
# name and no formula.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "growsearch",
    "text.parse_math": False,
}
_SECONDS = {1.0: "s", 1e-3: "ms", 1e-6: "µs", 1e-9: "ns"}


def figure_file(draw: Callable[[Figure], None], size: tuple[float, float], kind: str) -> bytes:
    """Return what ``draw`` puts on a figure of ``size`` inches as "png", "svg" or "pdf".

    Text stays text in vectors. No display is needed.
    """
    # Imported here: matplotlib takes most of a second, and no other format needs it.
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        _lay_out(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return buffer.getvalue()


def _lay_out(figure: Figure) -> None:
    """Find the layout once, without the points: saving would draw ten thousand of them twice."""
    points = [mark for axes in figure.axes for mark in (*axes.lines, *axes.collections)]
    shown = [mark for mark in points if mark.get_visible()]
    for mark in shown:
        mark.set_visible(False)
    figure.draw_without_rendering()
    # Without any engine: with the one called "none", saving would lay the texts out once more.
    figure.set_layout_engine(None)
    for mark in shown:
        mark.set_visible(True)


def axis_unit(name: str, largest: float) -> tuple[float, str]:
    """Return what values of a metric are divided by on an axis, and the unit for its title."""
    quantity = quantity_of(name)
    if quantity is SHARE:
        return 0.01, " (%)"
    if quantity is TIME:
        size = next((size for size in _SECONDS if abs(largest) >= size), 1e-9)
        return size, f" ({_SECONDS[size]})"
    return 1.0, ""
