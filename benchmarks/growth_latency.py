"""Does it pay to grow by latency? At 60 % of the dense latency on this processor, on one axis.

Growth by latency, growth by MACs and uniform width by latency, all at the same share of the full
network's time for a batch on one thread. The MACs that come to that time are found by hand, by
timing the structures that some shares lead to: what a person has to do who can bound MACs only.
"fisher" moves widths to where a channel is worth most for its cost, which under a latency budget is
its seconds on the device. Every trained network is timed once more beside the full one, apart from
its run: that share is in the table. Same images and late drops for all; growth trains until the
training MACs of the uniform network of its own budget are spent. Every finished run is written
down; run it again to go on.

    python benchmarks/growth_latency.py --data-dir DATA --network mobilenetv2 --seeds 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from growth_options import (
    add_places,
    fill_in,
    image_parser,
    of_method,
    row_each,
    run_table,
    settings_from,
)
from growth_setup import (
    deviation,
    full_macs,
    images,
    late,
    paired,
    signed,
    space_for,
    structure_of,
)
from resumable import Record, run_parallel, with_deviation
from rich.console import Console
from rich.table import Table

from growsearch.datasets import Dataset
from growsearch.growth import (
    Budget,
    FixedResult,
    GrowthConfig,
    GrowthOptions,
    GrowthResult,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.growth.latency.clock import DeviceClock
from growsearch.metrics import accuracy, predict
from growsearch.training import Recipe
from search_spaces import SearchSpace

HERE = Path(__file__).parent
DEVICE = "cpu"
UNIFORM, DENSE = "uniform by latency", "dense"
GROWN: Mapping[str, Callable[[Recipe], GrowthConfig]] = {
    "default": lambda recipe: GrowthConfig(recipe=recipe),
    "fisher": lambda recipe: GrowthConfig(recipe=recipe, allocation="fisher"),
}
BY_LATENCY = {f"{name} by latency": name for name in GROWN}
BY_MACS = {f"{name} by MACs": name for name in GROWN}
METHODS = (UNIFORM, *BY_LATENCY, *BY_MACS, DENSE)
_READING_S = 2.0
# So many shares of MACs are timed, and one that comes so close to the latency is taken.
_TRIES, _CLOSE = 6, 0.01


@dataclass(frozen=True)
class Settings:
    network: str
    width: float
    pixels: int
    latency: float
    device_batch: int
    epochs: int
    batch_size: int
    learning_rate: float
    train_images: int
    test_images: int


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    method: str
    seed: int
    work: str


@dataclass(frozen=True)
class Scene:
    job: Job
    data: Dataset
    space: SearchSpace

    @property
    def recipe(self) -> Recipe:
        settings = self.job.settings
        rate = settings.learning_rate
        return late(settings.epochs, batch_size=settings.batch_size, learning_rate=rate)

    @property
    def budget(self) -> Budget:
        settings = self.job.settings
        return Budget(latency=settings.latency, device=DEVICE, batch_size=settings.device_batch)

    def share_of_time(self, choices: Mapping[str, int]) -> float:
        """Return the time of a network as a share of the full one's, both timed in turns."""
        full = self.space.largest()
        clock = DeviceClock(
            space=self.space, device=DEVICE, batch_size=self.job.settings.device_batch
        )
        one, whole = clock.read([full.replace(dict(choices)), full], _READING_S)
        return one.seconds / whole.seconds

    def grown(self, name: str, budget: Budget, options: GrowthOptions) -> GrowthResult:
        config, seed = GROWN[name](self.recipe), self.job.seed
        return grow(self.space, self.data, budget=budget, config=config, seed=seed, options=options)

    def by_latency(self, name: str) -> GrowthResult:
        # The device is asked once for all runs of one network.
        settings = self.job.settings
        name_of = f"{settings.network}-{settings.width:g}-{settings.pixels}-{settings.device_batch}"
        file = Path(self.job.work) / f"{name_of}.latency.json"
        return self.grown(name, self.budget, GrowthOptions(latency_file=file))

    def macs_by_hand(self, name: str) -> float:
        """Return the share of MACs whose structure takes the wanted time, as far as it was found.

        Between a share that is too slow and one that is too fast, the next is where a straight line
        through both would have it.
        """
        wanted = self.job.settings.latency
        low, high = (0.0, 0.0), (1.0, 1.0)
        best, share = (1.0, 1.0), wanted
        for _ in range(_TRIES):
            found = self.share_of_time(self.structure(name, Budget(macs=share)))
            best = min(best, (abs(found - wanted), share))
            if best[0] <= _CLOSE:
                break
            low, high = ((share, found), high) if found <= wanted else (low, (share, found))
            inside = (wanted - low[1]) / (high[1] - low[1])
            share = low[0] + min(0.9, max(0.1, inside)) * (high[0] - low[0])
        return best[1]

    def structure(self, name: str, budget: Budget) -> Mapping[str, int]:
        if name == "default":
            # Its structure is known before it grows.
            return uniform_architecture(self.space, budget).choices
        return structure_of(lambda options: self.grown(name, budget, options))

    def fixed(self, *, dense: bool) -> FixedResult:
        widths = self.space.largest() if dense else uniform_architecture(self.space, self.budget)
        return train_fixed(self.space, self.data, widths, recipe=self.recipe, seed=self.job.seed)


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    settings = job.settings
    data = images(
        Path(job.data_dir),
        train=settings.train_images,
        pixels=settings.pixels,
        test=settings.test_images,
    )
    scene = Scene(job, data, space_for(settings.network, settings.width, data))
    started = time.process_time()
    share = scene.macs_by_hand(BY_MACS[job.method]) if job.method in BY_MACS else None
    by_hand_s, started = time.process_time() - started, time.process_time()
    result = trained(scene, share)
    cpu_s, test = time.process_time() - started, data.test
    choices = dict(result.architecture.choices)
    return {
        "method": job.method,
        "seed": job.seed,
        "test_accuracy": accuracy(predict(result.model, test.inputs), test.labels),
        "latency_share": scene.share_of_time(choices),
        "macs_share": result.macs / full_macs(scene.space),
        "parameters": result.parameters,
        "training_macs": result.training_macs,
        "cpu_s": cpu_s,
        "by_hand_s": by_hand_s if share is not None else 0.0,
        "choices": choices,
    }


