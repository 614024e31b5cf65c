"""How much time does growing save, beside the MACs that it saves? Step by step, interleaved.

One run grows a network on a subset of CIFAR-10, on one thread. After every few of its steps the
same process takes a step of dense training at the same batch size, so that both meet the same
machine. Growth is charged with all it does: steps with gates and indicators, surgery, recalibration
and evaluation; dense training with its steps and evaluations. Seconds are process CPU time. The
ratio of the two savings says how much of the MACs saved is time saved: once with any widths, once
with whole multiples of the 8 float32 values that an AVX2 register holds.

    python benchmarks/growth_time.py --data-dir DATA --network resnet20
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from stepping import Stepper

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.files import write_json
from growsearch.growth import Budget, GrowthConfig, GrowthResult, build_full, grow
from growsearch.training import Classification, TrainingOptions, published_recipe
from growsearch.training.layout import lay_channels_last, with_channels_last
from search_spaces import search_space

RESULTS = Path(__file__).parent / "results"
# Shares of the parameters that the paper's grown networks had (arXiv 2007.15353, table 1), and the
# part of the MACs' saving that is asked for in time.
NETWORKS = {"resnet20": (0.36, 0.6), "vgg16": (0.05, 0.8)}


class Interleaver:
    """Times every guarded section of growth, and dense steps in between."""

    def __init__(self, dense: Stepper, dataset: Dataset, batch_size: int, every: int) -> None:
        self._dense, self._every = dense, every
        batches = Classification(dataset).batches(batch_size, torch.Generator().manual_seed(1))
        self._batches = list(batches)
        self.sections: list[float] = []
        self.dense_steps: list[float] = []

    @contextmanager
    def guard(self) -> Iterator[None]:
        start = time.process_time()
        yield
        self.sections.append(time.process_time() - start)
        if len(self.sections) % self._every == 1:
            inputs, labels = self._batches[len(self.dense_steps) % len(self._batches)]
            inputs = with_channels_last(inputs)
            start = time.process_time()
            self._dense.step(inputs, labels)
            self.dense_steps.append(time.process_time() - start)


def compare(arguments: argparse.Namespace, dataset: Dataset, multiple: int) -> dict[str, Any]:
    share, wanted = NETWORKS[arguments.network]
    space = search_space(arguments.network).for_data(dataset.input_shape, dataset.num_classes)
    recipe = published_recipe("growth-cifar", epochs=arguments.epochs)
    config = GrowthConfig.paper(
        recipe=dataclasses.replace(recipe, batch_size=arguments.batch_size), width_multiple=multiple
    )
    model = build_full(space, seed=1)
    lay_channels_last(model)
    dense = Stepper(model, config.recipe, steps=10**6)
    together = Interleaver(dense, dataset, arguments.batch_size, arguments.every)
    result = grow(
        space,
        dataset,
        budget=Budget(parameters=share),
        config=config,
        seed=0,
        options=TrainingOptions(channels_last=True, guard=together.guard),
    )
    evaluation_s = time_evaluation(model, dataset)
    dense_epoch_s = statistics.mean(together.dense_steps) * (
        len(dataset.train) // arguments.batch_size
    )
    dense_s = arguments.epochs * (dense_epoch_s + evaluation_s)
    return {"width_multiple": multiple, **figures(result, together, dense_s, wanted)}


def time_evaluation(model: torch.nn.Module, dataset: Dataset) -> float:
    task, start = Classification(dataset), time.process_time()
    for _ in range(3):
        task.evaluate(model)
    return (time.process_time() - start) / 3


def figures(
    result: GrowthResult, together: Interleaver, dense_s: float, wanted: float
) -> dict[str, Any]:
    grown_s = sum(together.sections)
    macs_saving, time_saving = result.training_saving, dense_s / grown_s
    return {
        "parameters_share": result.parameters / result.full_parameters,
        "macs_share": result.macs / result.full_macs,
        "grown_cpu_s": grown_s,
        "dense_cpu_s": dense_s,
        "dense_steps_timed": len(together.dense_steps),
        "dense_step_s": statistics.mean(together.dense_steps),
        "dense_step_deviation_s": statistics.stdev(together.dense_steps),
        "training_macs_saving": macs_saving,
        "time_saving": time_saving,
        "time_of_macs": time_saving / macs_saving,
        "wanted": wanted,
        "forward_macs_by_epoch": [record.forward_macs for record in result.history],
    }


def show(network: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"{network}: growth against dense training, one thread, CPU time")
    for column in ("widths", "parameters", "MACs", "saved MACs", "saved time", "ratio", "wanted"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            "any" if row["width_multiple"] == 1 else f"multiples of {row['width_multiple']}",
            f"{row['parameters_share']:.1%}",
            f"{row['macs_share']:.1%}",
            f"{row['training_macs_saving']:.2f}x",
            f"{row['time_saving']:.2f}x",
            f"{row['time_of_macs']:.2f}",
            f"{row['wanted']:.2f}",
        )
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder that holds CIFAR-10")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="resnet20")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--train-images", type=int, default=1_500)
    parser.add_argument("--every", type=int, default=5, help="steps of growth a dense step")
    parser.add_argument("--multiples", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole = load_dataset("cifar10", Path(arguments.data_dir))
    dataset = subset(whole, train=arguments.train_images, validation=200, test=10)
    rows = [compare(arguments, dataset, multiple) for multiple in arguments.multiples]
    settings = {key: value for key, value in vars(arguments).items() if key != "data_dir"}
    path = RESULTS / f"growth_time_{arguments.network}.json"
    write_json(path, {"settings": {**settings, "threads": 1}, "rows": rows})
    show(arguments.network, rows)


if __name__ == "__main__":
    main()
