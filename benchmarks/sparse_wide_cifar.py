"""Does a wider, sparse network beat the dense one at equal training MACs? ResNet-20 on CIFAR-10.

A small replica of arXiv 2303.11525 (figure 4): a fixed 10,000-image subset, ResNet-20 of width 8,
Sparse Wide at .5, .75 and .9 with static masks, SET and RigL against the dense network. All runs
see the same batches at a seed, and all spend the dense network's MACs (RigL's dense gradients come
on top and are counted). Every finished run is written down; run it again to go on.

    python benchmarks/sparse_wide_cifar.py --data-dir DATA --epochs 4 --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.files import write_json
from growsearch.growth import build_full
from growsearch.metrics import accuracy, predict
from growsearch.sparsity import Masks, SparseTraining, macs_per_weight, make_updater
from growsearch.training import TrainingOptions, published_recipe, train
from growsearch.transforms import transform
from search_spaces import SearchSpace, search_space

RESULTS = Path(__file__).parent / "results" / "sparse_wide_cifar.json"
DENSE = "dense"
# From this width on, channels innermost are faster on a CPU (measured: 1.0x at 11, 1.4x at 25).
CHANNELS_LAST_FROM = 16


@dataclass(frozen=True)
class Settings:
    data_dir: str
    epochs: int
    batch_size: int
    train_images: int
    width: int
    interval: int


@dataclass(frozen=True)
class Job:
    updater: str
    sparsity: float
    seed: int


@dataclass(frozen=True)
class Network:
    model: nn.Module
    masks: Masks | None
    solved_sparsity: float
    macs: int


def jobs(seeds: int, sparsities: list[float]) -> list[Job]:
    """Seeds outermost: a run that is cut short has whole comparisons."""
    rows = [Job(DENSE, 0.0, 0)] + [
        Job(updater, sparsity, 0)
        for sparsity in sparsities
        for updater in ("static", "set", "rigl")
    ]
    return [dataclasses.replace(row, seed=seed) for seed in range(seeds) for row in rows]


def run(settings: Settings, job: Job) -> dict[str, Any]:
    torch.set_num_threads(1)
    start, cpu_start = time.perf_counter(), time.process_time()
    dataset = images(settings)
    space = dataclasses.replace(search_space("resnet20"), base_width=settings.width)  # type: ignore[type-var]
    network = build(space, job)
    recipe = published_recipe("sparse-ift-cifar-cosine", epochs=settings.epochs)
    recipe = dataclasses.replace(recipe, batch_size=settings.batch_size, precision="bfloat16")
    channels = next(iter(network.model.parameters())).shape[0]
    options = TrainingOptions(
        hooks=hooks(network, space, job, settings),
        channels_last=channels >= CHANNELS_LAST_FROM,
    )
    history, state = train(
        network.model,
        dataset,
        recipe,
        seed=job.seed,
        forward_macs=network.macs,
        options=options,
    )
    if network.masks is not None:
        network.masks.check()
    examples = state.total_steps * recipe.batch_size
    logits = predict(network.model, dataset.test.inputs)
    return {
        **asdict(job),
        "solved_sparsity": network.solved_sparsity,
        "test_accuracy": accuracy(logits, dataset.test.labels),
        "validation_accuracy": [record.accuracy for record in history],
        "training_macs_of_dense": state.training_macs / (3 * dense_macs(space) * examples),
        "cpu_s": time.process_time() - cpu_start,
        "wall_s": time.perf_counter() - start,
    }


def images(settings: Settings) -> Dataset:
    whole = load_dataset("cifar10", Path(settings.data_dir))
    return subset(whole, train=settings.train_images, validation=200, test=len(whole.test))


def dense_macs(space: SearchSpace) -> int:
    model = build_full(space, 0)
    factors = macs_per_weight(model, space.example_inputs())
    weights = dict(model.named_parameters())
    return sum(weights[name].numel() * factor for name, factor in factors.items())


def build(space: SearchSpace, job: Job) -> Network:
    dense = build_full(space, job.seed)
    if job.updater == DENSE:
        return Network(model=dense, masks=None, solved_sparsity=0.0, macs=dense_macs(space))
    result = transform(
        dense,
        "sparse_wide",
        sparsity=job.sparsity,
        distribution="erk",
        generator=torch.Generator().manual_seed(job.seed),
        example_inputs=space.example_inputs(),
    )
    masks = Masks.of(result.module)
    solved = masks.zeros / masks.weights
    return Network(model=result.module, masks=masks, solved_sparsity=solved, macs=result.match.macs)


def hooks(
    network: Network, space: SearchSpace, job: Job, settings: Settings
) -> tuple[SparseTraining, ...]:
    if network.masks is None:
        return ()
    return (
        SparseTraining(
            network.masks,
            make_updater(job.updater),
            macs_per_weight=macs_per_weight(network.model, space.example_inputs()),
            interval=settings.interval,
        ),
    )


def finished(settings: Settings) -> list[dict[str, Any]]:
    """Return the runs of an earlier call with these settings."""
    if not RESULTS.exists():
        return []
    data = json.loads(RESULTS.read_text())
    return data["runs"] if data["settings"] == described(settings) else []


def described(settings: Settings) -> dict[str, Any]:
    """Return what the figures depend on; where the data lies is nobody's business."""
    data = asdict(settings)
    del data["data_dir"]
    return data | {
        "network": "ResNet-20, 32 x 32",
        "recipe": "sparse-ift-cifar-cosine, bfloat16 autocast",
        "distribution": "erk",
        "threads_a_run": 1,
    }


