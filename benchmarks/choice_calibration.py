"""How often is a choice right? Simulated searches whose choices are checked on test data.

A pool of small convolutional networks of eight widths and six seeds learns shifted digits with
noise on them, much or little; wider ones are better all the way in both, so that the case in which
cheap networks are as good is not here. A search draws 24 of them and splits the images that none
has learned anew: some to validate on, always 297 others, in several noisy copies, to test on. The
project's own choice takes a network by the highest accuracy and by the one-standard-error rule.
Beside them are a choice by chance, and one that knows all images and copies, the test's included:
what it is not right about is the noise of the test. Told for each number of validation examples,
over all searches with 95 % intervals:

- how often a choice is right: no network of the search is better on the test data by more than half
  a point;
- how far the choice is behind the best of the search on the test data, in points;
- what the rule (and beside it one by the standard error of paired differences) costs in test
  accuracy and saves in MACs against the highest accuracy;
- how far the chosen network's validation accuracy is above its test accuracy, and how often its
  95 % interval holds that;
- of pairs that McNemar's test tells apart on the validation examples, how often the test data
  agree.

Searches share networks and images, so that intervals over searches are those of this pool.

    OMP_NUM_THREADS=1 python benchmarks/choice_calibration.py
    python benchmarks/choice_calibration.py --searches 20 --widths 2 8 --seeds 2 --out x.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from cost_models import trace
from growsearch.datasets import load_dataset
from growsearch.pareto import Front, Point
from growsearch.pareto.uncertainty import mean_interval, wilson
from growsearch.report.choice.told_apart import of_examples
from growsearch.trial.judged_examples import JudgedExamples

RESULTS = Path(__file__).parent / "results" / "choice_calibration.json"
LEARNED, SIDE, CLASSES = 600, 8, 10
SIZES = (100, 300, 900)
# Floor and ceiling: what the test of a search says of a choice by chance, and of the best one.
CHANCE, KNOWING = "by chance", "knowing all"
OF_A_SEARCH, COPIES = 24, 8
NOISES = {"much": 0.3, "little": 0.05}
RIGHT_WITHIN = 0.005
RULES = ("highest", "cheapest", "auto")
PAIRED = "cheapest by paired errors"
Bits = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The networks' MACs, and which copies of unlearned images each is right about.

    ``right`` is (networks, images, copies).
    """

    macs: NDArray[np.int64]
    right: Bits


