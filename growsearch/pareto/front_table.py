"""Front tables for notebooks: pandas, or HTML."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from growsearch.errors import UsageError
from growsearch.pareto.point import Direction, Point
from growsearch.pareto.quantities import format_quantity

if TYPE_CHECKING:
    import pandas

_MAX_ROWS = 20
_ARROWS = {"maximize": "↑", "minimize": "↓"}


def to_pandas(
    points: Sequence[Point], directions: Mapping[str, Direction], on_front: Collection[str] | None
) -> pandas.DataFrame:
    """Return a network a row; with the ids ``on_front`` a column tells who is. See `Front`."""
    try:
        import pandas
    except ImportError as error:
        raise UsageError(
            "to_pandas needs pandas: pip install 'growsearch[notebook]'; "
            "without it, front.members has the same values"
        ) from error
    rows: list[dict[str, Any]] = []
    for point in points:
        first = {name: point.values[name] for name in directions}
        row: dict[str, Any] = {"id": point.id, **first, **point.values}
        if on_front is not None:
            row["on_front"] = point.id in on_front
        rows.append(row)
    columns = None if rows else ["id", *directions]
    return pandas.DataFrame(rows, columns=columns).set_index("id")


def to_html(members: Sequence[Point], directions: Mapping[str, Direction], *, compared: int) -> str:
    """Return the front as an HTML table, best first objective first; names are escaped."""
    names = list(directions)
    head = "".join(f"<th>{escape(name)} {_ARROWS[directions[name]]}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{escape(point.id)}</td>"
        + "".join(f"<td>{escape(format_quantity(point.values[n], n))}</td>" for n in names)
        + "</tr>"
        for point in members[:_MAX_ROWS]
    )
    left = len(members) - _MAX_ROWS
    more = f"<p>and {left} more: front.to_pandas()</p>" if left > 0 else ""
    return (
        f"<p>{len(members)} of {compared} networks are on the front</p>"
        f"<table><thead><tr><th>network</th>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
    )
