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
from resumable import Record, RunTable
from rich.console import Console
from scenes import COUNTS, KINDS, PIECES, write_scenes
from ticket_runs import (
    PRETRAININGS,
    TicketPlan,
    compared,
    drawn_tickets,
    show_compared,
    work_through,
)

from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.tickets import (
    NATURAL,
    Robustness,
    TransferSettings,
    pretrain,
    transfer,
)
from growsearch.tickets.transfer import MODES
from growsearch.training import Recipe, Segmentation
from search_spaces import SearchSpace, search_space
from search_spaces.families.deeplab import DeepLabSpace
from search_spaces.families.resnet_imagenet import ResNetImageNetSpace

RESULTS = Path(__file__).parent / "results"
# Of the attack, in 255ths of a pixel, where the command line does not say; its steps.
STRENGTH, STEPS = 8, 3
SOURCE_IMAGES, WIDTH, HEAD_WIDTH = 10_000, 8, 16
PRETRAINING = Recipe(epochs=8, batch_size=64, learning_rate=0.1)
DRAWING, ROUNDS = Recipe(epochs=2, batch_size=64, learning_rate=0.05), 2
TASK = Recipe(epochs=8, batch_size=8, learning_rate=0.1)
# Each with the word that its columns add.
FIGURES = {"mean_iou": "", "pixel_accuracy": ", pixels"}


def backbone() -> SearchSpace:
    space = search_space("resnet14-bottleneck")
    assert isinstance(space, ResNetImageNetSpace)
    return dataclasses.replace(space, base_width=WIDTH)


def deeplab() -> SearchSpace:
    space = search_space("deeplabv3-resnet14")
    assert isinstance(space, DeepLabSpace)
    return dataclasses.replace(space, base_width=WIDTH, head_width=HEAD_WIDTH)


def run(
    attack: Robustness, pretraining: str, seed: int, data_dir: Path, scenes: Dataset
) -> Iterator[Record]:
    """Yield the runs of one pretrained network: schemes, sparsities and modes."""
    source = subset(load_dataset("cifar10", data_dir), train=SOURCE_IMAGES, validation=500, test=10)
    robust = attack if pretraining == "pgd" else NATURAL
    plan = TicketPlan(
        pretrained=pretrain(backbone(), source, PRETRAINING, robustness=robust, seed=seed),
        robust=robust,
        source=source,
        target=scenes,
        rounds=ROUNDS,
        seed=seed,
        space=deeplab(),
    )
    task = Segmentation(scenes)
    on_scenes = dataclasses.replace(DRAWING, batch_size=TASK.batch_size)
    for ticket, drawn in drawn_tickets(plan, lambda s: on_scenes if s == "lmp" else DRAWING):
        for mode in MODES:
            started = time.process_time()
            settings = TransferSettings(mode=mode, recipe=TASK, space=plan.space)
            done = transfer(plan.pretrained, drawn.ticket, scenes, settings, seed=seed)
            yield {
                "pair": "cifar10 to scenes",
                "pretraining": pretraining,
                "seed": seed,
                **ticket,
                "mode": mode,
                "mean_iou": task.mean_iou(done.model, scenes.test),
                "pixel_accuracy": task.scores(done.model, scenes.test).accuracy,
                "source_accuracy": plan.pretrained.accuracy,
                "transfer_s": round(time.process_time() - started, 2),
            }


def rows(runs: list[Record]) -> list[Record]:
    return compared(runs, FIGURES)


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
    table = RunTable(path, settings(attack), rows)
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(Path(folder) / "scenes", chosen.data_dir)
        scenes = load_dataset("mask-folder", Path(folder) / "scenes")
    # Seeds outermost: a benchmark that is cut short has whole comparisons.
    keys = [
        {"pretraining": pretraining, "seed": seed}
        for seed in range(chosen.seeds)
        for pretraining in PRETRAININGS
    ]
    work_through(
        table,
        keys,
        lambda key: run(attack, key["pretraining"], key["seed"], chosen.data_dir, scenes),
        lambda record: f"mean IoU {record['mean_iou']:.3f}",
        console,
    )
    title = "Mean IoU and pixels of tickets under a DeepLab-v3, CIFAR-10 to scenes"
    show_compared(title, table.rows(), FIGURES, console)


if __name__ == "__main__":
    main()
