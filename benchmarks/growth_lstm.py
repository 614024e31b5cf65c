"""What does growing buy a language model? Grown LSTMs on Penn Treebank against uniform and dense.

Every row spends the same budget of MACs (dense apart) and the same epochs, and reads the same
batches at a seed. Perplexities are of the whole validation and test texts after the last epoch.
An epoch is a stretch of ``--epoch-tokens`` words from a random place, the same for all methods at a
seed, so that structure can change several times in one pass over the text (929,589 words).

    python benchmarks/growth_lstm.py --data-dir DATA --seeds 1 --epochs 20
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from growsearch.datasets import TokenDataset, load_token_dataset
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
from growsearch.training import SGD, LanguageModelling, Recipe, Steps
from search_spaces import channel_groups
from search_spaces.families.recurrent import RecurrentSpace

RESULTS = Path(__file__).parent / "results" / "growth_lstm.json"
WINDOW = 35
WATCHED_WORDS = 5_000


@dataclass(frozen=True)
class Run:
    space: RecurrentSpace
    task: LanguageModelling
    budget: Budget
    recipe: Recipe
    seed: int

    def grown(self, config: GrowthConfig) -> GrowthResult:
        return grow(self.space, self.task, budget=self.budget, config=config, seed=self.seed)

    def learned(self, indicators: IndicatorConfig) -> GrowthResult:
        return self.grown(GrowthConfig(recipe=self.recipe, indicators=indicators))

    def random_order(self) -> GrowthResult:
        return self.grown(GrowthConfig(recipe=self.recipe, policy="random-order"))

    def uniform(self) -> FixedResult:
        architecture = uniform_architecture(self.space, self.budget)
        return train_fixed(self.space, self.task, architecture, recipe=self.recipe, seed=self.seed)

    def dense(self) -> FixedResult:
        largest = self.space.largest()
        return train_fixed(self.space, self.task, largest, recipe=self.recipe, seed=self.seed)


Method = Callable[[Run], GrowthResult | FixedResult]

METHODS: Mapping[str, Method] = {
    "learned": lambda run: run.learned(IndicatorConfig()),
    "learned, normalised gradient": lambda run: run.learned(IndicatorConfig(steering="normalised")),
    "random order": Run.random_order,
    "uniform width, from scratch": Run.uniform,
    "dense": Run.dense,
}


def measure(name: str, method: Method, runs: list[Run], text: TokenDataset) -> dict[str, object]:
    results, seconds = [], []
    for run in runs:
        start = time.process_time()
        results.append(method(run))
        seconds.append(time.process_time() - start)
    task = runs[0].task
    scores = {
        split: [task.scores(result.model, tokens).perplexity for result in results]
        for split, tokens in (("validation", text.validation), ("test", text.test))
    }
    return {
        "method": name,
        "validation_perplexity": scores["validation"],
        "test_perplexity": scores["test"],
        "hidden": [[g.size for g in channel_groups(result.model)] for result in results],
        **shares(runs[0].space, results),
        "training_macs_saving": statistics.mean(
            result.dense_training_macs / result.training_macs for result in results
        ),
        "cpu_seconds": statistics.mean(seconds),
    }


def shares(
    space: RecurrentSpace, results: Sequence[GrowthResult | FixedResult]
) -> dict[str, float]:
    """Return the mean parameters and MACs, as shares of the full configuration's."""
    dense = space.build(space.largest())
    costs = {
        "parameters_share": parameters,
        "recurrent_parameters_share": recurrent_parameters,
        "macs_share": macs_of_a_word,
    }
    return {
        name: statistics.mean(cost(result.model) for result in results) / cost(dense)
        for name, cost in costs.items()
    }


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def recurrent_parameters(model: nn.Module) -> int:
    return sum(parameters(layer) for layer in model.modules() if isinstance(layer, nn.RNNBase))


def macs_of_a_word(model: nn.Module) -> int:
    """Count every element of the cells' and the decoder's matrices once."""
    layers = [m for m in model.modules() if isinstance(m, (nn.RNNBase, nn.Linear))]
    return sum(p.numel() for layer in layers for p in layer.parameters() if p.ndim > 1)


def show(rows: list[dict[str, object]], title: str) -> None:
    table = Table(title=title)
    for column in ("method", "validation", "test", "test by seed", "hidden", "parameters",
                   "recurrent", "MACs", "training MACs saved", "CPU s"):  # fmt: skip
        table.add_column(column)
    for line in rows:
        validation, test, hidden = (
            line[key] for key in ("validation_perplexity", "test_perplexity", "hidden")
        )
        assert isinstance(validation, list)
        assert isinstance(test, list)
        assert isinstance(hidden, list)
        table.add_row(
            str(line["method"]),
            f"{statistics.mean(validation):.1f}",
            f"{statistics.mean(test):.1f}",
            " ".join(f"{value:.1f}" for value in test),
            " ".join("-".join(map(str, sizes)) for sizes in hidden),
            f"{line['parameters_share']:.1%}",
            f"{line['recurrent_parameters_share']:.1%}",
            f"{line['macs_share']:.1%}",
            f"{line['training_macs_saving']:.2f}x",
            f"{line['cpu_seconds']:.0f}",
        )
    Console(width=150).print(table)


def recipe(epochs: int, learning_rate: float) -> Recipe:
    """Return Zaremba et al.'s small recipe, stretched: full rate for half the run, then halved."""
    return Recipe(
        epochs=epochs,
        batch_size=20,
        learning_rate=learning_rate,
        weight_decay=0.0,
        warmup_epochs=0,
        clip_norm=5 / WINDOW,
        optimizer=SGD(momentum=0.0, nesterov=False),
        schedule=Steps(milestones=tuple(range((epochs + 3) // 2, epochs)), factor=0.5),
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--epoch-tokens", type=int, default=46_500)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--macs", type=float, default=0.35)
    parser.add_argument("--learning-rate", type=float, default=float(WINDOW))
    parser.add_argument("--embedding-bound", type=float, default=1.0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    text = load_token_dataset("ptb", arguments.data_dir)
    space = RecurrentSpace(
        name="lstm-ptb-benchmark",
        description="2-layer LSTM for Penn Treebank",
        embedding=arguments.hidden,
        hidden=(arguments.hidden, arguments.hidden),
        input_shape=(WINDOW,),
        num_classes=len(text.vocabulary),
        embedding_bound=arguments.embedding_bound,
    )
    task = LanguageModelling(
        # Looked at once an epoch only to see that training goes well: a part is enough.
        data=dataclasses.replace(text, validation=text.validation[:WATCHED_WORDS]),
        window=WINDOW,
        carried=True,
        epoch_tokens=arguments.epoch_tokens,
    )
    schedule = recipe(arguments.epochs, arguments.learning_rate)
    runs = [
        Run(space, task, Budget(macs=arguments.macs), schedule, seed)
        for seed in range(arguments.seeds)
    ]
    left_out = ("data_dir", "out")
    settings = {key: value for key, value in vars(arguments).items() if key not in left_out}
    rows = []
    for name in arguments.methods:
        rows.append(measure(name, METHODS[name], runs, text))
        show(rows[-1:], name)
        # A long run that is stopped leaves the methods that it came to.
        write_json(arguments.out, {"settings": {**settings, "threads": 1}, "rows": rows})
    words = arguments.epochs * arguments.epoch_tokens
    show(rows, f"LSTM 2 x {arguments.hidden}, {arguments.macs:.0%} of the MACs, {words:,} words")


if __name__ == "__main__":
    main()
