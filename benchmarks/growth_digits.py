"""What does growing buy on digits? Learned growth against random, uniform, direct and dense.

Every row spends the same budget of MACs and epochs and sees the same batches at a seed. Accuracies
are of the 300 test images, which no method has seen; one image is 0.33 points.

    python benchmarks/growth_digits.py --seeds 3 --epochs 12
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from growsearch.datasets import Dataset, load_dataset
from growsearch.files import write_json
from growsearch.growth import (
    Budget,
    FixedResult,
    GrowthConfig,
    GrowthResult,
    IndicatorConfig,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.metrics import accuracy, predict
from growsearch.training import Recipe
from search_spaces import SearchSpace, search_space

RESULTS = Path(__file__).parent / "results" / "growth_digits.json"

INDICATORS = {
    "learned": IndicatorConfig(),
    "learned, global temperature": IndicatorConfig(temperature="global"),
    "learned, decayed temperature": IndicatorConfig(temperature_decay=True),
    "learned, gumbel-softmax": IndicatorConfig(relaxation="gumbel"),
    "learned, normalised gradient": IndicatorConfig(steering="normalised"),
    "learned, taylor": IndicatorConfig(steering="taylor"),
}


@dataclass(frozen=True)
class Run:
    space: SearchSpace
    dataset: Dataset
    budget: Budget
    recipe: Recipe
    seed: int

    def grown(self, config: GrowthConfig) -> GrowthResult:
        return grow(self.space, self.dataset, budget=self.budget, config=config, seed=self.seed)

    def learned(self, name: str) -> GrowthResult:
        return self.grown(GrowthConfig.paper(recipe=self.recipe, indicators=INDICATORS[name]))

    def policy(self, name: str) -> GrowthResult:
        return self.grown(GrowthConfig.paper(recipe=self.recipe, policy=name))

    def uniform(self) -> FixedResult:
        architecture = uniform_architecture(self.space, self.budget)
        return train_fixed(
            self.space, self.dataset, architecture, recipe=self.recipe, seed=self.seed
        )

    def direct(self) -> FixedResult:
        architecture = self.learned("learned").architecture
        return train_fixed(
            self.space, self.dataset, architecture, recipe=self.recipe, seed=self.seed
        )

    def dense(self) -> FixedResult:
        largest = self.space.largest()
        return train_fixed(self.space, self.dataset, largest, recipe=self.recipe, seed=self.seed)


Method = Callable[[Run], GrowthResult | FixedResult]


def methods() -> Mapping[str, Method]:
    learned: dict[str, Method] = {
        name: lambda run, name=name: run.learned(name)  # type: ignore[misc]
        for name in INDICATORS
    }
    return learned | {
        "random order": lambda run: run.policy("random-order"),
        "random indicators": lambda run: run.policy("random"),
        "uniform width, from scratch": Run.uniform,
        "direct design (learned, re-trained)": Run.direct,
        "dense": Run.dense,
    }


def test_accuracy(model: nn.Module, dataset: Dataset) -> float:
    return accuracy(predict(model, dataset.test.inputs), dataset.test.labels)


def measure(name: str, method: Method, runs: list[Run]) -> dict[str, object]:
    accuracies, savings, shares, seconds = [], [], [], []
    for run in runs:
        start = time.perf_counter()
        result = method(run)
        seconds.append(time.perf_counter() - start)
        accuracies.append(test_accuracy(result.model, run.dataset))
        savings.append(result.dense_training_macs / result.training_macs)
        # One step of the full configuration is 3 forward passes.
        examples = len(run.dataset.train) // run.recipe.batch_size * run.recipe.batch_size
        full = result.dense_training_macs / (3 * examples * run.recipe.epochs)
        shares.append(result.macs / full)
    return {
        "method": name,
        "test_accuracy": accuracies,
        "mean_test_accuracy": statistics.mean(accuracies),
        "macs_share": statistics.mean(shares),
        "training_macs_saving": statistics.mean(savings),
        "seconds": statistics.mean(seconds),
    }


def show(rows: list[dict[str, object]], title: str) -> None:
    table = Table(title=title)
    for column in ("method", "test accuracy", "by seed", "MACs", "training MACs saved", "s"):
        table.add_column(column)
    for row in rows:
        by_seed = row["test_accuracy"]
        assert isinstance(by_seed, list)
        table.add_row(
            str(row["method"]),
            f"{row['mean_test_accuracy']:.2%}",
            " ".join(f"{100 * value:.1f}" for value in by_seed),
            f"{row['macs_share']:.1%}",
            f"{row['training_macs_saving']:.2f}x",
            f"{row['seconds']:.1f}",
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--macs", type=float, nargs="+", default=[0.25, 0.05])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset("digits")
    space = search_space("resnet-digits").for_data(dataset.input_shape, dataset.num_classes)
    recipe = Recipe(epochs=arguments.epochs)
    tables = {}
    for share in arguments.macs:
        runs = [
            Run(space, dataset, Budget(macs=share), recipe, seed) for seed in range(arguments.seeds)
        ]
        rows = [measure(name, method, runs) for name, method in methods().items()]
        show(rows, f"resnet-digits, {share:.0%} of the MACs, {arguments.epochs} epochs")
        tables[f"{share:g}"] = rows
    settings = {"seeds": arguments.seeds, "epochs": arguments.epochs, "threads": 1}
    write_json(RESULTS, {"settings": settings, "budgets": tables})


if __name__ == "__main__":
    main()
