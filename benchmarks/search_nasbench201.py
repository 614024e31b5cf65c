"""How many evaluations does each sampler need? NAS-Bench-201 as a table, error against latency.

The true front of all 15,625 networks is known: a run counts the finished evaluations until its
front has 90, 95 and 99 % of the true hypervolume, with the reference at 20 % error (CIFAR-10 test,
200 epochs) and at the 95th percentile of the device's latency. Workers are asynchronous, and a
trial takes seconds in proportion to its MACs. A finished run is written at once, so that an
interrupted benchmark goes on where it was.

    python benchmarks/search_nasbench201.py --data-dir FOLDER --seeds 20 --processes 2
    python benchmarks/search_nasbench201.py --data-dir FOLDER --seeds 2 --devices raspi4 \\
        --samplers gp-ehvi random
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import optuna
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table

from growsearch.search.gp_ehvi import Foresight, GPEHVISampler, GPEHVISettings
from growsearch.search.table import ResultTable
from growsearch.search.table_nasbench201 import load_nasbench201
from growsearch.search.table_simulation import Outcome, simulate

RESULTS = Path(__file__).parent / "results" / "search_nasbench201.json"
SHARES = (0.90, 0.95, 0.99)
REFERENCE_ERROR = 20.0
LATENCY_PERCENTILE = 95
# A trial of 100 M MACs takes 100 simulated seconds.
MACS_A_SECOND = 1e6


@dataclass(frozen=True)
class Task:
    data_dir: Path
    sampler: str
    device: str
    workers: int
    seed: int
    evaluations: int

    @property
    def key(self) -> dict[str, Any]:
        return {
            "sampler": self.sampler,
            "device": self.device,
            "workers": self.workers,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Problem:
    table: ResultTable
    device: str

    @property
    def objectives(self) -> tuple[str, str]:
        return ("error", f"latency[{self.device}]")

    @property
    def reference(self) -> tuple[float, float]:
        latencies = self.table.column(self.objectives[1])
        return (REFERENCE_ERROR, float(np.percentile(latencies, LATENCY_PERCENTILE)))

    def evaluate(self, trial: optuna.Trial) -> Outcome:
        row = self.table.suggest(trial)
        seconds = float(self.table.column("macs")[row]) / MACS_A_SECOND
        return Outcome(values=self.table.values(row, self.objectives), seconds=seconds)


def ours(problem: Problem, seed: int, *, described: bool) -> optuna.samplers.BaseSampler:
    table, latency = problem.table, problem.table.column(problem.objectives[1])

    def costs(params: Mapping[str, Any]) -> tuple[float]:
        return (float(latency[table.row(params)]),)

    def descriptors(params: Mapping[str, Any]) -> Any:
        return table.descriptors[table.row(params)]

    return GPEHVISampler(
        seed=seed,
        foresight=Foresight(costs=costs, descriptors=descriptors if described else None),
        space=table.suggest,
        settings=GPEHVISettings(reference=problem.reference),
    )


Make = Callable[[Problem, int], optuna.samplers.BaseSampler]

SAMPLERS: dict[str, Make] = {
    "gp-ehvi": lambda problem, seed: ours(problem, seed, described=True),
    "gp-ehvi, raw choices": lambda problem, seed: ours(problem, seed, described=False),
    "random": lambda _, seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda _, seed: optuna.samplers.TPESampler(seed=seed),
    "tpe, multivariate": lambda _, seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda _, seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
}


def optuna_values(task: Task, problem: Problem) -> Iterator[tuple[float, ...]]:
    """Yield the finished evaluations of a sampler in the order of their ends."""
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=SAMPLERS[task.sampler](problem, task.seed)
    )
    trials = simulate(study, problem.evaluate, workers=task.workers, trials=task.evaluations)
    return (trial.values for trial in trials)


def evaluations_to(
    values: Iterator[tuple[float, ...]], reference: tuple[float, float], total: float
) -> tuple[dict[str, int | None], int]:
    """Return the number of evaluations to each share of ``total``, and how many were made."""
    front = np.empty((0, 2))
    found: dict[str, int | None] = {f"{share:.0%}": None for share in SHARES}
    made = 0
    for made, value in enumerate(values, start=1):
        front = np.vstack([front, value])
        front = front[moocore.is_nondominated(front)]
        reached = moocore.hypervolume(front, ref=np.array(reference)) / total
        for share in SHARES:
            if found[f"{share:.0%}"] is None and reached >= share:
                found[f"{share:.0%}"] = made
        if reached >= SHARES[-1]:
            break
    return found, made


# Describing 15,625 networks takes a second: once a process.
@functools.cache
def table_in(data_dir: Path) -> ResultTable:
    return load_nasbench201(data_dir)


def one_run(task: Task) -> Record:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    problem = Problem(table_in(task.data_dir), task.device)
    total = problem.table.hypervolume(problem.objectives, problem.reference)
    start = time.process_time()
    found, made = evaluations_to(optuna_values(task, problem), problem.reference, total)
    return {
        **task.key,
        "evaluations": found,
        "made": made,
        "cpu_s": round(time.process_time() - start, 2),
    }


def median_text(counts: list[int | None], most: int) -> str:
    """Write the median; a run that never came there counts as more than all."""
    median = statistics.median(most + 1 if count is None else count for count in counts)
    return f"> {most}" if median > most else f"{median:g}"


def summarise(runs: list[Record], most: int) -> list[Record]:
    rows = []
    for sampler, device, workers in dict.fromkeys(
        (run["sampler"], run["device"], run["workers"]) for run in runs
    ):
        mine = [
            run
            for run in runs
            if (run["sampler"], run["device"], run["workers"]) == (sampler, device, workers)
        ]
        row: Record = {
            "sampler": sampler,
            "device": device,
            "workers": workers,
            "seeds": len(mine),
        }
        for share in (f"{share:.0%}" for share in SHARES):
            row[share] = median_text([run["evaluations"][share] for run in mine], most)
        seconds = sum(run["cpu_s"] for run in mine) / sum(run["made"] for run in mine)
        row["cpu_s_an_evaluation"] = round(seconds, 4)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["workers"], row["device"]))


def show(rows: list[Record]) -> None:
    names = [f"{share:.0%}" for share in SHARES]
    table = Table(title="Median evaluations to a share of the true hypervolume")
    for column in ("workers", "device", "sampler", "seeds", *names, "CPU ms an evaluation"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["workers"]),
            row["device"],
            row["sampler"],
            str(row["seeds"]),
            *(row[name] for name in names),
            f"{1000 * row['cpu_s_an_evaluation']:.1f}",
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of cifar10.npz")
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--devices", nargs="+", default=["raspi4", "eyeriss", "2080ti_256"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=120, help="at most, of every run")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    most = arguments.evaluations
    runs = RunTable(
        arguments.out,
        {
            "evaluations": most,
            "reference_error": REFERENCE_ERROR,
            "latency_percentile": LATENCY_PERCENTILE,
        },
        lambda done: summarise(done, most),
    )
    tasks = [
        Task(arguments.data_dir, sampler, device, workers, seed, most)
        for seed in range(arguments.seeds)
        for workers in arguments.workers
        for device in arguments.devices
        for sampler in arguments.samplers
    ]
    missing = [task for task in tasks if not runs.has(**task.key)]
    for run in run_parallel(one_run, missing, arguments.processes):
        runs.add(run)
        print(
            f"{len(runs.runs)} runs: {run['sampler']}, {run['device']}, seed {run['seed']}: "
            f"{run['evaluations']}",
            flush=True,
        )
    show(runs.rows())


if __name__ == "__main__":
    main()
