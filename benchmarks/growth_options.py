"""What do the benchmarks of growth let one choose? Their options, and their tables."""

from __future__ import annotations

import dataclasses
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from growth_setup import NETWORKS
from resumable import Record, RunTable

HERE = Path(__file__).parent
Settings = TypeVar("Settings")
Rows = Callable[[list[Record]], list[Record]]


def image_parser(doc: str | None) -> ArgumentParser:
    """Return a parser of what benchmarks on CIFAR-10 have in common; see `fill_in`."""
    parser = ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--network", choices=[*NETWORKS], default="resnet20")
    parser.add_argument("--width", type=float, help="share of the usual widths")
    parser.add_argument("--pixels", type=int, help="images are averaged to so many")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epochs", type=int, default=16, help="of a single run")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--train-images", type=int, default=20_000)
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--quick", action="store_true", help="a trial of all in minutes")
    return parser


def add_places(parser: ArgumentParser, name: str) -> None:
    """Add where a benchmark keeps its runs and writes its table."""
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / name)
    parser.add_argument("--out", type=Path, help=f"default: results/{name}_NETWORK.json")


def fill_in(given: Namespace, name: str) -> None:
    """Fill in what the network is usually run with, and where the table goes; make the folder."""
    for key in ("width", "pixels", "learning_rate"):
        if getattr(given, key) is None:
            setattr(given, key, getattr(NETWORKS[given.network], key))
    if given.out is None:
        folder = given.work if given.quick else HERE / "results"
        given.out = folder / f"{name}_{given.network}.json"
    given.work.mkdir(parents=True, exist_ok=True)


def settings_from(kind: type[Settings], given: Namespace) -> Settings:
    """Return the settings of a benchmark: a dataclass whose fields are options by their names."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(given, name) for name in names})


def run_table(out: Path, settings: Any, rows: Rows) -> RunTable:
    """Return the table of the runs with these settings that are finished."""
    kept = {**dataclasses.asdict(settings), "threads": 1, "torch": torch.__version__}
    return RunTable(out, kept, rows)


def of_method(method: str, runs: Sequence[Record]) -> dict[int, Record]:
    """Return a method's runs by seed."""
    return {run["seed"]: run for run in runs if run["method"] == method}


def row_each(methods: Sequence[str], row: Callable[[str, list[Record]], Record]) -> Rows:
    """Return what makes the rows of a table: one of each method that has run."""
    return lambda runs: [row(method, runs) for method in methods if of_method(method, runs)]
