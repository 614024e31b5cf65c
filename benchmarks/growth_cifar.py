"""Does growth pay on CIFAR-10? Accuracy beside uniform width at equal training MACs and time.

ResNet-20, VGG-16 and MobileNetV2 on a fixed subset of CIFAR-10, one thread a run, 40 % of the MACs.
"default" is what `grow` does without a word, "fisher" the same with widths by the Fisher
information of the gates, "norms kept" and "norms transferred" the default with other norms of
filters, "switched off" is `grow` that does not grow, "paper" the letter of arXiv 2007.15353. Growth
by default trains until a uniform network's training MACs are spent; "paper" takes what its epochs
take, and "paper, equal MACs" as much as uniform. "direct design" trains the default's structure
from fresh weights,
"uniform, MACs of X" and "uniform, time of X" are uniform width for as many epochs as X paid for
(only where that is another number of epochs). "prune down" trains the full network at the peak rate
for a third of uniform's training MACs and prunes it with what is left, so that the sum is equal; it
has no teacher, whose passes would cost a third of the full network's. The labels of "shuffled" say
nothing; it ends when its structure is final. "study" is the default as a trial of a study, and
whether `grow` at that trial's seed ends at the same accuracy and MACs.

All see the same batches at a seed and the same late drops, and are judged on all test images.
Differences are paired by seed, with their standard error; the deviations of dense and uniform over
seeds are the floor under them. Every finished run is written down; run it again to go on, also in
the middle of a run.

    python benchmarks/growth_cifar.py --data-dir DATA --network resnet20 --seeds 3 --pairs 8
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from growth_cifar_runs import (
    AFTER,
    ALONE,
    AT_MACS,
    AT_TIME,
    DEFAULT,
    DIRECT,
    METHODS,
    OFF,
    SHUFFLED,
    STUDY,
    UNIFORM,
    Job,
    Settings,
    run,
)
from growth_options import (
    add_places,
    fill_in,
    image_parser,
    of_method,
    row_each,
    run_table,
    settings_from,
)
from growth_setup import deviation, distance, paired, signed
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent


def epochs_paid(method: str, runs: list[Record], epochs: int) -> int | None:
    """Return for how many epochs of uniform width the method it is named after has paid.

    The mean over seeds, as a busy machine makes single times differ; None if nobody knows.
    """
    of, key = (
        (AT_MACS[method], "training_macs") if method in AT_MACS else (AT_TIME[method], "cpu_s")
    )
    paid = relative(of_method(of, runs), of_method(UNIFORM, runs), key)
    return None if paid is None else max(1, round(epochs * paid))


def row(method: str, runs: list[Record]) -> Record:
    own, uniform = of_method(method, runs), of_method(UNIFORM, runs)
    found: Record = {"method": method, "seeds": len(own)}
    if method in SHUFFLED:
        return {**found, **apart(own, of_method(SHUFFLED[method], runs))}
    values, against, off = (
        {seed: run["test_accuracy"] for seed, run in found.items()}
        for found in (own, uniform, of_method(OFF, runs))
    )
    return {
        **found,
        "test_accuracy": statistics.mean(values.values()),
        "deviation": deviation(list(values.values())),
        "against_uniform": None if method == STUDY else paired(values, against),
        "training_macs": relative(own, uniform, "training_macs"),
        "cpu_time": relative(own, uniform, "cpu_s"),
        "cpu_s": statistics.mean(run["cpu_s"] for run in own.values()),
        "macs_share": statistics.mean(run["macs"] / run["full_macs"] for run in own.values()),
        "parameters": statistics.mean(run["parameters"] for run in own.values()),
        # What growing itself is worth: it sets out from the same draws.
        **({"against_switched_off": paired(values, off)} if method == DEFAULT and off else {}),
        **({"as_grow": all(run["as_grow"] for run in own.values())} if method == STUDY else {}),
    }


def relative(own: Mapping[int, Record], uniform: Mapping[int, Record], key: str) -> float | None:
    shares = [own[s][key] / uniform[s][key] for s in own.keys() & uniform.keys()]
    return statistics.mean(shares) if shares else None


def apart(own: Mapping[int, Record], true: Mapping[int, Record]) -> Record:
    """Return how far widths of shuffled labels are from those of true ones, and these from another.

    As shares of all channels of the grown networks.
    """
    both = sorted(own.keys() & true.keys())
    seeds = sorted(true)
    moved = [_apart(own[seed], true[seed]) for seed in both]
    between = [_apart(true[a], true[b]) for a in seeds for b in seeds if a < b]
    return {
        "from_true_labels": statistics.mean(moved) if moved else None,
        "true_labels_between_seeds": statistics.mean(between) if between else None,
    }


def _apart(one: Record, other: Record) -> float:
    widths: dict[str, int] = other["choices"]
    return distance(one["choices"], widths, widths)


def show(table_rows: list[Record], settings: Settings) -> None:
    title = (
        f"{settings.network} x {settings.width:g} on {settings.train_images:,} images of CIFAR-10 "
        f"({settings.pixels} px), {settings.epochs} epochs, {settings.macs:.0%} of the MACs"
    )
    table = Table(title=title)
    for column in ("method", "seeds", "test %", "against uniform", "training MACs", "CPU", "MACs"):
        table.add_column(column)
    for line in table_rows:
        table.add_row(line["method"], str(line["seeds"]), *cells(line))
    Console(width=120).print(table)
    for line in table_rows:
        if "against_switched_off" in line:
            told = signed(line["against_switched_off"])
            Console().print(f"{line['method']} against growth switched off: {told}")


def cells(line: Record) -> Iterator[str]:
    if "test_accuracy" not in line:
        yield f"widths {percent(line['from_true_labels'])} from those of true labels"
        return
    spread = line["deviation"]
    yield f"{100 * line['test_accuracy']:.2f}" + (
        "" if spread is None else f" ± {100 * spread:.2f}"
    )
    yield "-" if line["against_uniform"] is None else signed(line["against_uniform"])
    yield times(line["training_macs"])
    yield f"{times(line['cpu_time'])} ({line['cpu_s']:.0f} s)"
    yield percent(line["macs_share"])


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def work(table: RunTable, settings: Settings, given: argparse.Namespace) -> None:
    """Run what is missing: uniform and the default at every seed first, which are compared."""
    phases = (
        (range(max(given.pairs, given.seeds)), (UNIFORM, DEFAULT)),
        (range(given.seeds), ALONE),
        (range(given.seeds), AFTER),
        (range(1), (STUDY,)),
    )
    for seeds, methods in phases:
        todo = [
            job
            for seed in seeds
            for method in methods
            if method in given.methods and not table.has(method=method, seed=seed)
            for job in jobs(table, settings, given, method, seed)
        ]
        for result in run_parallel(run, todo, given.workers):
            table.add(result)
            value = result["test_accuracy"]
            told = "structure alone" if value is None else f"{value:.2%}"
            name = f"{result['method']}, seed {result['seed']}"
            Console().print(f"{name}: {told}, {result['cpu_s']:.0f} s CPU")


def jobs(
    table: RunTable, settings: Settings, given: argparse.Namespace, method: str, seed: int
) -> Iterator[Job]:
    """Yield the job, unless what it needs is missing, or would be uniform width once more."""
    job = Job(settings, str(given.data_dir), method, seed, str(given.work), settings.epochs)
    if method in AT_MACS | AT_TIME:
        epochs = epochs_paid(method, table.runs, settings.epochs)
        if epochs is not None and epochs != settings.epochs:
            yield dataclasses.replace(job, epochs=epochs)
    elif method == DIRECT:
        for run in table.where(method=DEFAULT, seed=seed):
            yield dataclasses.replace(job, grown=run["choices"])
    else:
        yield job


def parse() -> argparse.Namespace:
    parser = image_parser(__doc__)
    parser.add_argument("--macs", type=float, default=0.4, help="share of the full network's")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--pairs", type=int, default=8, help="seeds of uniform and the default")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add_places(parser, "growth_cifar")
    given = parser.parse_args()
    if given.quick:
        given.epochs, given.train_images, given.test_images = 8, 256, 200
        given.seeds, given.pairs = 1, 2
    fill_in(given, "growth_cifar")
    if given.width != 1 or given.network == "resnet8":
        # A study names networks of the registry.
        given.methods = [name for name in given.methods if name != STUDY]
    return given


def main() -> None:
    given = parse()
    settings = settings_from(Settings, given)
    table = run_table(given.out, settings, row_each(METHODS, row))
    work(table, settings, given)
    show(table.rows(), settings)


if __name__ == "__main__":
    main()
