"""Do tickets of a robustly pretrained network transfer better to a class a pixel?

A bottleneck ResNet-14 of width 8 is pretrained on CIFAR-10, naturally or by PGD; OMP, A-IMP (IMP
from the natural network) and LMP draw tickets, which go under a DeepLab-v3 with a head of 16
channels to scenes of clothes on other images (scenes.py): fine-tuned as a whole, or with the
backbone frozen. Figures are mean IoU and the share of right pixels on test scenes. Runs that belong
together share seed, batches and head. What is finished is written down; run it again to go on.

    python benchmarks/segmentation_transfer.py --data-dir DATA
    python benchmarks/segmentation_transfer.py --data-dir DATA --strength 2
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from resumable import Record, RunTable, with_deviation
from rich.console import Console
from rich.table import Table
from robust_tickets import SCHEMES, SPARSITIES, TICKET, rows
from scenes import COUNTS, KINDS, PIECES, write_scenes

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.tickets import (
    NATURAL,
    DrawSettings,
    Robustness,
    TransferSettings,
    draw,
    pretrain,
    transfer,
)
from growsearch.tickets.transfer import MODES
from growsearch.training import Recipe, Segmentation
from search_spaces import SearchSpace, search_space

RESULTS = Path(__file__).parent / "results"
# Of the attack, in 255ths of a pixel, where the command line does not say; its steps.
STRENGTH, STEPS = 8, 3
SOURCE_IMAGES, WIDTH, HEAD_WIDTH = 10_000, 8, 16
PRETRAINING = Recipe(epochs=8, batch_size=64, learning_rate=0.1)
DRAWING, ROUNDS = Recipe(epochs=2, batch_size=64, learning_rate=0.05), 2
TASK = Recipe(epochs=8, batch_size=8, learning_rate=0.1)
FIGURES = ("mean_iou", "pixel_accuracy")


def backbone() -> SearchSpace:
    space = search_space("resnet14-bottleneck")
    return dataclasses.replace(space, base_width=WIDTH)  # type: ignore[type-var]


def deeplab() -> SearchSpace:
    space = search_space("deeplabv3-resnet14")
    return dataclasses.replace(  # type: ignore[type-var]
        space, base_width=WIDTH, head_width=HEAD_WIDTH
    )


def run(
    attack: Robustness, pretraining: str, seed: int, data_dir: Path, scenes: Dataset
) -> Iterator[Record]:
    """Yield the runs of one pretrained network: schemes, sparsities and modes."""
    source = subset(load_dataset("cifar10", data_dir), train=SOURCE_IMAGES, validation=500, test=10)
    robust = attack if pretraining == "pgd" else NATURAL
    pretrained = pretrain(backbone(), source, PRETRAINING, robustness=robust, seed=seed)
    for sparsity in SPARSITIES:
        for scheme in SCHEMES:
            # Natural tickets are drawn naturally.
            own = "imp" if scheme == "a-imp" and pretraining == "natural" else scheme
            drawn = draw(
                pretrained,
                DrawSettings(
                    scheme=own,
                    sparsity=sparsity,
                    recipe=dataclasses.replace(DRAWING, batch_size=TASK.batch_size)
                    if scheme == "lmp"
                    else DRAWING,
                    rounds=ROUNDS,
                    robustness=robust,
                ),
                data=scenes if scheme == "lmp" else source,
                seed=seed,
                space=deeplab(),
            )
            for mode in MODES:
                started = time.process_time()
                settings = TransferSettings(mode=mode, recipe=TASK, space=deeplab())
                done = transfer(pretrained, drawn.ticket, scenes, settings, seed=seed)
                task = Segmentation(scenes)
                yield {
                    "pair": "cifar10 to scenes",
                    "pretraining": pretraining,
                    "scheme": scheme,
                    "sparsity": sparsity,
                    "mode": mode,
                    "seed": seed,
                    "zeros": drawn.ticket.zeros,
                    "weights": drawn.ticket.weights,
                    "mean_iou": task.mean_iou(done.model, scenes.test),
                    "pixel_accuracy": task.scores(done.model, scenes.test).accuracy,
                    "source_accuracy": pretrained.accuracy,
                    "transfer_s": round(time.process_time() - started, 2),
                }


def summary(runs: list[Record]) -> list[Record]:
    return rows(runs, FIGURES)


def show(found: list[Record], console: Console) -> None:
    table = Table(title="Mean IoU and pixels of tickets under a DeepLab-v3, CIFAR-10 to scenes")
    for column in ("mode", "sparsity", "scheme"):
        table.add_column(column)
    for column in ("natural", "robust", "gain", "natural, pixels", "robust, pixels", "gain"):
        table.add_column(column, justify="right")
    for row in found:
        cells = [
            with_deviation(row[figure][part])
            for figure in FIGURES
            for part in ("natural", "pgd", "gains")
        ]
        table.add_row(row["mode"], f"{row['sparsity']:g}", row["scheme"], *cells)
    console.print(table)


def settings(attack: Robustness) -> dict[str, Any]:
    return {
        "backbone": "resnet14-bottleneck",
        "widths": [WIDTH, HEAD_WIDTH],
        "source_images": SOURCE_IMAGES,
        "epsilon": attack.epsilon,
        "pgd_steps": attack.steps,
        "epochs": {"pretraining": PRETRAINING.epochs, "drawing": DRAWING.epochs},
        "task": {"epochs": TASK.epochs, "batch_size": TASK.batch_size},
        "rounds": ROUNDS,
        "scenes": {"counts": COUNTS, "kinds": len(KINDS), "pieces": PIECES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="Fashion-MNIST and CIFAR-10")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strength", type=int, default=STRENGTH, help="of PGD, in 255ths")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    attack = Robustness(kind="pgd", epsilon=chosen.strength / 255, steps=STEPS)
    own = "" if chosen.strength == STRENGTH else f"_strength{chosen.strength}"
    path = RESULTS / f"segmentation_transfer{own}.json"
    table = RunTable(path, settings(attack), summary)
    each = len(SPARSITIES) * len(SCHEMES) * len(MODES)
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder) / "scenes", chosen.data_dir)
        scenes = load_dataset("mask-folder", Path(folder) / "scenes")
    # Seeds outermost: a benchmark that is cut short has whole comparisons.
    for seed in range(chosen.seeds):
        for pretraining in ("natural", "pgd"):
            key = {"pretraining": pretraining, "seed": seed}
            if len(table.where(**key)) == each:
                continue
            runs = run(attack, pretraining, seed, chosen.data_dir, scenes)
            for record in table.add_missing(runs, (*key, *TICKET)):
                ticket = " ".join(str(record[name]) for name in TICKET)
                console.print(
                    f"{len(table.runs)}: {pretraining} {ticket} seed {seed}: mean IoU "
                    f"{record['mean_iou']:.3f}, source {record['source_accuracy']:.2%}, "
                    f"{record['transfer_s']:.1f} s",
                    soft_wrap=True,
                )
    show(table.rows(), console)


if __name__ == "__main__":
    main()
