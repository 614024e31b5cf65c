"""Do tickets of a robustly pretrained network transfer better? Small replicas of arXiv 2304.11834.

Fashion-MNIST to the digits at 28 x 28, and CIFAR-10 to a part of CIFAR-100's test images (the split
is another one for every seed). A ResNet-8 of width 8 is pretrained naturally or by PGD; OMP, A-IMP
(IMP from the natural network) and LMP draw tickets, which are fine-tuned or linearly evaluated.
Figures are the accuracy on the target's test images, as they are and attacked by PGD. Runs that
belong together share seed, batches and classifier. What is finished is written down; run it again
to go on.

    python benchmarks/robust_tickets.py --data-dir DATA
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from resumable import Record, RunTable
from rich.console import Console
from ticket_runs import (
    PRETRAININGS,
    SPARSITIES,
    TicketPlan,
    compared,
    drawn_tickets,
    show_compared,
    work_through,
)
from torch import Tensor
from torch.nn import functional as F

from growsearch.datasets import (
    AUGMENTATIONS,
    Dataset,
    Normalisation,
    Split,
    load_cifar100_test,
    load_dataset,
    subset,
)
from growsearch.datasets.normalisation import PIXELS
from growsearch.datasets.stratified import stratified_choice
from growsearch.metrics import accuracy, predict
from growsearch.metrics.adversarial import pgd
from growsearch.tickets import (
    NATURAL,
    Robustness,
    TransferSettings,
    pretrain,
    transfer,
)
from growsearch.tickets.transfer import MODES
from growsearch.training import Recipe
from growsearch.training.perturbation import OnPixels
from search_spaces import SearchSpace, search_space
from search_spaces.families.resnet_cifar import ResNetCifarSpace

RESULTS = Path(__file__).parent / "results" / "robust_tickets.json"
# Each with the word that its columns add.
FIGURES = {"test_accuracy": "", "pgd_accuracy": ", PGD"}
STEPS = 3
# The target is judged by more steps within a quarter of the radius, on so many images: whoever
# fine-tunes naturally keeps little of what was learned against the whole radius.
JUDGING_STEPS, JUDGING_SHARE, JUDGED_IMAGES = 7, 0.25, 300
DRAW_EPOCHS, ROUNDS = 1, 2
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Pair:
    source: str
    target: str
    epsilon: float
    source_images: int
    source_epochs: int
    target_epochs: int
    channels: int


PAIRS = {
    "fashion-mnist to digits": Pair(
        source="fashion-mnist",
        target="digits-28",
        epsilon=0.1,
        source_images=5000,
        source_epochs=4,
        target_epochs=6,
        channels=1,
    ),
    "cifar10 to cifar100": Pair(
        source="cifar10",
        target="cifar100-test",
        epsilon=8 / 255,
        source_images=5000,
        source_epochs=5,
        target_epochs=5,
        channels=3,
    ),
}


def digits_28() -> Dataset:
    """Return scikit-learn's digits, enlarged from 8 x 8 to 28 x 28 by bilinear interpolation."""
    small = load_dataset("digits")

    def enlarged(split: Split) -> Split:
        images = F.interpolate(split.inputs, size=28, mode="bilinear", align_corners=False)
        return Split(inputs=images, labels=split.labels)

    return dataclasses.replace(
        small,
        name="digits-28",
        train=enlarged(small.train),
        validation=enlarged(small.validation),
        test=enlarged(small.test),
    )


def cifar100_part(data_dir: Path, normalisation: Normalisation, fold: int) -> Dataset:
    """Return 2,000 training, 500 validation and 1,000 test images of CIFAR-100's test images."""
    whole = load_cifar100_test(data_dir, normalisation)
    chosen = stratified_choice(whole.labels, 3500, seed=fold)
    inputs, labels = whole.inputs[chosen], whole.labels[chosen]
    test, rest = _part(labels, 1000, fold)
    validation = rest[stratified_choice(labels[rest], 500, seed=fold)]
    train = torch.tensor(sorted(set(rest.tolist()) - set(validation.tolist())))
    splits = [Split(inputs=inputs[p], labels=labels[p]) for p in (train, validation, test)]
    return Dataset(
        name="cifar100-test",
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        num_classes=100,
        augmentation=AUGMENTATIONS["shift-mirror"],
        normalisation=normalisation,
    )


