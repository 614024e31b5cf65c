"""What does the search itself cost? Trivial trials and cheap evaluations, and the driver's memory.

The trials do nothing, but pass through everything: sampler, starts, Tune, worker, outcome, ledger.
Memory is read after every hundred trials; what it grows by is the price of a trial.

    python benchmarks/search_overhead.py --sections trials batches
    python benchmarks/search_overhead.py --sections memory --trials 5000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.cloudpickle
from rich.console import Console
from rich.table import Table

from cost_models import Cost, estimate, trace
from growsearch.files import write_json
from growsearch.growth import build_full
from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.search.backends.ray.map_batches import in_batches
from growsearch.search.cluster.session import ray_session
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.study.study import Study, StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.run import Report
from growsearch.trial.task import TrialTask
from search_spaces import search_space

RESULTS = Path(__file__).parent / "results" / "search_overhead.json"
WORKERS = 2
# From here on workers are up and running.
WARM = 20


def nothing(config: CandidateConfig, _task: TrialTask, seed: int, _report: Report) -> Trial:
    """Stand for a trial that takes no time."""
    return Trial(
        id=trial_id(config, seed),
        number=0,
        kind=config.kind,
        status="finished",
        config=config.to_json(),
        seed=trial_seed(config, seed),
        metrics={"accuracy": config.sparsity, "macs": 1000 * config.sparsity},
    )


def study(folder: Path, trials: int) -> Study:
    return Study(
        {
            "name": "overhead",
            "dataset": "digits",
            "trials": {
                "sparse": {
                    "space": "mlp-digits",
                    "transform": "none",
                    "sparsity": {"low": 0.1, "high": 0.9},
                }
            },
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
            "search": {"trials": trials, "parallel": WORKERS, "sampler": "random"},
        },
        folder,
    )


class Watch:
    """Notes when each trial was recorded, and the driver's memory after every hundred."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.memory: list[tuple[int, float]] = []

    def __call__(self, recorder: Recorder) -> Any:
        from contextlib import nullcontext

        recorder.listeners.append(lambda: self._note(len(recorder.trials)))
        return nullcontext()

    def _note(self, done: int) -> None:
        if done > len(self.times):
            self.times.append(time.perf_counter())
            if done % 100 == 0:
                self.memory.append((done, memory_mib()))


def memory_mib() -> float:
    """Return what the driver holds now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def searched(trials: int) -> Watch:
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        study(Path(folder) / "run", trials).run(StudyOptions(around=watch, run=nothing))
    return watch


def trial_section(trials: int) -> dict[str, Any]:
    times = searched(trials).times
    rate = (len(times) - WARM) / (times[-1] - times[WARM - 1])
    return {"trials": len(times), "workers": WORKERS, "trials_per_s": round(rate, 2)}


def memory_section(trials: int) -> dict[str, Any]:
    watch = searched(trials)
    halves = len(watch.times) // 2
    return {
        "trials": len(watch.times),
        "driver_mib_by_trials": [[done, round(mib, 1)] for done, mib in watch.memory],
        "kib_a_trial": round(
            1024
            * (watch.memory[-1][1] - watch.memory[0][1])
            / (watch.memory[-1][0] - watch.memory[0][0]),
            2,
        ),
        "s_a_trial_first_half": round((watch.times[halves] - watch.times[WARM]) / halves, 3),
        "s_a_trial_second_half": round((watch.times[-1] - watch.times[halves]) / halves, 3),
    }


def cost_of_scale() -> Callable[[int], float]:
    """Return an evaluation that is cheap and real: the wafer's latency at a batch size."""
    space = search_space("resnet20")
    work = trace(build_full(space, seed=0), space.example_inputs())

    def evaluate(batch_size: int) -> float:
        found: Cost = estimate(work, "wafer-cs2", batch_size, "inference")
        return found.latency_s

    return evaluate


def batch_section(evaluations: int) -> dict[str, Any]:
    evaluate = cost_of_scale()
    sizes = [1 + index % 512 for index in range(evaluations)]
    with ray_session(WORKERS, 0, None):
        list(in_batches(evaluate, sizes[:400]))
        started = time.perf_counter()
        found = list(in_batches(evaluate, sizes))
        elapsed = time.perf_counter() - started
    assert found[:512] == [evaluate(size) for size in sizes[:512]]
    started = time.perf_counter()
    for size in sizes[:512]:
        evaluate(size)
    alone = 512 / (time.perf_counter() - started)
    return {
        "evaluations": evaluations,
        "evaluations_per_s": round(evaluations / elapsed),
        "one_process_per_s": round(alone),
    }


def main() -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", nargs="*", default=["trials", "batches"])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--evaluations", type=int, default=20_000)
    chosen = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "trials": lambda: trial_section(chosen.trials),
        "batches": lambda: batch_section(chosen.evaluations),
        "memory": lambda: memory_section(chosen.trials),
    }
    for name in chosen.sections:
        results[name] = {**sections[name](), "cores": os.cpu_count()}
    show(results)
    write_json(RESULTS, results)


def show(results: dict[str, Any]) -> None:
    table = Table("section", "figure", "value")
    for name, figures in results.items():
        for figure, value in figures.items():
            table.add_row(name, figure, str(value if not isinstance(value, list) else value[-1]))
    Console().print(table)


if __name__ == "__main__":
    main()
