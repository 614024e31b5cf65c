"""Is a network's structure chosen by the data? Widths grown with true and with shuffled labels.

The null test of steerings, of the learned policy's indicators and of the planned policy's
allocation. Each grows a small ResNet on CIFAR-10 to the same MACs until its structure is final,
with true labels and with labels that say nothing, which leave all else as it was: weights, batches,
and what chance decides. Distances are sums of |differences of widths| as shares of all channels of
the full network: of true from shuffled labels at the same seed ("from shuffled"), of two seeds with
true labels ("between seeds"), and of true labels from channels that come in random order
("from chance").

A steering passes if labels move the widths more than the seed does, and if seeds agree with each
other more than with chance, both beyond two standard errors. What fails is not steered by data.

    python benchmarks/growth_steering.py --data-dir DATA --seeds 4
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from growth_options import run_table, settings_from
from growth_setup import (
    NETWORKS,
    deviation,
    distance,
    images,
    late,
    shuffled,
    space_for,
    structure_of,
)
from resumable import Record, RunTable, run_parallel, with_deviation
from rich.console import Console
from rich.table import Table

from growsearch.growth import Budget, GrowthConfig, IndicatorConfig, grow
from growsearch.training import Recipe

Configure = Callable[[Recipe], GrowthConfig]
HERE = Path(__file__).parent
CHANCE = "random order"
TRUE, SHUFFLED = "true", "shuffled"


def _steered(steering: str) -> Configure:
    return lambda recipe: GrowthConfig.paper(
        recipe=recipe, indicators=IndicatorConfig(steering=steering)
    )


STEERINGS: Mapping[str, Configure] = {
    "planned, fisher": lambda recipe: GrowthConfig(recipe=recipe, allocation="fisher"),
    "learned, task": _steered("task"),
    "learned, normalised": _steered("normalised"),
    "learned, taylor": _steered("taylor"),
}
CONFIGS = {
    **STEERINGS,
    CHANCE: lambda recipe: GrowthConfig(recipe=recipe, policy="random-order"),
}


@dataclass(frozen=True)
class Settings:
    network: str
    macs: float
    pixels: int
    epochs: int
    batch_size: int
    train_images: int


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    steering: str
    labels: str
    seed: int


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    settings, seed = job.settings, job.seed
    data = images(Path(job.data_dir), train=settings.train_images, pixels=settings.pixels, test=100)
    if job.labels == SHUFFLED:
        data = shuffled(data, seed)
    usual = NETWORKS[settings.network]
    space = space_for(settings.network, usual.width, data)
    recipe = late(
        settings.epochs, batch_size=settings.batch_size, learning_rate=usual.learning_rate
    )
    config, budget = CONFIGS[job.steering](recipe), Budget(macs=settings.macs)
    started = time.process_time()
    widths = structure_of(
        lambda options: grow(space, data, budget=budget, config=config, seed=seed, options=options)
    )
    return {
        "steering": job.steering,
        "labels": job.labels,
        "seed": seed,
        "widths": widths,
        "full": dict(space.largest().choices),
        "cpu_s": time.process_time() - started,
    }


def rows(runs: list[Record]) -> list[Record]:
    """Return a row a steering with its distances, and whether it passes."""
    names = [name for name in STEERINGS if _widths(runs, name, TRUE)]
    return [row(name, runs) for name in names] + [chance_row(runs)]


def _widths(runs: list[Record], steering: str, labels: str) -> dict[int, Record]:
    return {r["seed"]: r for r in runs if (r["steering"], r["labels"]) == (steering, labels)}


def row(steering: str, runs: list[Record]) -> Record:
    true, null = (_widths(runs, steering, labels) for labels in (TRUE, SHUFFLED))
    chance = _widths(runs, CHANCE, TRUE)
    moved = [_apart(true[seed], null[seed]) for seed in sorted(true.keys() & null.keys())]
    between = pairs(list(true.values()))
    from_chance = [_apart(one, other) for one in true.values() for other in chance.values()]
    steered, agrees = beyond(moved, between), beyond(from_chance, between)
    return {
        "steering": steering,
        "seeds": len(true),
        "from_shuffled": spread(moved),
        "between_seeds": spread(between),
        "from_chance": spread(from_chance),
        "labels_move_widths": steered,
        "seeds_agree": agrees,
        "passes": None if steered is None or agrees is None else steered and agrees,
        "mean_widths": mean_widths(list(true.values())),
        "cpu_s": statistics.mean(run["cpu_s"] for run in true.values()),
    }


def chance_row(runs: list[Record]) -> Record:
    chance = list(_widths(runs, CHANCE, TRUE).values())
    return {
        "steering": CHANCE,
        "seeds": len(chance),
        "between_seeds": spread(pairs(chance)),
        "mean_widths": mean_widths(chance),
    }


def _apart(one: Record, other: Record) -> float:
    return distance(one["widths"], other["widths"], one["full"])


def pairs(runs: Sequence[Record]) -> list[float]:
    """Return the distance of every two runs."""
    return [_apart(a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]


def spread(values: Sequence[float]) -> Record:
    mean = statistics.mean(values) if values else None
    return {"mean": mean, "deviation": deviation(values), "values": list(values)}


def beyond(larger: Sequence[float], smaller: Sequence[float]) -> bool | None:
    """Tell whether one mean is above the other by two standard errors; None of too few runs."""
    if len(larger) < 2 or len(smaller) < 2:
        return None
    error = sum(statistics.variance(v) / len(v) for v in (larger, smaller)) ** 0.5
    return statistics.mean(larger) - statistics.mean(smaller) > 2 * error


def mean_widths(runs: Sequence[Record]) -> dict[str, float]:
    if not runs:
        return {}
    return {name: statistics.mean(run["widths"][name] for run in runs) for name in runs[0]["full"]}


def show(table_rows: list[Record], settings: Settings) -> None:
    title = (
        f"Widths of {settings.network} at {settings.macs:.0%} of the MACs, "
        f"{settings.train_images:,} images: distances, % of all channels"
    )
    table = Table(title=title)
    columns = ("steering", "seeds", "from shuffled", "between seeds", "from chance", "passes")
    for column in columns:
        table.add_column(column)
    for line in table_rows:
        passes = line.get("passes")
        table.add_row(
            line["steering"],
            str(line["seeds"]),
            *(cell(line.get(key)) for key in ("from_shuffled", "between_seeds", "from_chance")),
            {True: "yes", False: "no", None: "-"}[passes],
        )
    Console(width=120).print(table)


def cell(found: Record | None) -> str:
    return "-" if found is None else with_deviation(found["values"])


def todo(table: RunTable, settings: Settings, given: argparse.Namespace) -> list[Job]:
    """Return what is missing; random order pays no heed to labels."""
    return [
        Job(settings, str(given.data_dir), steering, labels, seed)
        for seed in range(given.seeds)
        for steering in (CHANCE, *given.steerings)
        for labels in (TRUE, SHUFFLED)
        if (steering, labels) != (CHANCE, SHUFFLED)
        and not table.has(steering=steering, labels=labels, seed=seed)
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--network", choices=[*NETWORKS], default="resnet8")
    parser.add_argument("--macs", type=float, default=0.4, help="share of the full network's")
    parser.add_argument("--pixels", type=int, help="images are averaged to so many")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--train-images", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steerings", nargs="+", choices=[*STEERINGS], default=[*STEERINGS])
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--quick", action="store_true", help="a trial of all in a minute")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.pixels = given.pixels or NETWORKS[given.network].pixels
    if given.quick:
        given.epochs, given.train_images, given.seeds = 6, 256, 2
    if given.out is None:
        folder = Path(tempfile.gettempdir()) if given.quick else HERE / "results"
        given.out = folder / f"growth_steering_{given.network}.json"
    return given


def main() -> None:
    given = parse()
    settings = settings_from(Settings, given)
    table = run_table(given.out, settings, rows)
    for found in run_parallel(run, todo(table, settings, given), given.workers):
        table.add(found)
        told = f"{found['steering']}, {found['labels']} labels, seed {found['seed']}"
        Console().print(f"{told}: {found['cpu_s']:.0f} s CPU, {list(found['widths'].values())}")
    show(table.rows(), settings)


if __name__ == "__main__":
    main()
