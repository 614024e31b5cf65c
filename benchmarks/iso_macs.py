"""Do all transforms, ratios and updaters keep a network's MACs, to the weight, while it trains?

Every (transform x ratio x updater) on ResNet-18 (32 x 32, CIFAR stem) and on a GPT: the forward
MACs that the run really spent, step by step, against the dense network's; the zeros of every layer
before and after 200 steps, counted in the masks and in the weights. "granet" and "gmp" start denser
and end sparser than the dense network's MACs: their mean over the run is what is kept.

The steps run on random data: counts do not depend on what is learned. A narrower ResNet-18
(--width) makes all combinations affordable; --steps 0 checks the sizes of the full one alone.

    python benchmarks/iso_macs.py --networks resnet18 gpt --width 16 --workers 2
    python benchmarks/iso_macs.py --networks resnet18 --width 64 --ratios erk --batch 1
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from resumable import Record, RunTable, run_parallel
from rich.console import Console
from rich.table import Table
from stepping import Stepper
from torch import Tensor
from torch.nn import functional as F

from growsearch.growth import build_full
from growsearch.sparsity import (
    MASK_UPDATERS,
    SPARSITY_DISTRIBUTIONS,
    Batch,
    Masks,
    SparseTraining,
    Timetable,
    macs_per_weight,
)
from growsearch.training import TRAINING_PASSES, Recipe
from growsearch.transforms import TOLERANCE, MacProfile, SparseSettings, sparse_plan
from search_spaces import SearchSpace, search_space
from search_spaces.families.gpt import GPTSpace

RESULTS = Path(__file__).parent / "results"
TRANSFORMS = ("sparse_wide", "sparse_parallel", "sparse_factorized", "sparse_doped")
# Those whose number of zeros is the same in every layer from the first step to the last.
KEEPING = ("static", "set", "rigl")


@dataclass(frozen=True)
class Settings:
    network: str
    width: int
    sparsity: float
    steps: int
    interval: int
    batch: int


@dataclass(frozen=True)
class Job:
    settings: Settings
    transform: str
    ratio: str
    updater: str


def space_of(settings: Settings) -> SearchSpace:
    if settings.network == "resnet18":
        return dataclasses.replace(search_space("resnet18"), base_width=settings.width)  # type: ignore[type-var]
    return GPTSpace(
        name="gpt",
        description="A small GPT",
        input_shape=(32,),
        num_classes=256,
        blocks=2,
        heads=4,
        head_size=settings.width,
    )


def data(space: SearchSpace, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random images and classes, or random tokens and their random successors."""
    if isinstance(space, GPTSpace):
        shape = (count, *space.input_shape)
        high = space.num_classes
        return (
            torch.randint(0, high, shape, generator=generator),
            torch.randint(0, high, shape, generator=generator),
        )
    inputs = torch.randn(count, *space.example_inputs()[0].shape[1:], generator=generator)
    return inputs, torch.randint(0, 10, (count,), generator=generator)


