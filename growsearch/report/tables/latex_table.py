"""LaTeX table of the front, in the style of booktabs."""

from __future__ import annotations

from growsearch.pareto import format_quantity
from growsearch.report.describe import describe_trial, title
from growsearch.report.markdown import front_columns
from growsearch.report.run_data import Run
from growsearch.shown_text import shown
from growsearch.trial.record import Trial

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "µ": r"\textmu{}",
}


def render_latex(run: Run) -> str:
    """Return front.tex: the table alone, for \\input; it needs the package booktabs.

    Analytic and fitted latencies are marked, as a measurement never looks like an estimate.
    """
    members = [run.trial(member.id) for member in run.front().members]
    names = front_columns(run)
    head = _line(["Network", "Made by", *map(title, names)])
    rows = [_line([t.id, describe_trial(t), *(_cell(t, name) for name in names)]) for t in members]
    marked = any("*" in row for row in rows)
    lines = [
        "% Needs \\usepackage{booktabs}.",
        f"\\begin{{tabular}}{{ll{'r' * len(names)}}}",
        "\\toprule",
        head,
        "\\midrule",
        *rows,
        "\\bottomrule",
        "\\end{tabular}",
        *(["% * An estimate of a cost model, not a measurement."] * marked),
    ]
    return "\n".join(lines) + "\n"


def _cell(trial: Trial, name: str) -> str:
    if name not in trial.metrics:
        return "--"
    entry = trial.latency.get(name[8:-1]) if name.startswith("latency[") else None
    mark = "*" if entry is not None and entry.method != "measured" else ""
    return format_quantity(trial.metrics[name], name) + mark


def _line(cells: list[str]) -> str:
    """Join ``cells`` into a row; each is escaped, so that no name can become a column."""
    return " & ".join(map(_safe, cells)) + r" \\"


def _safe(cell: str) -> str:
    one_line = shown(" ".join(cell.split()))
    return "".join(_ESCAPES.get(character, character) for character in one_line)
