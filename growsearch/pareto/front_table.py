"""How is a front looked at in a notebook? As a table of pandas, or of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from growsearch.errors import UsageError
from growsearch.pareto.quantities import format_quantity

if TYPE_CHECKING:
    import pandas

    from growsearch.pareto.front import Front

_MOST_ROWS = 20
_ARROWS = {"maximize": "↑", "minimize": "↓"}


def to_pandas(front: Front, *, all_points: bool = False) -> pandas.DataFrame:
    """See `Front.to_pandas`."""
    try:
        import pandas
    except ImportError as error:
        raise UsageError(
            "to_pandas needs pandas: pip install 'growsearch[notebook]'; "
            "without it, front.members has the same values"
        ) from error
    members = {point.id for point in front.members}
    rows: list[dict[str, Any]] = []
    for point in front.points if all_points else front.members:
        first = {name: point.values[name] for name in front.directions}
        row: dict[str, Any] = {"id": point.id, **first, **point.values}
        if all_points:
            row["on_front"] = point.id in members
        rows.append(row)
    columns = None if rows else ["id", *front.directions]
    return pandas.DataFrame(rows, columns=columns).set_index("id")


def to_html(front: Front) -> str:
    """Return the front as an HTML table, best first objective first; names are escaped."""
    names = list(front.directions)
    head = "".join(f"<th>{escape(name)} {_ARROWS[front.directions[name]]}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{escape(point.id)}</td>"
        + "".join(f"<td>{escape(format_quantity(point.values[n], n))}</td>" for n in names)
        + "</tr>"
        for point in front.members[:_MOST_ROWS]
    )
    left = len(front) - _MOST_ROWS
    more = f"<p>and {left} more: front.to_pandas()</p>" if left > 0 else ""
    return (
        f"<p>{len(front)} of {len(front.points)} networks are on the front</p>"
        f"<table><thead><tr><th>network</th>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
    )