def flat_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the last axis, whatever lies before it."""
    return F.cross_entropy(outputs.flatten(0, -2), labels.flatten())


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    start, settings = time.process_time(), job.settings
    space = space_of(settings)
    dense = build_full(space, 0)
    example = space.example_inputs()
    target = MacProfile.of(dense, example).dense_macs
    generator = torch.Generator().manual_seed(0)
    inputs, labels = data(space, 8, generator)
    plan = sparse_plan(
        dense,
        SparseSettings(
            transform=job.transform,
            sparsity=settings.sparsity,
            distribution=job.ratio,
            updater=job.updater,
        ),
        example,
        timetable=Timetable(steps=max(1, settings.steps), interval=settings.interval),
        generator=generator,
        batch=Batch(inputs=inputs, labels=labels, loss=flat_loss),
    )
    assert plan.match is not None
    masks = Masks.of(plan.module)
    record: Record = {
        "transform": job.transform,
        "ratio": job.ratio,
        "updater": job.updater,
        "dense_macs": target,
        "planned_error": plan.match.relative_error,
        "masked_weights": masks.weights,
        "zeros_before": masks.zeros,
        "weights_agree_before": weights_agree(masks),
    }
    if settings.steps:
        hook = plan.hook(macs_per_weight(plan.module, example))
        record |= trained(job, target, generator, hook)
    return record | {"cpu_s": time.process_time() - start}


def trained(job: Job, target: int, generator: torch.Generator, hook: SparseTraining) -> Record:
    """Take the steps; compare what they cost and how many zeros are left."""
    settings, masks = job.settings, hook.masks
    before, space = masks.nonzeros(), space_of(settings)
    profile = MacProfile.of(masks.module, space.example_inputs())
    stepper = Stepper(
        masks.module,
        Recipe(epochs=1, batch_size=settings.batch, learning_rate=0.01),
        steps=settings.steps,
        forward_macs=profile.macs({n: masks[n].numel() - k for n, k in before.items()}),
        hooks=(hook,),
    )
    for _ in range(settings.steps):
        stepper.step(*data(space, settings.batch, generator))
    spent = stepper.state.training_macs - hook.dense_gradient_macs
    examples = settings.steps * settings.batch
    after = masks.nonzeros()
    return {
        "spent_error": spent / (TRAINING_PASSES * target * examples) - 1,
        "dense_gradients_share": hook.dense_gradient_macs / spent,
        "mask_updates": hook.updates,
        "zeros_after": masks.zeros,
        "same_zeros_in_every_layer": before == after,
        "weights_agree_after": weights_agree(masks),
    }


def weights_agree(masks: Masks) -> bool:
    """Say whether every masked weight is exactly zero, counted in the weights themselves.

    Weights that a mask update has just grown are active and still zero, so that there may be more
    zeros than masked weights; there are never fewer.
    """
    masks.check()
    return all(
        int(torch.count_nonzero(masks.weight(name))) <= kept
        for name, kept in masks.nonzeros().items()
    )


def passed(run_: Record, steps: int) -> bool:
    error = run_["spent_error"] if steps else run_["planned_error"]
    exact = run_["weights_agree_before"] and (not steps or run_["weights_agree_after"])
    kept = run_["updater"] not in KEEPING or not steps or run_["same_zeros_in_every_layer"]
    return bool(abs(error) <= TOLERANCE and exact and kept)


def rows(runs: list[Record], steps: int) -> list[Record]:
    """Return one row for each transform and updater, over all ratios."""
    found = []
    for key in sorted({(r["transform"], r["updater"]) for r in runs}):
        group = [r for r in runs if (r["transform"], r["updater"]) == key]
        errors = [abs(r["spent_error"] if steps else r["planned_error"]) for r in group]
        found.append(
            {
                "transform": key[0],
                "updater": key[1],
                "ratios": len(group),
                "passed": sum(passed(r, steps) for r in group),
                "largest_error": max(errors),
                "cpu_s": sum(r["cpu_s"] for r in group),
            }
        )
    return found


def show(found: list[Record], settings: Settings) -> None:
    title = (
        f"{settings.network}, width {settings.width}, nominal sparsity {settings.sparsity:g}, "
        f"{settings.steps} steps"
    )
    table = Table(title=title)
    for column in ("transform", "updater", "ratios", "exact", "largest error in MACs"):
        table.add_column(column)
    for row in found:
        table.add_row(
            row["transform"],
            row["updater"],
            str(row["ratios"]),
            str(row["passed"]),
            f"{row['largest_error']:.2e}",
        )
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "gpt"])
    parser.add_argument("--width", type=int, default=16, help="of the stem, or of a head")
    parser.add_argument("--sparsity", type=float, default=0.75)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--interval", type=int, default=20, help="steps between mask updates")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--ratios", nargs="+", default=list(SPARSITY_DISTRIBUTIONS))
    parser.add_argument("--updaters", nargs="+", default=list(MASK_UPDATERS))
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    for network in arguments.networks:
        settings = Settings(
            network=network,
            width=arguments.width,
            sparsity=arguments.sparsity,
            steps=arguments.steps,
            interval=arguments.interval,
            batch=arguments.batch,
        )
        name = f"iso_macs_{network}_width{settings.width}_steps{settings.steps}.json"
        table = RunTable(
            RESULTS / name, asdict(settings), functools.partial(rows, steps=settings.steps)
        )
        todo = [
            Job(settings, transform, ratio, updater)
            for transform in TRANSFORMS
            for updater in arguments.updaters
            for ratio in arguments.ratios
            # SynFlow's input of ones cannot be a token, and LayerNorm would take it away.
            if not (network == "gpt" and ratio == "synflow")
            and not table.has(transform=transform, ratio=ratio, updater=updater)
        ]
        for result in run_parallel(run, todo, arguments.workers):
            table.add(result)
        show(table.rows(), settings)


if __name__ == "__main__":
    main()
