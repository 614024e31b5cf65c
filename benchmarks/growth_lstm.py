"""Does growth pay for a language model? Perplexity at equal training MACs, LSTMs on Penn Treebank.

All but dense end within the same budget of MACs. "default" is what `grow` does without a word, and
trains until a uniform network's training MACs are spent; "paper" is the letter of arXiv 2007.15353,
at its own cost and at uniform's. All read the same batches at a seed. Perplexities are of the whole
validation and test texts after the last epoch; differences from uniform are paired by seed. An
epoch is a stretch of ``--epoch-tokens`` words from a random place, the same for all methods at a
seed, so that structure can change several times in one pass over the text (929,589 words). Every
finished run is written down; run it again to go on.

    python benchmarks/growth_lstm.py --data-dir DATA --seeds 3 --epochs 20
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from growth_options import of_method, row_each, run_table, settings_from
from growth_setup import deviation, paired, signed
from resumable import Record, run_parallel, with_deviation
from rich.console import Console
from rich.table import Table
from torch import nn

from growsearch.datasets import TokenDataset, load_token_dataset
from growsearch.growth import (
    Budget,
    FixedResult,
    GrowthConfig,
    GrowthResult,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.training import SGD, LanguageModelling, Recipe, Steps
from search_spaces import channel_groups
from search_spaces.families.recurrent import RecurrentSpace

HERE = Path(__file__).parent
WINDOW = 35
WATCHED_WORDS = 5_000
UNIFORM, DENSE = "uniform", "dense"


@dataclass(frozen=True)
class Settings:
    epochs: int
    epoch_tokens: int
    hidden: int
    macs: float
    learning_rate: float
    drops_from: float
    embedding_bound: float

    def recipe(self) -> Recipe:
        return recipe(self.epochs, self.learning_rate, self.drops_from)


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    method: str
    seed: int


GROWN: Mapping[str, Callable[[Recipe], GrowthConfig]] = {
    "default": lambda recipe: GrowthConfig(recipe=recipe),
    "fisher": lambda recipe: GrowthConfig(recipe=recipe, allocation="fisher"),
    "random order": lambda recipe: GrowthConfig(recipe=recipe, policy="random-order"),
    "paper": lambda recipe: GrowthConfig.paper(recipe=recipe),
    "paper, equal MACs": lambda recipe: GrowthConfig.paper(recipe=recipe, until="match"),
}
METHODS = (UNIFORM, *GROWN, DENSE)


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    text = load_token_dataset("ptb", Path(job.data_dir))
    space, task = space_of(job.settings, text), task_of(job.settings, text)
    started = time.process_time()
    result = trained(job, space, task)
    cpu_s = time.process_time() - started
    dense = space.build(space.largest())
    splits = {"validation": text.validation, "test": text.test}
    costs = {"parameters": parameters, "recurrent": recurrent_parameters, "macs": macs_of_a_word}
    return {
        "method": job.method,
        "seed": job.seed,
        **{
            f"{name}_perplexity": task.scores(result.model, tokens).perplexity
            for name, tokens in splits.items()
        },
        "hidden": [group.size for group in channel_groups(result.model)],
        **{f"{name}_share": cost(result.model) / cost(dense) for name, cost in costs.items()},
        "training_macs": result.training_macs,
        "cpu_s": cpu_s,
    }


def trained(job: Job, space: RecurrentSpace, task: LanguageModelling) -> GrowthResult | FixedResult:
    budget, recipe = Budget(macs=job.settings.macs), job.settings.recipe()
    if job.method in GROWN:
        config = GROWN[job.method](recipe)
        return grow(space, task, budget=budget, config=config, seed=job.seed)
    widths = space.largest() if job.method == DENSE else uniform_architecture(space, budget)
    return train_fixed(space, task, widths, recipe=recipe, seed=job.seed)


def space_of(settings: Settings, text: TokenDataset) -> RecurrentSpace:
    return RecurrentSpace(
        name="lstm-ptb-benchmark",
        description="2-layer LSTM for Penn Treebank",
        embedding=settings.hidden,
        hidden=(settings.hidden, settings.hidden),
        input_shape=(WINDOW,),
        num_classes=len(text.vocabulary),
        embedding_bound=settings.embedding_bound,
    )


def task_of(settings: Settings, text: TokenDataset) -> LanguageModelling:
    return LanguageModelling(
        # Looked at once an epoch only to see that training goes well: a part is enough.
        data=dataclasses.replace(text, validation=text.validation[:WATCHED_WORDS]),
        window=WINDOW,
        carried=True,
        epoch_tokens=settings.epoch_tokens,
    )


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def recurrent_parameters(model: nn.Module) -> int:
    return sum(parameters(layer) for layer in model.modules() if isinstance(layer, nn.RNNBase))


def macs_of_a_word(model: nn.Module) -> int:
    """Count every element of the cells' and the decoder's matrices once."""
    layers = [m for m in model.modules() if isinstance(m, (nn.RNNBase, nn.Linear))]
    return sum(p.numel() for layer in layers for p in layer.parameters() if p.ndim > 1)


def recipe(epochs: int, learning_rate: float, drops_from: float) -> Recipe:
    """Return Zaremba et al.'s small recipe, stretched: from a share of the run on, rates halve."""
    return Recipe(
        epochs=epochs,
        batch_size=20,
        learning_rate=learning_rate,
        weight_decay=0.0,
        warmup_epochs=0,
        clip_norm=5 / WINDOW,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=Steps(
            milestones=tuple(range(max(1, round(drops_from * epochs)), epochs)), factor=0.5
        ),
    )