def trained(scene: Scene, macs: float | None) -> GrowthResult | FixedResult:
    method = scene.job.method
    if method in BY_LATENCY:
        return scene.by_latency(BY_LATENCY[method])
    if macs is not None:
        return scene.grown(BY_MACS[method], Budget(macs=macs), GrowthOptions())
    return scene.fixed(dense=method == DENSE)


def row(method: str, runs: list[Record]) -> Record:
    own, uniform = of_method(method, runs), of_method(UNIFORM, runs)
    values, against = (
        {seed: run["test_accuracy"] for seed, run in found.items()} for found in (own, uniform)
    )
    shares = [own[s]["training_macs"] / uniform[s]["training_macs"] for s in own if s in uniform]
    times = [run["latency_share"] for run in own.values()]
    means = ("macs_share", "parameters", "cpu_s", "by_hand_s")
    return {
        "method": method,
        "seeds": len(own),
        "test_accuracy": statistics.mean(values.values()),
        "deviation": deviation(list(values.values())),
        "against_uniform": paired(values, against),
        "latency_share": statistics.mean(times),
        "latency_deviation": deviation(times),
        "training_macs": statistics.mean(shares) if shares else None,
        **{name: statistics.mean(run[name] for run in own.values()) for name in means},
    }


def show(table_rows: list[Record], runs: list[Record], settings: Settings) -> None:
    title = (
        f"{settings.network} x {settings.width:g} at {settings.latency:.0%} of its time on {DEVICE}"
        f", {settings.train_images:,} images, {settings.epochs} epochs"
    )
    table = Table(title=title)
    columns = ("method", "test", "against uniform", "latency", "MACs", "training MACs", "CPU s")
    for column in columns:
        table.add_column(column)
    for line in table_rows:
        own = of_method(line["method"], runs).values()
        macs = line["training_macs"]
        table.add_row(
            line["method"],
            with_deviation([run["test_accuracy"] for run in own]),
            signed(line["against_uniform"]),
            with_deviation([run["latency_share"] for run in own]),
            f"{line['macs_share']:.1%}",
            "-" if macs is None else f"{macs:.2f}x",
            f"{line['cpu_s']:.0f}",
        )
    Console(width=130).print(table)


def parse() -> argparse.Namespace:
    parser = image_parser(__doc__)
    parser.add_argument("--latency", type=float, default=0.6, help="share of the full network's")
    parser.add_argument("--device-batch", type=int, default=64, help="examples at once when timed")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add_places(parser, "growth_latency")
    given = parser.parse_args()
    if given.quick:
        given.epochs, given.train_images, given.test_images, given.seeds = 4, 256, 200, 1
    fill_in(given, "growth_latency")
    return given


def main() -> None:
    given = parse()
    settings = settings_from(Settings, given)
    table = run_table(given.out, settings, row_each(METHODS, row))
    todo = [
        Job(settings, str(given.data_dir), method, seed, str(given.work))
        for seed in range(given.seeds)
        for method in METHODS
        if method in given.methods and not table.has(method=method, seed=seed)
    ]
    # One at a time: runs beside each other would be timed beside each other.
    for found in run_parallel(run, todo, 1):
        table.add(found)
        told = f"{found['method']}, seed {found['seed']}: {found['test_accuracy']:.2%}"
        Console().print(f"{told} at {found['latency_share']:.1%}, {found['cpu_s']:.0f} s CPU")
    show(table.rows(), table.runs, settings)


if __name__ == "__main__":
    main()
