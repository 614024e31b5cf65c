"""Is any network that a person brings handled right, or told why not? 55 public architectures.

    python benchmarks/real_networks.py [--only NETWORK ...] [--step STEP ...] [--quick]

Every network goes through every step beside Torch-Pruning, each cell in a process of its own with
60 seconds of processor time. Weights are random and nothing is downloaded. What is done is kept by
the state of our three packages, and is not done again; --again does.

These packages are no dependencies of the project. An environment of their own, 8 GB of disk:

    python -m venv realenv
    realenv/bin/pip install torch==2.14.1 torchvision==0.29.1
    realenv/bin/pip install timm==1.0.31 transformers torch-pruning==1.6.1 torch==2.14.1
    realenv/bin/pip install "ray[tune]" optuna numpy fvcore scikit-learn scipy moocore pydantic \
        PyYAML typer rich safetensors pillow matplotlib onnx onnxruntime onnxscript torch==2.14.1
    PYTHONPATH=. realenv/bin/python benchmarks/real_networks.py

A cell is ok, partial (some of it stayed, which and what share of the cost), refused (with the
message), a crash (an exception that is not ours), wrong (its check of the function or the count
failed) or a timeout. Checks are in real_networks_truth.py and do not use what they check.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import logging
import multiprocessing
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from real_networks_list import NETWORKS
from real_networks_steps import STEPS
from resumable import RunTable
from rich.console import Console
from rich.table import Table

from cost_models import CostModelError
from growsearch.errors import GrowsearchError
from growsearch.files import write_json
from search_spaces import SearchSpaceError

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "real_networks.json"
OUTCOMES = ("ok", "partial", "refused", "crash", "wrong", "timeout")
LIMIT_S, _PATIENCE = 60, 60
QUICK = ("resnet18", "mobilenetv4", "shufflenet_v2", "convnextv2", "hf_vit")
_OURS = (GrowsearchError, SearchSpaceError, CostModelError)
_PACKAGES = ("cost_models", "search_spaces", "growsearch")
Record = dict[str, Any]


def code() -> str:
    """Return the commit of our packages, and a digest of what is in their files."""
    found = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(path.relative_to(ROOT).as_posix().encode())
            found.update(path.read_bytes())
    git = ["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", *_PACKAGES]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return f"{commit}-{found.hexdigest()[:8]}"


def versions() -> dict[str, str]:
    names = ("torch", "torchvision", "timm", "transformers", "torch-pruning")
    return {name: importlib.metadata.version(name) for name in names}


def attempt(network: str, step: str) -> Record:
    """Try one cell in this process."""
    try:
        return STEPS[step](NETWORKS[network])
    except Exception as error:
        ours = isinstance(error, _OURS) and not _is_raw(error.__cause__)
        told = f"{type(error).__name__}: {error}"
        if ours:
            return {"result": "refused", "detail": told}
        place = traceback.extract_tb(error.__traceback__)[-1]
        return {"result": "crash", "detail": f"{told} ({Path(place.filename).name}:{place.lineno})"}


def _is_raw(cause: BaseException | None) -> bool:
    """Tell whether somebody else's exception is only passed on: nobody can act on that."""
    raw = (AttributeError, RuntimeError, TypeError, IndexError, KeyError, AssertionError)
    return isinstance(cause, raw)


def _child(network: str, step: str, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S + _used_s(), LIMIT_S + _used_s() + 5))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    before = time.process_time()
    found = attempt(network, step)
    pipe.send({**found, "seconds": round(time.process_time() - before, 2)})
    pipe.close()


def _used_s() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


def cell(network: str, step: str) -> Record:
    """Try one cell in a process of its own; the libraries are loaded in this one."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(network, step, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(LIMIT_S * _PATIENCE) else None
    except EOFError:
        found = None
    process.join(5)
    if process.is_alive():
        process.kill()
        process.join()
    return found or _ended(process.exitcode)


def _ended(status: int | None) -> Record:
    timed_out = (-signal.SIGXCPU, -signal.SIGKILL, None)
    if status in timed_out:
        return {"result": "timeout", "detail": f"more than {LIMIT_S} s", "seconds": LIMIT_S}
    return {"result": "crash", "detail": f"the process ended with {status}", "seconds": 0}


def summarise(runs: list[Record]) -> list[Record]:
    """Return a row a step: how many cells went which way."""
    rows = []
    for step in STEPS:
        results = [run for run in runs if run["step"] == step]
        counts = Counter(run["result"] for run in results)
        row = {"step": step, "networks": len(results)}
        row |= {outcome: counts[outcome] for outcome in OUTCOMES}
        seconds = sorted(float(run["seconds"]) for run in results)
        row["median_s"] = seconds[len(seconds) // 2] if seconds else None
        rows.append(row)
    return rows


def matrix(runs: list[Record]) -> list[Record]:
    """Return a row a network: how each step went."""
    found: dict[str, Record] = {name: {"network": name} for name in NETWORKS}
    for run in runs:
        share = run.get("macs_share", run.get("floor"))
        share_told = f" {share:.0%}" if share is not None else ""
        found[run["network"]][run["step"]] = run["result"] + share_told
    return [{"network": name} | {s: row.get(s, "") for s in STEPS} for name, row in found.items()]


class Matrix(RunTable):
    """Cells by network and step, the newest state of the code only."""

    def put(self, run: Record) -> None:
        """Write one cell down in the place of an older one."""
        self.runs = [old for old in self.runs if not _same_cell(old, run)] + [run]
        tables = {"rows": summarise(self.runs), "networks": matrix(self.runs)}
        write_json(self._path, {"settings": self._settings, **tables, "runs": self.runs})


def _same_cell(one: Record, other: Record) -> bool:
    return all(one[name] == other[name] for name in ("network", "step"))


def show(runs: list[Record]) -> None:
    table = Table(title="55 public networks: cells by how they went")
    rows = summarise(runs)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=120).print(table)


def wanted(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    names = args.only or (QUICK if args.quick else tuple(NETWORKS))
    for step in args.step or STEPS:
        for name in names:
            yield name, step


def load_libraries() -> None:
    """Load once what every cell's process then has."""
    import onnxruntime  # noqa: F401
    import timm  # noqa: F401
    import torch_pruning  # noqa: F401
    import torchvision  # noqa: F401
    import transformers

    import growsearch.export
    import growsearch.growth
    import growsearch.kinds  # noqa: F401

    transformers.logging.set_verbosity_error()
    # What they would say a layer is in each cell's detail.
    logging.disable(logging.WARNING)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NETWORK", choices=NETWORKS)
    parser.add_argument("--step", nargs="+", metavar="STEP", choices=STEPS)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--again", action="store_true", help="also what is done")
    parser.add_argument(
        "--failed", action="store_true", help="only what was neither ok nor partial"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    load_libraries()
    table = Matrix(args.results, {"versions": versions(), "limit_s": LIMIT_S}, summarise)
    state = code()
    for name, step in wanted(args):
        stamp = importlib.metadata.version("torch-pruning") if step == "torch_pruning" else state
        if table.has(network=name, step=step, code=stamp) and not args.again:
            continue
        good = table.where(network=name, step=step)
        if args.failed and good and good[0]["result"] in ("ok", "partial"):
            continue
        run = {"network": name, "step": step, "code": stamp, **cell(name, step)}
        table.put(run)
        sys.stdout.write(
            f"{name:22} {step:16} {run['result']:8} {run['seconds']:6} {run['detail']}\n"
        )
        sys.stdout.flush()
    show(table.runs)


if __name__ == "__main__":
    main()
