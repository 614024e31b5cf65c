"""Do a driver's memory and time for a trial stay flat? 10,000 trials on 1,000 simulated workers.

NAS-Bench-201 as a table: a trial takes simulated seconds in proportion to its MACs, and with early
stopping it is judged after 12 of 200 epochs. What is measured is the driver alone, as the search
engine has it: sampler, Optuna study, rungs. Writes JSON and a picture of both curves.

    python benchmarks/search_scale.py --data-dir FOLDER
    python benchmarks/search_scale.py --data-dir FOLDER --trials 2000 --workers 200
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from resumable import Record
from rich.console import Console
from rich.table import Table

from growsearch.files import write_bytes, write_json
from growsearch.search.mo_asha import MultiObjectiveAsha
from growsearch.search.table import ResultTable
from growsearch.search.table_nasbench201 import load_nasbench201
from growsearch.search.table_simulation import Outcome, Rung, simulate

RESULTS = Path(__file__).parent / "results" / "search_scale.json"
OBJECTIVES = ("error", "latency[raspi4]")
EARLY, LAST, ETA = 12, 200, 3
# 100 M MACs take 100 simulated seconds.
MACS_A_SECOND = 1e6
WINDOWS = 10

Make = Callable[[int], optuna.samplers.BaseSampler]
SAMPLERS: dict[str, Make] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
}


def resident_bytes() -> int:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(
    table: ResultTable, early: ResultTable, arguments: argparse.Namespace, sampler: str
) -> list[Record]:
    """Return what every window of the trials took."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=SAMPLERS[sampler](0))
    directions = dict.fromkeys(OBJECTIVES, "minimize")
    stopping = MultiObjectiveAsha(directions, (EARLY, LAST), eta=ETA, seed=0)

    def objective(trial: optuna.Trial) -> Outcome:
        row = table.suggest(trial)
        seconds = float(table.column("macs")[row]) / MACS_A_SECOND
        told = dict(zip(OBJECTIVES, early.values(row, OBJECTIVES), strict=True))
        rung = Rung(steps=EARLY, seconds=seconds * EARLY / LAST, values=told)
        return Outcome(values=table.values(row, OBJECTIVES), seconds=seconds, rungs=[rung])

    trials = simulate(
        study,
        objective,
        workers=arguments.workers,
        trials=arguments.trials,
        stopping=stopping,
    )
    found, window = [], max(1, arguments.trials // WINDOWS)
    stopped, before = 0, time.process_time()
    for done, trial in enumerate(trials, start=1):
        stopped += trial.stopped
        if done % window == 0:
            now = time.process_time()
            found.append(
                {
                    "sampler": sampler,
                    "trials": done,
                    "cpu_ms_a_trial": round(1000 * (now - before) / window, 3),
                    "resident_mb": round(resident_bytes() / 2**20, 1),
                    "stopped": stopped,
                    "simulated_s": round(trial.ended_s, 1),
                }
            )
            before = now
    return found


def picture(rows: list[Record], path: Path) -> None:
    """Draw CPU time for a trial and resident memory over the trials."""
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time_axis, memory_axis = figure.subplots(1, 2)
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        mine = [row for row in rows if row["sampler"] == sampler]
        done = [row["trials"] for row in mine]
        time_axis.plot(done, [row["cpu_ms_a_trial"] for row in mine], marker="o", label=sampler)
        memory_axis.plot(done, [row["resident_mb"] for row in mine], marker="o", label=sampler)
    for axis, label in ((time_axis, "CPU ms a trial"), (memory_axis, "resident MB")):
        axis.set(xlabel="trials", ylabel=label, ylim=(0, None))
        axis.legend()
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    write_bytes(path, content.getvalue())


def show(rows: list[Record]) -> None:
    table = Table(title="The driver alone")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of cifar10.npz")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--samplers", nargs="+", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = load_nasbench201(arguments.data_dir)
    early = load_nasbench201(arguments.data_dir, "test_accuracy_12_epochs")
    rows: list[Record] = []
    for sampler in arguments.samplers:
        rows += run(table, early, arguments, sampler)
    settings = {"trials": arguments.trials, "workers": arguments.workers, "eta": ETA}
    write_json(arguments.out, {"settings": settings, "rows": rows})
    picture(rows, arguments.out.with_suffix(".svg"))
    show(rows)


if __name__ == "__main__":
    main()
