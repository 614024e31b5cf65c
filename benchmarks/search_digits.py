"""Which sampler finds the better front on a real space in 16 trials? GP-EHVI against TPE, trained.

Both search sparse ResNets on the digits: accuracy against MACs, which a machine's load cannot
change, so that a seed always gives the same front. Per seed both get the same study but for the
sampler. The hypervolume has one reference for all, an accuracy of 80 % and the MACs of the dense
network, and is given as a share of the box between that and 100 % at 0 MACs.

    python benchmarks/search_digits.py
    python benchmarks/search_digits.py --seeds 2 --samplers tpe
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resumable import Record, RunTable, with_deviation
from rich.console import Console
from rich.table import Table

from cost_models import trace
from growsearch.growth import build_full
from growsearch.report import front_of_trials
from growsearch.search.study.study import Study
from search_spaces import search_space

RESULTS = Path(__file__).parent / "results" / "search_digits.json"
SPACE = "resnet-digits"
OURS, THEIRS = "gp-ehvi", "tpe"
REFERENCE_ACCURACY = 0.8
# After so many trials the hypervolume is noted.
NOTED = (4, 8, 16)


def settings(sampler: str, seed: int, trials: int) -> dict[str, Any]:
    return {
        "name": "digits",
        "dataset": "digits",
        "trials": {
            "sparse": {
                "space": SPACE,
                "transform": "none",
                "sparsity": {"low": 0.3, "high": 0.99},
                "distribution": ["uniform", "erk"],
                "updater": ["static", "set", "rigl"],
                "learning_rate": {"low": 0.01, "high": 0.3},
                "epochs": 2,
            }
        },
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": trials, "seed": seed, "sampler": sampler, "backend": "serial"},
    }


def dense_macs() -> float:
    space = search_space(SPACE)
    return float(trace(build_full(space, seed=0), space.example_inputs()).dense_macs)


def shares(study: Study, macs: float) -> dict[str, float]:
    """Return the share of the box that the front has after so many trials."""
    reference = {"accuracy": REFERENCE_ACCURACY, "macs": macs}
    box = (1 - REFERENCE_ACCURACY) * macs
    found = {}
    for count in (n for n in NOTED if n <= len(study.trials)):
        front = front_of_trials(study.trials[:count], study.config.objectives, ())
        found[str(count)] = front.hypervolume(reference) / box
    return found


def one_run(sampler: str, seed: int, trials: int) -> Record:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="digits-") as folder:
        study = Study(settings(sampler, seed, trials), Path(folder) / "run")
        study.run()
    return {
        "sampler": sampler,
        "seed": seed,
        "hypervolume": shares(study, dense_macs()),
        "failed": sum(trial.failed for trial in study.trials),
        "training_s": round(sum(trial.duration_s for trial in study.trials), 1),
        "all_s": round(time.perf_counter() - started, 1),
    }


def summarise(runs: list[Record]) -> list[Record]:
    """Return a line a sampler, and one of the differences within a seed."""
    rows = [_row(name, runs) for name in dict.fromkeys(run["sampler"] for run in runs)]
    ours, theirs = (
        {run["seed"]: run["hypervolume"] for run in runs if run["sampler"] == name}
        for name in (OURS, THEIRS)
    )
    both = sorted(ours.keys() & theirs.keys())
    if both:
        different = [
            {count: ours[seed][count] - theirs[seed][count] for count in ours[seed]}
            for seed in both
        ]
        rows.append(_figures(f"{OURS} - {THEIRS}, by seed", different))
    return rows


def _row(name: str, runs: Sequence[Record]) -> Record:
    return _figures(name, [run["hypervolume"] for run in runs if run["sampler"] == name])


def _figures(name: str, found: Sequence[dict[str, float]]) -> Record:
    columns = {count: [entry[count] for entry in found] for count in found[0]}
    return {
        "sampler": name,
        "seeds": len(found),
        **{
            f"after {count}": {
                "mean": statistics.mean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else None,
                "values": values,
            }
            for count, values in columns.items()
        },
    }


def show(rows: list[Record]) -> None:
    columns = [name for name in rows[0] if name.startswith("after")] if rows else []
    table = Table("sampler", "seeds", *columns, title="hypervolume, share of the box")
    for row in rows:
        cells = [with_deviation(row[name]["values"]) for name in columns]
        table.add_row(row["sampler"], str(row["seeds"]), *cells)
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", nargs="*", default=[OURS, THEIRS, "random"])
    parser.add_argument("--trials", type=int, default=16)
    chosen = parser.parse_args()
    fixed = {"study": settings("", 0, chosen.trials), "reference_accuracy": REFERENCE_ACCURACY}
    table = RunTable(RESULTS, fixed, summarise)
    for seed in range(chosen.seeds):
        for sampler in chosen.samplers:
            if not table.has(sampler=sampler, seed=seed):
                table.add(one_run(sampler, seed, chosen.trials))
                show(table.rows())
    show(table.rows())


if __name__ == "__main__":
    main()
