"""What do the benchmarks of tickets share? The tickets they draw, and robust beside natural."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from resumable import Record, RunTable, with_deviation
from rich.console import Console
from rich.table import Table

from growsearch.datasets import Dataset
from growsearch.tickets import Drawn, DrawSettings, Pretrained, Robustness, draw
from growsearch.tickets.transfer import MODES
from growsearch.training import Recipe
from search_spaces import SearchSpace

SCHEMES = ("omp", "a-imp", "lmp")
SPARSITIES = (0.7, 0.9, 0.95)
# What one run differs in from the others of its pretrained network.
TICKET = ("scheme", "sparsity", "mode")
RUNS_A_NETWORK = len(SPARSITIES) * len(SCHEMES) * len(MODES)
PRETRAININGS = ("natural", "pgd")
_ROW = ("pair", "mode", "sparsity", "scheme")


@dataclass(frozen=True, kw_only=True)
class TicketPlan:
    """Where the tickets of one pretrained network come from and what they are for."""

    pretrained: Pretrained
    robust: Robustness
    source: Dataset
    target: Dataset
    rounds: int
    seed: int
    space: SearchSpace | None = None


def drawn_tickets(
    plan: TicketPlan, recipe_of: Callable[[str], Recipe]
) -> Iterator[tuple[Record, Drawn]]:
    """Yield every ticket with what a run's record says of it; ``recipe_of`` takes the scheme."""
    for sparsity in SPARSITIES:
        for scheme in SCHEMES:
            started = time.process_time()
            # Natural tickets are drawn naturally.
            own = "imp" if scheme == "a-imp" and plan.robust.kind == "natural" else scheme
            settings = DrawSettings(
                scheme=own,
                sparsity=sparsity,
                recipe=recipe_of(scheme),
                rounds=plan.rounds,
                robustness=plan.robust,
            )
            data = plan.target if scheme == "lmp" else plan.source
            drawn = draw(plan.pretrained, settings, data=data, seed=plan.seed, space=plan.space)
            yield (
                {
                    "scheme": scheme,
                    "sparsity": sparsity,
                    "zeros": drawn.ticket.zeros,
                    "weights": drawn.ticket.weights,
                    "draw_s": round(time.process_time() - started, 2),
                },
                drawn,
            )


def work_through(
    table: RunTable,
    keys: Iterable[Record],
    runs: Callable[[Record], Iterable[Record]],
    say: Callable[[Record], str],
    console: Console,
) -> None:
    """Do what is not finished of every pretrained network; a key names one."""
    for key in keys:
        if len(table.where(**key)) == RUNS_A_NETWORK:
            continue
        for record in table.add_missing(runs(key), (*key, *TICKET)):
            ticket = " ".join(str(record[name]) for name in (*key, *TICKET))
            console.print(f"{len(table.runs)}: {ticket}: {say(record)}", soft_wrap=True)


def compared(runs: list[Record], figures: Iterable[str]) -> list[Record]:
    """Return means over seeds, robust beside natural, and the gain at equal seeds."""
    found = []
    for key in sorted({tuple(run[name] for name in _ROW) for run in runs}):
        same = [run for run in runs if tuple(run[name] for name in _ROW) == key]
        row: Record = dict(zip(_ROW, key, strict=True))
        found.append(row | {figure: _beside(same, figure) for figure in figures})
    return found


def _beside(runs: list[Record], figure: str) -> Record:
    by = {
        kind: {run["seed"]: run[figure] for run in runs if run["pretraining"] == kind}
        for kind in PRETRAININGS
    }
    both = sorted(set(by["natural"]) & set(by["pgd"]))
    gains = [by["pgd"][seed] - by["natural"][seed] for seed in both]
    return {
        "natural": list(by["natural"].values()),
        "pgd": list(by["pgd"].values()),
        "gains": gains,
        "mean_gain": statistics.mean(gains) if gains else None,
    }


def show_compared(
    title: str, rows: Iterable[Record], figures: Mapping[str, str], console: Console
) -> None:
    """Print rows of `compared`; ``figures`` has each figure's word for its columns."""
    table = Table(title=title)
    for column in ("mode", "sparsity", "scheme"):
        table.add_column(column)
    for word in figures.values():
        for column in ("natural", "robust", "gain"):
            table.add_column(f"{column}{word}", justify="right")
    for row in rows:
        cells = [
            with_deviation(row[figure][part])
            for figure in figures
            for part in ("natural", "pgd", "gains")
        ]
        table.add_row(row["mode"], f"{row['sparsity']:g}", row["scheme"], *cells)
    if table.row_count:
        console.print(table)
