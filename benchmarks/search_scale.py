"""Does a search of 10,000 trials on 1,000 workers stay as quick and small as it began?

Simulated workers train networks of NAS-Bench-201 (a table: error against latency); MO-ASHA judges
them at rungs of 20, 60 and 180 of 200 epochs. The rest is what a real search has: the sampler,
Optuna's study, the rungs and a ledger line a trial, flushed to disk. After every hundred trials the
process's memory and its processor time are noted, each sampler in a process of its own.

    python benchmarks/search_scale.py --data-dir FOLDER
    python benchmarks/search_scale.py --data-dir FOLDER --samplers tpe --trials 3000
    python benchmarks/search_scale.py --plot
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table
from tabular.nasbench201 import load_nasbench201
from tabular.simulation import Outcome, Rung, SimulatedTrial, simulate
from tabular.table import ResultTable

from growsearch.files import append_line
from growsearch.pareto import Direction
from growsearch.search.fidelity.mo_asha import MultiObjectiveAsha, rung_steps
from growsearch.trial.record import Trial

ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "search_scale.json"
PICTURE = ROOT.parent / "docs" / "pictures" / "search_scale.svg"
OBJECTIVES = ("error", "latency[raspi4]")
DIRECTIONS: dict[str, Direction] = {"error": "minimize", "macs": "minimize"}
EPOCHS, FIRST, ETA = 200, 20, 3
# A network of 100 M MACs takes 100 simulated seconds.
MACS_A_SECOND = 1e6
EVERY = 100
SAMPLERS = ["random", "nsga2", "tpe"]


@dataclass(frozen=True)
class Task:
    data_dir: Path
    sampler: str
    trials: int
    workers: int


def sampler_of(name: str) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=0)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=0, population_size=20)
    return optuna.samplers.TPESampler(seed=0, multivariate=True)


def outcome(trial: optuna.Trial, table: ResultTable, rungs: tuple[int, ...]) -> Outcome:
    """Return what a network comes to; on its way the error falls from 90 % as training goes on.

    The table has the end alone. How the error gets there is made up (it is no result of anything
    here), and noisy enough for the rungs to have something to decide.
    """
    row = table.suggest(trial)
    error, latency = table.values(row, OBJECTIVES)
    macs = float(table.column("macs")[row])
    seconds = macs / MACS_A_SECOND
    noise = np.random.default_rng([row, trial.number])
    told = [
        Rung(
            steps=steps,
            seconds=seconds * steps / EPOCHS,
            values={
                "error": error + (90 - error) * (1 - steps / EPOCHS) ** 2 + noise.normal(),
                "macs": macs,
            },
        )
        for steps in rungs
    ]
    return Outcome(values=(error, latency), seconds=seconds, rungs=told)


def memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def ledger_line(trial: SimulatedTrial) -> str:
    return Trial(
        id=f"t{trial.number}",
        number=trial.number,
        kind="sparse",
        status="stopped" if trial.stopped else "finished",
        config=dict(trial.params),
        seed=trial.number,
        metrics=dict(zip(OBJECTIVES, trial.values, strict=True)),
    ).to_line()


def one_run(task: Task) -> Record:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = load_nasbench201(task.data_dir)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=sampler_of(task.sampler)
    )
    steps = rung_steps(FIRST, EPOCHS, ETA)
    asha = MultiObjectiveAsha(DIRECTIONS, steps, eta=ETA, seed=0)
    objective = functools.partial(outcome, table=table, rungs=steps[:-1])
    notes: list[tuple[int, float, float]] = []
    stopped = 0
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        ledger = Path(folder) / "trials.jsonl"
        started = time.process_time()
        trials = simulate(study, objective, workers=task.workers, trials=task.trials, stopping=asha)
        for done, trial in enumerate(trials, start=1):
            append_line(ledger, ledger_line(trial))
            stopped += trial.stopped
            if done % EVERY == 0:
                now = time.process_time()
                notes.append((done, memory_mib(), 1000 * (now - started) / EVERY))
                started = now
    return {
        "sampler": task.sampler,
        "trials": task.trials,
        "workers": task.workers,
        "stopped": stopped,
        "by_trials": [[done, round(mib, 2), round(ms, 3)] for done, mib, ms in notes],
    }


def summarise(runs: list[Record]) -> list[Record]:
    """Return what a trial took in the first and in the last quarter of every run."""
    rows = []
    for run in runs:
        # The first trials fill the workers; once the last ones run, nothing is asked any more.
        ends = range(run["workers"] + 1, run["trials"] - run["workers"] + 1)
        notes = [note for note in run["by_trials"] if note[0] in ends]
        quarter = max(1, len(notes) // 4)
        first, last = notes[:quarter], notes[-quarter:]
        rows.append(
            {
                "sampler": run["sampler"],
                "trials": run["trials"],
                "stopped": run["stopped"],
                "ms_a_trial_first_quarter": round(float(np.mean([n[2] for n in first])), 2),
                "ms_a_trial_last_quarter": round(float(np.mean([n[2] for n in last])), 2),
                "mib_first": first[0][1],
                "mib_last": last[-1][1],
                "kib_a_trial": round(
                    1024 * (last[-1][1] - first[0][1]) / max(1, last[-1][0] - first[0][0]), 2
                ),
            }
        )
    return rows


def show(rows: list[Record]) -> None:
    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=160).print(table)


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw time a trial and memory against the number of trials, a line a sampler."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for run in results["runs"]:
        done, mib, ms = zip(*run["by_trials"], strict=True)
        axes[0].plot(done, ms, label=f"{run['sampler']}, {run['trials']:,}")
        axes[1].plot(done, mib, label=f"{run['sampler']}, {run['trials']:,}")
    for axis, label in zip(axes, ("processor ms a trial", "driver's memory, MiB"), strict=True):
        axis.set(xlabel="trials that have ended", ylabel=label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date: equal figures give an equal file.
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="the folder with NAS-Bench-201's table")
    parser.add_argument("--samplers", nargs="*", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--plot", action="store_true", help="only draw the figures that are there")
    chosen = parser.parse_args()
    if not chosen.plot:
        if chosen.data_dir is None:
            parser.error("--data-dir is needed")
        fixed = {"workers": chosen.workers, "epochs": EPOCHS, "first": FIRST, "eta": ETA}
        table = RunTable(RESULTS, fixed, summarise)
        for sampler in chosen.samplers:
            if not table.has(sampler=sampler, trials=chosen.trials):
                task = Task(chosen.data_dir, sampler, chosen.trials, chosen.workers)
                for run in run_parallel(one_run, [task], 1):
                    table.add(run)
        show(table.rows())
    plot(json.loads(RESULTS.read_text()), PICTURE)


if __name__ == "__main__":
    main()
