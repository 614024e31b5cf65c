"""Does one growing trunk give a whole front? Its branches beside networks trained alone.

A trunk grows through budgets at the peak rate, and a copy of it declines to its end at each.
"alone" is a network of uniform width at that budget, trained from fresh weights for the epochs of a
single run, with the late drops of all benchmarks of growth. What the whole front takes is a share
of all single runs together, and of the largest of them: training MACs, and CPU time of one thread.
A subset of CIFAR-10; every finished run is written down; run it again to go on, also in the middle
of a front.

    python benchmarks/growth_front.py --data-dir DATA --network resnet20 --seeds 3
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from growth_options import add_places, fill_in, image_parser, run_table, settings_from
from growth_setup import (
    CpuClock,
    deviation,
    full_macs,
    images,
    late,
    paired,
    signed,
    space_for,
)
from resumable import Record, run_parallel, with_deviation
from rich.console import Console
from rich.table import Table
from torch import nn

from growsearch.datasets import Dataset
from growsearch.growth import (
    Budget,
    FrontConfig,
    GrowthOptions,
    grow_front,
    train_fixed,
    uniform_architecture,
)
from growsearch.metrics import accuracy, predict
from growsearch.training import Recipe
from search_spaces import SearchSpace

HERE = Path(__file__).parent
FRONT, ALONE = "front", "alone"


@dataclass(frozen=True)
class Settings:
    network: str
    width: float
    pixels: int
    budgets: tuple[float, ...]
    # None are the lengths that `FrontConfig` has for these epochs.
    stage_epochs: tuple[int, ...] | None
    decline_epochs: int | None
    epochs: int
    batch_size: int
    learning_rate: float
    train_images: int
    test_images: int

    @property
    def recipe(self) -> Recipe:
        return late(self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate)

    @property
    def config(self) -> FrontConfig:
        return FrontConfig(
            recipe=self.recipe,
            stage_epochs=self.stage_epochs,
            decline_epochs=self.decline_epochs,
        )


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    seed: int
    work: str
    # Of a network that is trained alone; None is the whole front.
    budget: float | None

    @property
    def method(self) -> str:
        return FRONT if self.budget is None else ALONE

    def file(self, name: str) -> Path:
        # A checkpoint of other settings is refused, and would be in the way.
        run = hashlib.sha256(repr((self.settings, self.seed, self.budget)).encode())
        return Path(self.work) / f"{run.hexdigest()[:12]}-{name}"


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    settings = job.settings
    data = images(
        Path(job.data_dir),
        train=settings.train_images,
        pixels=settings.pixels,
        test=settings.test_images,
    )
    space = space_for(settings.network, settings.width, data)
    clock = CpuClock(job.file("clock.json"))
    options = GrowthOptions(checkpoint=job.file("run.safetensors"), on_epoch=clock.note)
    trained = whole_front if job.budget is None else alone
    found = trained(job, space, data, options)
    cpu_s = clock.seconds
    for file in Path(job.work).glob(job.file("*").name):
        file.unlink()
    key = {"method": job.method, "seed": job.seed, "budget": job.budget}
    return {**key, **found, "full_macs": full_macs(space), "cpu_s": cpu_s}


def whole_front(job: Job, space: SearchSpace, data: Dataset, options: GrowthOptions) -> Record:
    budgets = [Budget(macs=share) for share in job.settings.budgets]
    result = grow_front(
        space, data, budgets=budgets, config=job.settings.config, seed=job.seed, options=options
    )
    return {
        "training_macs": result.training_macs,
        "test_accuracy": [judged(branch.model, data) for branch in result.branches],
        "macs": [branch.macs for branch in result.branches],
        "epochs": [len(branch.history) for branch in result.branches],
        "branch_training_macs": [branch.training_macs for branch in result.branches],
    }


def alone(job: Job, space: SearchSpace, data: Dataset, options: GrowthOptions) -> Record:
    assert job.budget is not None
    widths = uniform_architecture(space, Budget(macs=job.budget))
    recipe = job.settings.recipe
    result = train_fixed(space, data, widths, recipe=recipe, seed=job.seed, options=options)
    return {
        "training_macs": result.training_macs,
        "test_accuracy": judged(result.model, data),
        "macs": result.macs,
        "epochs": len(result.history),
    }


def judged(model: nn.Module, data: Dataset) -> float:
    return accuracy(predict(model, data.test.inputs), data.test.labels)


def rows(runs: list[Record], budgets: Sequence[float]) -> list[Record]:
    """Return a row a budget, and one of what the whole front takes; what has not run is left out.

    Args:
        runs: fronts, and networks that were trained alone, so far.
        budgets: of each front, rising, as its branches are.
    """
    fronts = {run["seed"]: run for run in runs if run["method"] == FRONT}
    single = {(r["seed"], r["budget"]): r for r in runs if r["method"] == ALONE}
    ran = {budget for _, budget in single}
    found = [
        _row(place, budget, fronts, single) for place, budget in enumerate(budgets) if budget in ran
    ]
    complete = [s for s in fronts if all((s, b) in single for b in budgets)]
    if not complete:
        return found
    whole: Record = {"budget": "whole front", "seeds": len(complete)}
    for key in ("training_macs", "cpu_s"):
        sums = [sum(single[seed, b][key] for b in budgets) for seed in complete]
        largest = [single[seed, budgets[-1]][key] for seed in complete]
        own = [fronts[seed][key] for seed in complete]
        whole[f"{key}_of_the_sum"] = _mean_share(own, sums)
        whole[f"{key}_of_the_largest"] = _mean_share(own, largest)
    return [*found, whole]


def _row(
    place: int,
    budget: float,
    fronts: dict[int, Record],
    single: dict[tuple[int, float], Record],
) -> Record:
    own = {seed: run["test_accuracy"][place] for seed, run in fronts.items()}
    runs = {seed: run for (seed, at), run in single.items() if at == budget}
    against = {seed: run["test_accuracy"] for seed, run in runs.items()}
    some = next(iter(runs.values()))
    return {
        "budget": budget,
        "seeds": len(own),
        "macs_share": some["macs"] / some["full_macs"],
        "branch": list(own.values()),
        "branch_deviation": deviation(list(own.values())),
        "branch_epochs": [run["epochs"][place] for run in fronts.values()][:1],
        "alone": list(against.values()),
        "alone_deviation": deviation(list(against.values())),
        "against_alone": paired(own, against),
    }


def _mean_share(own: list[float], of: list[float]) -> float:
    return statistics.mean(a / b for a, b in zip(own, of, strict=True))


def show(table_rows: list[Record], settings: Settings) -> None:
    title = (
        f"{settings.network} x {settings.width:g} on {settings.train_images:,} images, "
        f"{settings.epochs} epochs alone"
    )
    table = Table(title=title)
    for column in ("budget", "branch", "alone", "branch against alone"):
        table.add_column(column)
    for line in table_rows:
        if "branch" not in line:
            continue
        table.add_row(
            f"{line['budget']:.0%}",
            with_deviation(line["branch"]),
            with_deviation(line["alone"]),
            signed(line["against_alone"]),
        )
    console = Console(width=110)
    console.print(table)
    for line in table_rows:
        if "training_macs_of_the_sum" in line:
            for key, name in (("training_macs", "training MACs"), ("cpu_s", "CPU time")):
                of_sum, of_largest = (line[f"{key}_of_the_{what}"] for what in ("sum", "largest"))
                console.print(
                    f"The whole front takes {of_sum:.2f} of the single runs' {name}, "
                    f"{of_largest:.2f} times the largest run's."
                )


def parse() -> argparse.Namespace:
    parser = image_parser(__doc__)
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.1, 0.2, 0.4, 0.8])
    parser.add_argument("--stage-epochs", nargs="+", type=int, help="of the trunk, one a budget")
    parser.add_argument("--decline-epochs", type=int, help="of a branch")
    parser.add_argument("--methods", nargs="+", choices=(FRONT, ALONE), default=[FRONT, ALONE])
    add_places(parser, "growth_front")
    given = parser.parse_args()
    given.budgets = tuple(sorted(given.budgets))
    given.stage_epochs = tuple(given.stage_epochs) if given.stage_epochs else None
    if given.quick:
        given.epochs, given.train_images, given.test_images, given.seeds = 4, 256, 200, 1
    fill_in(given, "growth_front")
    return given


def main() -> None:
    given = parse()
    settings = settings_from(Settings, given)
    table = run_table(given.out, settings, partial(rows, budgets=settings.budgets))
    # The front and its largest network first.
    budgets = (None, *reversed(settings.budgets))
    jobs = [
        Job(settings, str(given.data_dir), seed, str(given.work), budget)
        for seed in range(given.seeds)
        for budget in budgets
    ]
    todo = [
        job
        for job in jobs
        if job.method in given.methods and not table.has(seed=job.seed, budget=job.budget)
    ]
    for found in run_parallel(run, todo, given.workers):
        table.add(found)
        name = FRONT if found["budget"] is None else f"{found['budget']:.0%} alone"
        Console().print(f"{name}, seed {found['seed']}: {found['test_accuracy']}")
    show(table.rows(), settings)


if __name__ == "__main__":
    main()
