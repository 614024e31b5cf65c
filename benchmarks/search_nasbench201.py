"""How many evaluations does each sampler need? NAS-Bench-201 as a table, error against latency.

The true front of all 15,625 networks is known: a run counts the finished evaluations until its
front has 90, 95 and 99 % of the true hypervolume, with the reference at 20 % error (CIFAR-10 test,
200 epochs) and at the 95th percentile of the device's latency. Workers are asynchronous, and a
trial takes seconds in proportion to its MACs. A finished run is written at once, so that an
interrupted benchmark goes on where it was, and can be given more samplers, devices and seeds.

    python benchmarks/search_nasbench201.py --data-dir FOLDER --seeds 20 --processes 2
    python benchmarks/search_nasbench201.py --data-dir FOLDER --seeds 2 --devices raspi4 \\
        --samplers gp-ehvi random
    python benchmarks/search_nasbench201.py --data-dir FOLDER --syne-python PYTHON \\
        --samplers "syne-tune mo-rea"

Our sampler gets 120 evaluations, its rivals 300. The CPU time of a
suggestion is that of asking, telling and simulating; the table's look-ups are next to nothing.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import optuna
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table
from syne_tune_sampler import SyneTuneSampler
from tabular.nasbench201 import load_nasbench201
from tabular.simulation import Outcome, simulate
from tabular.table import ResultTable

from growsearch.search.samplers.gp_ehvi.sampler import GPEHVISampler, GPEHVISettings, KnownCosts

RESULTS = Path(__file__).parent / "results" / "search_nasbench201.json"
SHARES = (0.90, 0.95, 0.99)
REFERENCE_ERROR = 20.0
LATENCY_PERCENTILE = 95
# Evaluations at most.
MAX_EVALUATIONS, MAX_EVALUATIONS_OF_OURS = 300, 120
# A trial of 100 M MACs takes 100 simulated seconds.
MACS_A_SECOND = 1e6


@dataclass(frozen=True)
class Task:
    data_dir: Path
    sampler: str
    device: str
    workers: int
    seed: int
    syne_python: str | None = None

    @property
    def most(self) -> int:
        return MAX_EVALUATIONS_OF_OURS if "ehvi" in self.sampler else MAX_EVALUATIONS

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
        foresight=KnownCosts(costs=costs, descriptors=descriptors if described else None),
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


SYNE_TUNE = "syne-tune "
SYNE_TUNE_METHODS = ("mo-rea", "mo-rea, population 20", "mo-rea, linear")
SYNE_TUNE_SAMPLERS = tuple(SYNE_TUNE + method for method in SYNE_TUNE_METHODS)


def sampler_of(task: Task, problem: Problem) -> optuna.samplers.BaseSampler:
    if task.sampler not in SYNE_TUNE_SAMPLERS:
        return SAMPLERS[task.sampler](problem, task.seed)
    if task.syne_python is None:
        raise SystemExit(f"{task.sampler}: give an interpreter with it by --syne-python")
    method, options = task.sampler.removeprefix(SYNE_TUNE), problem.table.options
    return SyneTuneSampler(task.syne_python, method, options, problem.objectives, task.seed)


class Progress:
    """The share of ``total`` hypervolume that a run has reached, evaluation by evaluation."""

    def __init__(self, reference: tuple[float, float], total: float) -> None:
        self._reference, self._total = np.array(reference), total
        self._front = np.empty((0, 2))
        self.made = 0
        self.found: dict[str, int | None] = {f"{share:.0%}": None for share in SHARES}

    def add(self, values: tuple[float, ...]) -> float:
        """Count one more evaluation; return the share reached."""
        self.made += 1
        front = np.vstack([self._front, values])
        self._front = front[moocore.is_nondominated(front)]
        reached = moocore.hypervolume(self._front, ref=self._reference) / self._total
        for share in SHARES:
            if self.found[f"{share:.0%}"] is None and reached >= share:
                self.found[f"{share:.0%}"] = self.made
        return float(reached)


# Describing 15,625 networks takes a second: once a process.
@functools.cache
def table_in(data_dir: Path) -> ResultTable:
    return load_nasbench201(data_dir)


def one_run(task: Task) -> Record:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    problem = Problem(table_in(task.data_dir), task.device)
    total = problem.table.hypervolume(problem.objectives, problem.reference)
    progress = Progress(problem.reference, total)
    sampler = sampler_of(task, problem)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    reached, start = 0.0, time.process_time()
    for trial in simulate(study, problem.evaluate, workers=task.workers, trials=task.most):
        reached = progress.add(trial.values)
        if reached >= SHARES[-1]:
            break
    seconds = time.process_time() - start
    if isinstance(sampler, SyneTuneSampler):
        sampler.close()
        seconds += sampler.cpu_s
    return {
        **task.key,
        "evaluations": progress.found,
        "most": task.most,
        "made": progress.made,
        "reached": round(reached, 4),
        "cpu_s": round(seconds, 2),
    }


def counted_text(counts: list[int | None], most: int) -> str:
    """Write median and quartiles; a run that never came there counts as more than all."""
    known = [math.inf if count is None else count for count in counts]
    median, *quartiles = (quantile(known, share) for share in (0.5, 0.25, 0.75))
    texts = [f">{most}" if value > most else f"{value:g}" for value in (median, *quartiles)]
    return f"{texts[0]} ({texts[1]}-{texts[2]})"


def quantile(values: list[float], share: float) -> float:
    """Interpolate between order statistics; infinite where one that counts is."""
    ordered, place = sorted(values), share * (len(values) - 1)
    below, weight = int(place), place - int(place)
    if weight == 0:
        return ordered[below]
    return ordered[below] * (1 - weight) + ordered[below + 1] * weight


def summarise(runs: list[Record]) -> list[Record]:
    rows = []
    for key in dict.fromkeys((run["workers"], run["device"], run["sampler"]) for run in runs):
        mine = [run for run in runs if (run["workers"], run["device"], run["sampler"]) == key]
        row: Record = dict(zip(("workers", "device", "sampler"), key, strict=True))
        row["seeds"] = len(mine)
        for share in (f"{share:.0%}" for share in SHARES):
            counts = [run["evaluations"][share] for run in mine]
            row[share] = counted_text(counts, mine[0]["most"])
        seconds = sum(run["cpu_s"] for run in mine) / sum(run["made"] for run in mine)
        row["cpu_s_a_suggestion"] = round(seconds, 4)
        rows.append(row)
    names = [*SAMPLERS, *SYNE_TUNE_SAMPLERS]
    return sorted(rows, key=lambda r: (r["workers"], r["device"], names.index(r["sampler"])))


def show(rows: list[Record]) -> None:
    names = [f"{share:.0%}" for share in SHARES]
    table = Table(title="Evaluations to a share of the true hypervolume: median (quartiles)")
    for column in ("workers", "device", "sampler", "seeds", *names, "CPU ms a suggestion"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["workers"]),
            row["device"],
            row["sampler"],
            str(row["seeds"]),
            *(row[name] for name in names),
            f"{1000 * row['cpu_s_a_suggestion']:.1f}",
        )
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of cifar10.npz")
    parser.add_argument(
        "--samplers", nargs="+", choices=[*SAMPLERS, *SYNE_TUNE_SAMPLERS], default=list(SAMPLERS)
    )
    parser.add_argument("--devices", nargs="+", default=["raspi4", "eyeriss", "2080ti_256"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--syne-python", help="an interpreter with Syne Tune, for its methods")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    runs = RunTable(
        arguments.out,
        {
            "evaluations": {"others": MAX_EVALUATIONS, "ehvi": MAX_EVALUATIONS_OF_OURS},
            "reference_error": REFERENCE_ERROR,
            "latency_percentile": LATENCY_PERCENTILE,
        },
        summarise,
    )
    tasks = [
        Task(arguments.data_dir, sampler, device, workers, seed, arguments.syne_python)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
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