def _part(labels: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    chosen = stratified_choice(labels, count, seed=seed)
    left = torch.ones(len(labels), dtype=torch.bool)
    left[chosen] = False
    return chosen, left.nonzero().flatten()


def data_of(pair: Pair, data_dir: Path, seed: int) -> tuple[Dataset, Dataset]:
    source = load_dataset(pair.source, data_dir)
    if pair.source == "cifar10":
        target = cifar100_part(data_dir, source.normalisation, seed)
    else:
        target = digits_28()
    return subset(source, train=pair.source_images, validation=500, test=10), target


def network() -> SearchSpace:
    space = search_space("resnet20")
    assert isinstance(space, ResNetCifarSpace)
    return dataclasses.replace(space, blocks=(1, 1, 1), base_width=8)


def run(pair_name: str, pretraining: str, seed: int, data_dir: Path) -> Iterator[Record]:
    """Yield the runs of one pretrained network: schemes, sparsities and modes."""
    pair = PAIRS[pair_name]
    source, target = data_of(pair, data_dir, seed)
    attack = Robustness(kind="pgd", epsilon=pair.epsilon, steps=STEPS)
    robust = attack if pretraining == "pgd" else NATURAL
    started = time.process_time()
    recipe = Recipe(epochs=pair.source_epochs, batch_size=BATCH)
    pretrained = pretrain(network(), source, recipe, robustness=robust, seed=seed)
    about = {
        "pair": pair_name,
        "pretraining": pretraining,
        "seed": seed,
        "source_accuracy": pretrained.accuracy,
        "pretrain_s": round(time.process_time() - started, 2),
    }
    plan = TicketPlan(
        pretrained=pretrained,
        robust=robust,
        source=source,
        target=target,
        rounds=ROUNDS,
        seed=seed,
    )
    for ticket, drawn in drawn_tickets(plan, lambda _: _recipe(DRAW_EPOCHS)):
        for mode in MODES:
            started = time.process_time()
            settings = TransferSettings(mode=mode, recipe=_recipe(pair.target_epochs))
            done = transfer(pretrained, drawn.ticket, target, settings, seed=seed)
            parts = (pretrained, drawn, done)
            yield {
                **about,
                **ticket,
                "mode": mode,
                **judged(done.model, target, attack),
                "training_macs": sum(part.training_macs for part in parts),
                "transfer_s": round(time.process_time() - started, 2),
            }


def _recipe(epochs: int) -> Recipe:
    return Recipe(epochs=epochs, batch_size=BATCH, learning_rate=0.05)


def judged(model: torch.nn.Module, target: Dataset, attack: Robustness) -> dict[str, float]:
    """Return the accuracy on test images, as they are and under PGD."""
    split, seen = target.test, OnPixels(model, target.normalisation)
    part = stratified_choice(split.labels, JUDGED_IMAGES, seed=0)
    pixels = target.normalisation.to_pixels(split.inputs[part]).clamp(0, 1)
    judge = dataclasses.replace(
        attack, epsilon=JUDGING_SHARE * attack.epsilon, steps=JUDGING_STEPS
    ).attack()
    attacked = pgd(
        seen,
        pixels,
        split.labels[part],
        attack=judge,
        generator=torch.Generator().manual_seed(0),
        normalisation=PIXELS,
    )
    return {
        "test_accuracy": accuracy(predict(model, split.inputs), split.labels),
        "pgd_accuracy": accuracy(predict(seen, attacked), split.labels[part]),
    }


def rows(runs: list[Record]) -> list[Record]:
    return compared(runs, FIGURES)


def show(summary: list[Record], console: Console) -> None:
    for pair in PAIRS:
        title = f"Tickets of natural and of PGD pretraining, {pair}"
        show_compared(title, (row for row in summary if row["pair"] == pair), FIGURES, console)


def settings() -> dict[str, Any]:
    return {
        "network": "ResNet-8 of width 8",
        "pairs": {name: dataclasses.asdict(pair) for name, pair in PAIRS.items()},
        "pgd_steps": STEPS,
        "judging": [JUDGING_STEPS, JUDGING_SHARE, JUDGED_IMAGES],
        "draw_epochs": DRAW_EPOCHS,
        "rounds": ROUNDS,
        "batch_size": BATCH,
        "sparsities": list(SPARSITIES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="Fashion-MNIST and CIFAR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    table = RunTable(RESULTS, settings(), rows)
    # Seeds outermost: a benchmark that is cut short has whole comparisons.
    keys = [
        {"pair": pair, "pretraining": pretraining, "seed": seed}
        for seed in range(arguments.seeds)
        for pair in arguments.pairs
        for pretraining in PRETRAININGS
    ]
    work_through(
        table,
        keys,
        lambda key: run(key["pair"], key["pretraining"], key["seed"], arguments.data_dir),
        lambda record: f"{record['test_accuracy']:.2%}, PGD {record['pgd_accuracy']:.2%}",
        console,
    )
    show(table.rows(), console)


if __name__ == "__main__":
    main()
