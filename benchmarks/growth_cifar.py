"""What does growing buy on CIFAR-10? Accuracy, size and cost of training beside the baselines.

ResNet-20 and VGG-16 on a fixed subset of CIFAR-10, as in table 1 of arXiv 2007.15353: learned
growth beside random-order growth, random indicators, uniform width at the MACs of the grown
network, the grown architecture trained from scratch, and dense training. All see the same batches
at a seed and train for the same epochs, but for one: uniform width for as many whole epochs as the
training MACs of growth pay for. Savings are against dense training in the same run: MACs as
integrated step by step, time as process CPU time on one thread. Every finished run is written down;
run it again to go on.

    python benchmarks/growth_cifar.py --data-dir DATA --network resnet20 --epochs 12 --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from resumable import Record, RunTable, run_parallel, with_deviation
from rich.console import Console
from rich.table import Table

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.growth import (
    Budget,
    GrowthConfig,
    IndicatorConfig,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.metrics import accuracy, predict
from growsearch.training import TRAINING_PASSES, Recipe, TrainingOptions, published_recipe
from search_spaces import Architecture, SearchSpace, search_space

RESULTS = Path(__file__).parent / "results"
# What the paper's grown networks had (table 1).
PARAMETERS = {"resnet20": 0.36, "vgg16": 0.05}
GROWN = {
    "learned": GrowthConfig(),
    "learned, normalised gradient": GrowthConfig(indicators=IndicatorConfig(steering="normalised")),
    "learned, taylor": GrowthConfig(indicators=IndicatorConfig(steering="taylor")),
    "learned, multiples of 8": GrowthConfig(width_multiple=8),
    "learned, frozen at a fifth": GrowthConfig(freeze_at=0.2),
    "random order": GrowthConfig(policy="random-order"),
    "random indicators": GrowthConfig(policy="random"),
}
# These need the grown network of the same seed.
UNIFORM, DIRECT, CHEAP = "uniform width", "direct design", "uniform width, fewer epochs"
AFTER = (UNIFORM, DIRECT, CHEAP)


@dataclass(frozen=True)
class Settings:
    network: str
    parameters: float
    epochs: int
    batch_size: int
    train_images: int
    precision: str
    channels_last: bool
    # None is the published recipe's, which a deep plain network does not take in a short run.
    learning_rate: float | None = None


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    method: str
    seed: int
    # Choices of the grown architecture and its MACs, for the methods that need them.
    grown: Record | None = None


def images(job: Job) -> Dataset:
    whole = load_dataset("cifar10", Path(job.data_dir))
    count = job.settings.train_images
    return subset(whole, train=count, validation=200, test=len(whole.test))


def recipe_of(settings: Settings) -> Recipe:
    recipe = published_recipe("growth-cifar", epochs=settings.epochs)
    return dataclasses.replace(
        recipe,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        precision=settings.precision,  # type: ignore[arg-type]
    )


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    dataset, settings = images(job), job.settings
    space = search_space(settings.network).for_data(dataset.input_shape, dataset.num_classes)
    options = TrainingOptions(channels_last=settings.channels_last)
    start, cpu_start = time.perf_counter(), time.process_time()
    if job.method in GROWN:
        config = dataclasses.replace(GROWN[job.method], recipe=recipe_of(settings))
        budget = Budget(parameters=settings.parameters)
        result = grow(space, dataset, budget=budget, config=config, seed=job.seed, options=options)
    else:
        result = train_fixed(
            space,
            dataset,
            architecture_of(job, space),
            recipe=recipe_of(settings).scaled(epochs_of(job, dataset)),
            seed=job.seed,
            options=options,
        )
    cpu_s, wall_s = time.process_time() - cpu_start, time.perf_counter() - start
    return {
        "method": job.method,
        "seed": job.seed,
        "test_accuracy": accuracy(predict(result.model, dataset.test.inputs), dataset.test.labels),
        "parameters": result.parameters,
        "macs": result.macs,
        "training_macs": result.training_macs,
        "dense_training_macs": result.dense_training_macs,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "choices": dict(result.architecture.choices),
    }


def architecture_of(job: Job, space: SearchSpace) -> Architecture:
    if job.method == "dense":
        return space.largest()
    assert job.grown is not None
    if job.method in (UNIFORM, CHEAP):
        return uniform_architecture(space, Budget(macs=job.grown["macs"]))
    return space.largest().replace(job.grown["choices"])


def epochs_of(job: Job, dataset: Dataset) -> int:
    """Return the epochs of a network of fixed widths: as many as growth has paid for, or all."""
    settings = job.settings
    if job.method != CHEAP:
        return settings.epochs
    assert job.grown is not None
    examples = len(dataset.train) // settings.batch_size * settings.batch_size
    an_epoch = TRAINING_PASSES * job.grown["macs"] * examples
    return max(1, job.grown["training_macs"] // an_epoch)


def rows(runs: list[Record]) -> list[Record]:
    """Return one row a method: means over seeds, savings against dense training at each seed."""
    dense = {run["seed"]: run for run in runs if run["method"] == "dense"}
    found = []
    for method in dict.fromkeys(run["method"] for run in runs):
        group = [run for run in runs if run["method"] == method and run["seed"] in dense]
        if not group:
            continue
        pairs = [(run, dense[run["seed"]]) for run in group]
        found.append(
            {
                "method": method,
                "test_accuracy": [run["test_accuracy"] for run in group],
                "gain_on_dense": [
                    run["test_accuracy"] - whole["test_accuracy"] for run, whole in pairs
                ],
                "parameters_share": mean_of(pairs, lambda r, d: r["parameters"] / d["parameters"]),
                "macs_share": mean_of(pairs, lambda r, d: r["macs"] / d["macs"]),
                "training_macs_saving": mean_of(
                    pairs, lambda r, d: d["training_macs"] / r["training_macs"]
                ),
                "time_saving": mean_of(pairs, lambda r, d: d["cpu_s"] / r["cpu_s"]),
                "cpu_s": statistics.mean(run["cpu_s"] for run in group),
            }
        )
    return found


def mean_of(pairs: list[tuple[Record, Record]], ratio: Callable[[Record, Record], float]) -> float:
    return statistics.mean(ratio(run, whole) for run, whole in pairs)


def show(table_rows: list[Record], settings: Settings) -> None:
    title = (
        f"{settings.network} on {settings.train_images:,} images of CIFAR-10, "
        f"{settings.epochs} epochs, {settings.precision}, one thread"
    )
    table = Table(title=title)
    for column in ("method", "test accuracy", "parameters", "MACs", "saved MACs", "saved time"):
        table.add_column(column)
    for row in table_rows:
        table.add_row(
            row["method"],
            with_deviation(row["test_accuracy"]),
            f"{row['parameters_share']:.1%}",
            f"{row['macs_share']:.1%}",
            f"{row['training_macs_saving']:.2f}x",
            f"{row['time_saving']:.2f}x",
        )
    Console(width=110).print(table)


def work(table: RunTable, settings: Settings, arguments: argparse.Namespace) -> None:
    console = Console()
    for methods in (("dense", *GROWN), AFTER):
        todo = [
            Job(settings, arguments.data_dir, method, seed, grown_at(table, seed))
            for seed in range(arguments.seeds)
            for method in methods
            if method in arguments.methods and not table.has(method=method, seed=seed)
        ]
        for result in run_parallel(run, todo, arguments.workers):
            table.add(result)
            console.print(
                f"{result['method']}, seed {result['seed']}: {result['test_accuracy']:.2%}, "
                f"{result['cpu_s']:.0f} s CPU"
            )


def grown_at(table: RunTable, seed: int) -> Record | None:
    grown = table.where(method="learned", seed=seed)
    return grown[0] if grown else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--network", choices=sorted(PARAMETERS), default="resnet20")
    parser.add_argument("--parameters", type=float, help="share of the full configuration")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--train-images", type=int, default=5_000)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipe's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--methods", nargs="+", default=["dense", *GROWN, *AFTER])
    arguments = parser.parse_args()
    settings = Settings(
        network=arguments.network,
        parameters=arguments.parameters or PARAMETERS[arguments.network],
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        train_images=arguments.train_images,
        precision=arguments.precision,
        channels_last=arguments.channels_last,
        learning_rate=arguments.learning_rate,
    )
    path = RESULTS / f"growth_cifar_{arguments.network}.json"
    table = RunTable(path, asdict(settings), rows)
    work(table, settings, arguments)
    show(table.rows(), settings)


if __name__ == "__main__":
    main()
