"""What does early stopping save? Simulated seconds on NAS-Bench-201, error against latency.

As `search_nasbench201.py`, but the clock counts: a network of 100 M MACs takes 100 simulated
seconds for its 200 epochs, and 6 of them until the one rung, at 12 epochs. There a trial is judged
by its validation error of the benchmark's own runs of 12 epochs, and by its latency: of three that
came there, one goes on (MO-ASHA). Stopped trials are no points of a front. The 12-epoch runs are
whole runs with a learning rate of their own, not the first epochs of the long ones.

    python benchmarks/search_nasbench201_stopping.py --data-dir FOLDER --seeds 10
"""

from __future__ import annotations

import argparse
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table
from search_nasbench201 import MACS_A_SECOND, SAMPLERS, Problem, Progress, quantile, table_in
from tabular.simulation import Outcome, Rung, simulate

from growsearch.search.fidelity.mo_asha import MultiObjectiveAsha

RESULTS = Path(__file__).parent / "results" / "search_nasbench201_stopping.json"
SHARES = (0.90, 0.95)
SHORT_EPOCHS, EPOCHS = 12, 200
ETA = 3
WORKERS = 4
# Simulated seconds at most, for all workers together; a mean network takes 62.
MAX_S = 20_000.0
# A model of all results is asked so often at the most.
MAX_TRIALS, MAX_TRIALS_OF_OURS = 1500, 300


@dataclass(frozen=True)
class Task:
    data_dir: Path
    sampler: str
    device: str
    stopping: bool
    seed: int

    @property
    def key(self) -> dict[str, Any]:
        return {
            "sampler": self.sampler,
            "device": self.device,
            "stopping": self.stopping,
            "seed": self.seed,
        }


def evaluate(problem: Problem, trial: optuna.Trial) -> Outcome:
    table = problem.table
    row = table.suggest(trial)
    seconds = float(table.column("macs")[row]) / MACS_A_SECOND
    error, latency = table.values(row, ("error[12 epochs]", problem.objectives[1]))
    rung = Rung(
        steps=SHORT_EPOCHS,
        seconds=seconds * SHORT_EPOCHS / EPOCHS,
        values={"error": error, "latency": latency},
    )
    return Outcome(values=table.values(row, problem.objectives), seconds=seconds, rungs=(rung,))


def one_run(task: Task) -> Record:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    problem = Problem(table_in(task.data_dir), task.device)
    total = problem.table.hypervolume(problem.objectives, problem.reference)
    progress = Progress(problem.reference, total)
    sampler = SAMPLERS[task.sampler](problem, task.seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    asha = MultiObjectiveAsha(
        {"error": "minimize", "latency": "minimize"},
        (SHORT_EPOCHS, EPOCHS),
        eta=ETA,
        seed=task.seed,
    )
    seconds: dict[str, float | None] = {f"{share:.0%}": None for share in SHARES}
    stopped = 0
    most = MAX_TRIALS_OF_OURS if "ehvi" in task.sampler else MAX_TRIALS
    for trial in simulate(
        study,
        lambda asked: evaluate(problem, asked),
        workers=WORKERS,
        trials=most,
        stopping=asha if task.stopping else None,
    ):
        if WORKERS * trial.ended_s > MAX_S:
            break
        stopped += trial.stopped
        reached = 0.0 if trial.stopped else progress.add(trial.values)
        for share in SHARES:
            if seconds[f"{share:.0%}"] is None and reached >= share:
                seconds[f"{share:.0%}"] = round(trial.ended_s, 1)
        if reached >= SHARES[-1]:
            break
    return {**task.key, "seconds": seconds, "finished": progress.made, "stopped": stopped}


def summarise(runs: list[Record]) -> list[Record]:
    rows = []
    for key in dict.fromkeys((run["device"], run["sampler"], run["stopping"]) for run in runs):
        mine = [run for run in runs if (run["device"], run["sampler"], run["stopping"]) == key]
        row: Record = dict(zip(("device", "sampler", "stopping"), key, strict=True))
        row["seeds"] = len(mine)
        for share in (f"{share:.0%}" for share in SHARES):
            known = [run["seconds"][share] for run in mine]
            median = quantile([math.inf if s is None else s for s in known], 0.5)
            row[share] = "not reached" if math.isinf(median) else f"{median:.0f}"
        row["finished"] = quantile([run["finished"] for run in mine], 0.5)
        row["stopped"] = quantile([run["stopped"] for run in mine], 0.5)
        rows.append(row)
    return sorted(rows, key=lambda r: (r["device"], list(SAMPLERS).index(r["sampler"])))


def show(rows: list[Record]) -> None:
    table = Table(title=f"Median simulated seconds to hypervolume, {WORKERS} workers")
    columns = ("device", "sampler", "stopping", "seeds", "90%", "95%", "finished", "stopped")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of cifar10.npz")
    parser.add_argument(
        "--samplers", nargs="+", choices=list(SAMPLERS), default=["random", "nsga2", "gp-ehvi"]
    )
    parser.add_argument("--devices", nargs="+", default=["raspi4"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    settings = {"eta": ETA, "rung_epochs": SHORT_EPOCHS, "workers": WORKERS, "most_s": MAX_S}
    runs = RunTable(arguments.out, settings, summarise)
    tasks = [
        Task(arguments.data_dir, sampler, device, stopping, seed)
        for seed in range(arguments.seeds)
        for device in arguments.devices
        for sampler in arguments.samplers
        for stopping in (False, True)
    ]
    missing = [task for task in tasks if not runs.has(**task.key)]
    for run in run_parallel(one_run, missing, arguments.processes):
        runs.add(run)
        print(f"{len(runs.runs)} runs: {run}", flush=True)
    show(runs.rows())


if __name__ == "__main__":
    main()