def run_all(settings: Settings, todo: list[Job], workers: int) -> Iterator[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for future in as_completed([pool.submit(run, settings, job) for job in todo]):
            yield future.result()


def rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and standard deviation over seeds of every method, dense first."""
    found = []
    by_seed = {run["seed"]: run["test_accuracy"] for run in runs if run["updater"] == DENSE}
    for key in sorted({(run["sparsity"], run["updater"]) for run in runs}):
        group = [run for run in runs if (run["sparsity"], run["updater"]) == key]
        values = [run["test_accuracy"] for run in group]
        gains = [r["test_accuracy"] - by_seed[r["seed"]] for r in group if r["seed"] in by_seed]
        found.append(
            {
                "sparsity": key[0],
                "updater": key[1],
                "seeds": len(values),
                "mean": statistics.mean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else None,
                "mean_gain": statistics.mean(gains) if gains else None,
                "gain_deviation": statistics.stdev(gains) if len(gains) > 1 else None,
                "training_macs_of_dense": statistics.mean(
                    run["training_macs_of_dense"] for run in group
                ),
                "cpu_s": statistics.mean(run["cpu_s"] for run in group),
            }
        )
    return found


def show(table_rows: list[dict[str, Any]], settings: Mapping[str, Any]) -> None:
    title = (
        f"Sparse Wide, ResNet-20 of width {settings['width']}, {settings['train_images']:,} images "
        f"of CIFAR-10, {settings['epochs']} epochs"
    )
    table = Table(title=title)
    for column in ("sparsity", "masks", "test accuracy", "gain on dense", "training MACs", "CPU s"):
        table.add_column(column)
    for row in table_rows:
        table.add_row(
            f"{row['sparsity']:g}",
            row["updater"],
            with_deviation(row["mean"], row["deviation"]),
            ""
            if row["updater"] == DENSE
            else with_deviation(row["mean_gain"], row["gain_deviation"]),
            f"{row['training_macs_of_dense']:.5f}x",
            f"{row['cpu_s']:.0f}",
        )
    Console(width=110).print(table)


def with_deviation(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "-"
    return f"{100 * mean:.2f} %" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--interval", type=int, default=25, help="steps between mask updates")
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.75, 0.9])
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    arguments = parser.parse_args()
    settings = Settings(
        data_dir=arguments.data_dir,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        train_images=arguments.train_images,
        width=arguments.width,
        interval=arguments.interval,
    )
    runs = finished(settings)
    done = {Job(r["updater"], r["sparsity"], r["seed"]) for r in runs}
    todo = [job for job in jobs(arguments.seeds, arguments.sparsities) if job not in done]
    console = Console()
    console.print(f"{len(runs)} runs are finished, {len(todo)} to do.")
    for result in run_all(settings, todo, arguments.workers):
        runs.append(result)
        write_json(RESULTS, {"settings": described(settings), "rows": rows(runs), "runs": runs})
        console.print(
            f"{len(runs)}: {result['updater']} {result['sparsity']:g} seed {result['seed']}: "
            f"{result['test_accuracy']:.2%}, {result['cpu_s']:.0f} s CPU"
        )
    show(rows(runs), described(settings))


if __name__ == "__main__":
    main()