def disturbed(images: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return images (N, 1, 8, 8), each moved by up to one pixel and with noise on it."""
    padded = F.pad(images, (1, 1, 1, 1))
    moves = torch.randint(0, 3, (len(images), 2), generator=generator)
    moved = torch.stack(
        [
            image[:, down : down + SIDE, right : right + SIDE]
            for image, (down, right) in zip(padded, moves.tolist(), strict=True)
        ]
    )
    return moved + noise * torch.randn(moved.shape, generator=generator)


def network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 16, CLASSES),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What networks learn: images (N, 1, 8, 8) with that much noise, for so many epochs."""

    images: Tensor
    labels: Tensor
    noise: float
    epochs: int


def learn(model: nn.Module, lesson: Lesson, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images, labels, epochs = lesson.images, lesson.labels, lesson.epochs
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    steps = epochs * (len(images) // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        noisy = disturbed(images, lesson.noise, generator)
        for batch in torch.randperm(len(images), generator=generator).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(noisy[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    model.eval()


@torch.no_grad()
def make_pool(widths: list[int], seeds: int, epochs: int, noise: float) -> Pool:
    data = load_dataset("digits")
    images = torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])
    labels = torch.cat([data.train.labels, data.validation.labels, data.test.labels])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    bank = torch.Generator().manual_seed(1)
    lesson = Lesson(images=images[:LEARNED], labels=labels[:LEARNED], noise=noise, epochs=epochs)
    copies = [disturbed(images[LEARNED:], noise, bank) for _ in range(COPIES)]
    macs, right = [], []
    for width in widths:
        for seed in range(seeds):
            model = network(width, seed)
            with torch.enable_grad():
                learn(model, lesson, 1000 * width + seed)
            macs.append(trace(model, (images[:1],)).dense_macs)
            told = [model(copy).argmax(dim=1) == labels[LEARNED:] for copy in copies]
            right.append(torch.stack(told, dim=1).numpy())
    return Pool(macs=np.array(macs), right=np.stack(right))


def search(pool: Pool, size: int, draw: np.random.Generator) -> dict[str, Any]:
    """Return one search: what each rule chose of its networks, and what the test data say."""
    networks = draw.choice(len(pool.macs), min(OF_A_SEARCH, len(pool.macs)), replace=False)
    images = draw.permutation(pool.right.shape[1])
    # Of each image one copy, another in every search: a copy that all share may be an easy one.
    copies = draw.integers(pool.right.shape[2], size=size)
    validation = pool.right[networks][:, images[:size], copies]
    # As many at every size: its noise is no part of what sizes are compared by.
    tested = images[SIZES[-1] :]
    test = pool.right[networks][:, tested].reshape(len(networks), -1).mean(axis=1)
    points = [
        Point(id=str(place), values={"accuracy": int(bits.sum()) / size, "macs": float(macs)})
        for place, (bits, macs) in enumerate(zip(validation, pool.macs[networks], strict=True))
    ]
    front = Front.of(points, {"accuracy": "maximize", "macs": "minimize"})
    front = dataclasses.replace(front, examples=size)
    chosen = {}
    known = pool.right[networks].reshape(len(networks), -1).mean(axis=1)
    places = {
        **{rule: chosen_by(front, rule) for rule in RULES},
        PAIRED: int(paired_rule(front, validation).id),
        CHANCE: int(draw.integers(len(networks))),
        KNOWING: int(known.argmax()),
    }
    for rule, place in places.items():
        taken = points[place]
        low, high = wilson(taken.values["accuracy"], size)
        chosen[rule] = {
            "test": float(test[place]),
            "behind": float(test.max() - test[place]),
            "macs": taken.values["macs"],
            "above": taken.values["accuracy"] - float(test[place]),
            "held": bool(low <= test[place] <= high),
        }
    return {"chosen": chosen, "pair": pair(validation, test, draw)}


def chosen_by(front: Front, rule: str) -> int:
    """Return the place of what the project takes."""
    chosen = front.select([], ties=rule).chosen
    assert chosen is not None
    return int(chosen.id)


def paired_rule(front: Front, validation: Bits) -> Point:
    """Return what the project does not take: the cheapest within one error of the difference.

    It is McNemar's, of b and c examples that one of the two alone is right about: |b - c| is at
    most sqrt(b + c).
    """
    best = front.members[0]

    def is_tied(point: Point) -> bool:
        one, other = validation[int(best.id)], validation[int(point.id)]
        only_best, only_other = int((one & ~other).sum()), int((other & ~one).sum())
        return (only_best - only_other) ** 2 <= only_best + only_other

    tied = [point for point in front.members if is_tied(point)]
    return min(tied, key=lambda point: point.values["macs"])


def pair(validation: Bits, test: NDArray[np.float64], draw: np.random.Generator) -> dict[str, Any]:
    """Return whether two networks of a search are told apart, and whether the test data agree."""
    one, other = (int(place) for place in draw.choice(len(validation), 2, replace=False))
    found = of_examples(
        JudgedExamples(right=validation[one]), JudgedExamples(right=validation[other])
    )
    assert found is not None
    ahead, truly = found.only_first - found.only_second, test[one] - test[other]
    return {"apart": found.apart, "agreed": bool(ahead * truly > 0)}


def share(flags: list[bool]) -> dict[str, Any]:
    count = len(flags)
    found = sum(flags) / count if count else None
    return {"share": found, "of": count, "interval": wilson(found, count) if count else None}


def mean(values: list[float]) -> dict[str, float]:
    middle, _, half = mean_interval(values)
    return {"mean": middle, "low": middle - half, "high": middle + half}


def summary(size: int, searches: list[dict[str, Any]]) -> dict[str, Any]:
    rules = {}
    for rule in searches[0]["chosen"]:
        chosen = [each["chosen"][rule] for each in searches]
        highest = [each["chosen"]["highest"] for each in searches]
        both = list(zip(chosen, highest, strict=True))
        rules[rule] = {
            "right": share([each["behind"] <= RIGHT_WITHIN for each in chosen]),
            "points_behind_best": mean([100 * each["behind"] for each in chosen]),
            "points_given_up": mean([100 * (h["test"] - c["test"]) for c, h in both]),
            "not_worse_than_highest": share(
                [c["test"] >= h["test"] - RIGHT_WITHIN for c, h in both]
            ),
            "macs_of_highest": mean([c["macs"] / h["macs"] for c, h in both]),
            "points_above_test": mean([100 * each["above"] for each in chosen]),
            "interval_holds": share([each["held"] for each in chosen]),
        }
    pairs = [each["pair"] for each in searches]
    return {
        "validation_examples": size,
        "searches": len(searches),
        "rules": rules,
        "pairs_told_apart": share([each["apart"] for each in pairs]),
        "told_apart_and_agreed": share([each["agreed"] for each in pairs if each["apart"]]),
        "others_agreed": share([each["agreed"] for each in pairs if not each["apart"]]),
    }


def scene(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the searches of one pool, summed up for each number of validation examples."""
    pool = make_pool(options.widths, options.seeds, options.epochs, NOISES[name])
    sizes = []
    for size in SIZES:
        draw = np.random.default_rng(size)
        sizes.append(summary(size, [search(pool, size, draw) for _ in range(options.searches)]))
    tested = pool.right.mean(axis=(1, 2)).reshape(len(options.widths), -1)
    macs = pool.macs[:: options.seeds]
    return {
        "noise": name,
        "pool": [
            {"width": width, "macs": int(cost), "accuracy": accuracies.tolist()}
            for width, cost, accuracies in zip(options.widths, macs, tested, strict=True)
        ],
        "sizes": sizes,
    }


def show(found: dict[str, Any]) -> None:
    table = Table(title=f"{found['searches']} searches of {found['networks_a_search']} networks")
    columns = ("noise", "examples", "rule", "right", "behind", "given up", "MACs", "above", "held")
    for column in columns:
        table.add_column(column, justify="left" if column in ("noise", "rule") else "right")
    for each in found["scenes"]:
        for size in each["sizes"]:
            for rule, told in size["rules"].items():
                table.add_row(
                    each["noise"],
                    f"{size['validation_examples']}",
                    rule,
                    f"{100 * told['right']['share']:.0f} %",
                    f"{told['points_behind_best']['mean']:.2f}",
                    f"{told['points_given_up']['mean']:.2f}",
                    f"{100 * told['macs_of_highest']['mean']:.0f} %",
                    f"{told['points_above_test']['mean']:.2f}",
                    f"{100 * told['interval_holds']['share']:.0f} %",
                )
    Console().print(table)
    for each in found["scenes"]:
        for size in each["sizes"]:
            apart = size["told_apart_and_agreed"]
            told = "none" if apart["share"] is None else f"{100 * apart['share']:.0f} %"
            Console().print(
                f"{each['noise']} noise, {size['validation_examples']} examples: of {apart['of']} "
                f"pairs told apart {told} keep their order on the test data"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--widths", type=int, nargs="+", default=[2, 3, 4, 6, 8, 12, 16, 24])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    scenes = [scene(name, options) for name in NOISES]
    found = {
        "searches": options.searches,
        "networks_a_search": min(OF_A_SEARCH, len(options.widths) * options.seeds),
        "right_within": RIGHT_WITHIN,
        "seconds": round(time.monotonic() - started, 1),
        "scenes": scenes,
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