def row(method: str, runs: list[Record]) -> Record:
    own, uniform = of_method(method, runs), of_method(UNIFORM, runs)
    test, against = (
        {seed: run["test_perplexity"] for seed, run in found.items()} for found in (own, uniform)
    )
    both = own.keys() & uniform.keys()
    means = ("validation_perplexity", "macs_share", "parameters_share", "recurrent_share", "cpu_s")
    return {
        "method": method,
        "seeds": len(own),
        "test_perplexity": statistics.mean(test.values()),
        "deviation": deviation(list(test.values())),
        "by_seed": list(test.values()),
        "against_uniform": paired(test, against),
        **{
            f"{name}_of_uniform": statistics.mean(own[s][key] / uniform[s][key] for s in both)
            for name, key in (("training_macs", "training_macs"), ("cpu_time", "cpu_s"))
            if both
        },
        **{name: statistics.mean(run[name] for run in own.values()) for name in means},
        "hidden": [run["hidden"] for run in own.values()],
    }


def show(table_rows: list[Record], settings: Settings) -> None:
    words = settings.epochs * settings.epoch_tokens
    table = Table(
        title=f"LSTM 2 x {settings.hidden}, {settings.macs:.0%} of the MACs, {words:,} words"
    )
    for column in ("method", "validation", "test", "against uniform", "training MACs", "CPU",
                   "MACs", "hidden"):  # fmt: skip
        table.add_column(column)
    for line in table_rows:
        table.add_row(
            line["method"],
            f"{line['validation_perplexity']:.1f}",
            with_deviation(line["by_seed"], percent=False),
            signed(line["against_uniform"], 1.0),
            times(line.get("training_macs_of_uniform")),
            f"{times(line.get('cpu_time_of_uniform'))} ({line['cpu_s']:.0f} s)",
            f"{line['macs_share']:.1%}",
            " ".join("-".join(map(str, sizes)) for sizes in line["hidden"]),
        )
    Console(width=150).print(table)


def times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--epoch-tokens", type=int, default=46_500)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--macs", type=float, default=0.35)
    parser.add_argument("--learning-rate", type=float, default=float(WINDOW))
    parser.add_argument("--drops-from", type=float, default=0.7, help="share of the run")
    parser.add_argument("--embedding-bound", type=float, default=1.0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--quick", action="store_true", help="a trial of all in a minute")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.quick:
        given.epochs, given.epoch_tokens, given.hidden, given.seeds = 4, 4_000, 20, 1
    if given.out is None:
        folder = Path(tempfile.gettempdir()) if given.quick else HERE / "results"
        given.out = folder / "growth_lstm.json"
    return given


def main() -> None:
    given = parse()
    settings = settings_from(Settings, given)
    table = run_table(given.out, settings, row_each(METHODS, row))
    todo = [
        Job(settings, str(given.data_dir), method, seed)
        for methods in ((UNIFORM, "default"), METHODS)
        for seed in range(given.seeds)
        for method in methods
        if method in given.methods and not table.has(method=method, seed=seed)
    ]
    for found in run_parallel(run, list(dict.fromkeys(todo)), given.workers):
        table.add(found)
        told = f"{found['method']}, seed {found['seed']}: {found['test_perplexity']:.1f}"
        Console().print(f"{told}, {found['cpu_s']:.0f} s CPU")
    show(table.rows(), settings)


if __name__ == "__main__":
    main()
