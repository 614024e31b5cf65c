"""Text of a comparison: tables in Markdown, and lines for a terminal."""

from __future__ import annotations

from growsearch.comparison.comparison import Comparison, Group, RunFigures
from growsearch.comparison.statistics import Interval, Test
from growsearch.pareto import format_quantity
from growsearch.report.describe import title
from growsearch.report.markdown_table import markdown_table, safe

_EXPLAINED = (
    "Hypervolume is the share of the common box, between the best and the worst value of every "
    "objective over all runs, that a front dominates: more is better. IGD+ is the mean distance "
    "from the common front to a run's, in widths of that box: less is better. Both hold for these "
    "runs only. Intervals are 95 % bootstrap intervals of the mean over a group's runs."
)


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return the comparison for a terminal of 80 columns; only long names make longer lines."""
    width = max(len(group.name) for group in comparison.groups)
    lines = [f"{'study':<{width}}  runs  hypervolume          IGD+                 on the front"]
    lines += [
        f"{group.name:<{width}}  {len(group.runs):>4}  {_shares(group.hypervolume):<19}  "
        f"{_interval(group.igd_plus):<19}  {_kept(group)}"
        for group in comparison.groups
    ]
    lines += ["", f"Common front: {len(comparison.front)} networks. {_reference(comparison)}"]
    return [*lines, *_judgements(comparison)]


def render_markdown(comparison: Comparison) -> str:
    """Return compare.md."""
    parts = [
        "# Comparison of runs",
        safe(", ".join(f"{title(n)} ({how})" for n, how in comparison.directions.items())),
        "## Studies",
        markdown_table(
            ["Study", "Runs", "Hypervolume", "IGD+", "On the common front"],
            [
                [
                    g.name,
                    str(len(g.runs)),
                    _shares(g.hypervolume),
                    _interval(g.igd_plus),
                    _kept(g),
                ]
                for g in comparison.groups
            ],
        ),
        "\n".join(
            f"- {safe(line)}"
            for line in (*map(_test_line, comparison.tests), *_untested(comparison))
        ),
        "## Runs",
        markdown_table(
            ["Run", "Study", "Compared", "Hypervolume", "IGD+", "On the common front"],
            [_run_row(group, run) for group in comparison.groups for run in group.runs],
        ),
        "## The common front",
        markdown_table(["Network", *map(title, comparison.directions)], _front_rows(comparison)),
        f"{_EXPLAINED} {safe(_reference(comparison))}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _run_row(group: Group, run: RunFigures) -> list[str]:
    return [
        run.label,
        group.name,
        str(run.trials),
        f"{100 * run.hypervolume:.2f} %",
        f"{run.igd_plus:.4f}",
        str(run.kept),
    ]


def _front_rows(comparison: Comparison) -> list[list[str]]:
    return [
        [m.id, *(format_quantity(m.values[name], name) for name in comparison.directions)]
        for m in comparison.front.members
    ]


def _kept(group: Group) -> str:
    return str(sum(run.kept for run in group.runs))


def _shares(interval: Interval) -> str:
    """Return an interval of shares in percent."""
    if interval.low is None:
        return f"{100 * interval.mean:.1f} %"
    return (
        f"{100 * interval.mean:.1f} % ({100 * interval.low:.1f}-{100 * (interval.high or 0):.1f})"
    )


def _interval(interval: Interval) -> str:
    if interval.low is None:
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def _reference(comparison: Comparison) -> str:
    corner = ", ".join(
        f"{title(name)} {format_quantity(value, name)}"
        for name, value in comparison.reference.items()
    )
    return f"Reference point: {corner}."


def _test_line(test: Test) -> str:
    return (
        f"{test.first} against {test.second}: hypervolume above in {100 * test.superiority:.0f} % "
        f"of pairs of runs, p = {test.p_value:.3g} (Mann-Whitney, two-sided, n = "
        f"{test.counts[0]} and {test.counts[1]}, least possible {test.least_p:.3g})"
    )


def _judgements(comparison: Comparison) -> list[str]:
    return [*map(_test_line, comparison.tests), *_untested(comparison)]


def _untested(comparison: Comparison) -> list[str]:
    single = [group.name for group in comparison.groups if len(group.runs) < 2]
    if len(comparison.groups) < 2 or not single:
        return []
    return [
        f"Not tested: {', '.join(single)} with one run each; repeat with other seeds to tell a "
        "difference from chance."
    ]
