"""How good is a randomly pruned network, small or wide? ResNet-20 on Fashion-MNIST.

A small replica of arXiv 2202.02643: six layer-wise ratios (those of SNIP and GraSP with positions
redrawn) at .5 to .95, a narrow and a wider ResNet-20, dense ones beside them, on a fixed subset of
images averaged down to 14 x 14. All runs of a seed see the same batches. After training: accuracy,
calibration (ECE), likelihood (NLL), telling images under Gaussian noise apart (ROC-AUC of the
softmax), accuracy under FGSM (8/255), and effective gradient flow after the first tenth of the
steps. MACs are those of one example, zeros skipped. The table is followed by the paper's findings
1, 2 and 4, each said to hold or not by these figures alone. Every finished run is written down; run
it again to go on.

    python benchmarks/random_pruning.py --data-dir DATA
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from resumable import Record, RunTable
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from growsearch.datasets import Dataset, Split, load_dataset, subset
from growsearch.growth import build_full
from growsearch.metrics import (
    MetricSettings,
    effective_gradient_flow,
    evaluate,
    undisturbed,
)
from growsearch.sparsity import (
    Batch,
    Masks,
    macs_per_weight,
    make_updater,
    prune_by_saliency,
    sparsify,
)
from growsearch.sparsity.hook import SparseTraining
from growsearch.training import TrainingOptions, published_recipe, train
from growsearch.training.state import Hook, TrainingState
from search_spaces import SearchSpace, search_space

RESULTS = Path(__file__).parent / "results" / "random_pruning.json"
DENSE = "dense"
RATIOS = ("uniform", "uniform+", "erk", "erk+", "snip", "grasp")
# Finding 3 compares random masks with the positions that the method itself chooses.
CHOSEN = ("snip-mask", "grasp-mask")
SPARSITIES = (0.5, 0.8, 0.9, 0.95)
WIDTHS = (4, 12)
METRICS = ("accuracy", "ece", "nll", "ood_auroc", "fgsm_accuracy")
# Half a point of accuracy or calibration error: less is no difference here.
EQUAL = 0.005


@dataclass(frozen=True)
class Settings:
    epochs: int
    train_images: int
    test_images: int
    batch_size: int


@dataclass(frozen=True)
class Job:
    width: int
    ratio: str
    sparsity: float
    seed: int


def jobs(seeds: int) -> list[Job]:
    """Seeds outermost: a run that is cut short has whole comparisons."""
    rows = [
        Job(width, ratio, sparsity, 0)
        for width in WIDTHS
        for ratio, sparsity in [(DENSE, 0.0)]
        + [(ratio, sparsity) for sparsity in SPARSITIES for ratio in RATIOS]
        + [(ratio, sparsity) for sparsity in SPARSITIES[1:3] for ratio in CHOSEN]
    ]
    return [dataclasses.replace(row, seed=seed) for seed in range(seeds) for row in rows]


class GradientFlow(Hook):
    """Takes effective gradient flow on one fixed batch at the start and after ``step`` steps."""

    def __init__(self, batch: Batch, step: int) -> None:
        self.batch, self.step = batch, step
        self.found: dict[int, float] = {}

    def on_start(self, state: TrainingState) -> None:
        self._take(state)

    def after_update(self, state: TrainingState) -> None:
        if state.step == self.step:
            self._take(state)

    def _take(self, state: TrainingState) -> None:
        with undisturbed(state.model):
            self.found[state.step] = effective_gradient_flow(
                state.model, self.batch.inputs, self.batch.labels, active(state.model)
            )


def active(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the masks of all weights; a dense network's are all True."""
    masks = Masks.of(model)
    if len(masks):
        return {name: masks[name] for name in masks}
    return {
        n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters() if p.ndim > 1
    }


def images(settings: Settings, data_dir: Path) -> Dataset:
    whole = load_dataset("fashion-mnist", data_dir)
    some = subset(whole, train=settings.train_images, validation=100, test=settings.test_images)
    return dataclasses.replace(
        some, train=halved(some.train), validation=halved(some.validation), test=halved(some.test)
    )


def halved(split: Split) -> Split:
    """Average squares of four pixels; the mean stays, and so do black and white."""
    return Split(inputs=F.avg_pool2d(split.inputs, 2), labels=split.labels)


def run(settings: Settings, job: Job, data: Dataset) -> Record:
    torch.set_num_threads(1)
    cpu_start = time.process_time()
    space = dataclasses.replace(
        search_space("resnet20"), base_width=job.width, input_shape=data.input_shape
    )  # type: ignore[type-var]
    model = build_full(space, job.seed)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(job.seed))
    batch = Batch(inputs=data.train.inputs[order[:256]], labels=data.train.labels[order[:256]])
    prune(model, job, batch)
    recipe = published_recipe("random-pruning-cifar", epochs=settings.epochs)
    recipe = dataclasses.replace(recipe, batch_size=settings.batch_size)
    steps = settings.epochs * (len(data.train) // settings.batch_size)
    flow = GradientFlow(batch, max(1, steps // 10))
    macs, parameters = counts(model, space)
    history, _ = train(
        model,
        data,
        recipe,
        seed=job.seed,
        forward_macs=macs,
        options=TrainingOptions(hooks=(*masking(model, space), flow)),
    )
    found = evaluate(METRICS, model, data.test, MetricSettings(normalisation=data.normalisation))
    start, early = flow.found.values()
    return {
        **asdict(job),
        **found,
        "gradient_flow_start": start,
        "gradient_flow_early": early,
        "macs": macs,
        "parameters": parameters,
        "loss": history[-1].loss,
        "cpu_s": time.process_time() - cpu_start,
    }


def prune(model: nn.Module, job: Job, batch: Batch) -> None:
    if job.ratio == DENSE:
        return
    if job.ratio in CHOSEN:
        method = job.ratio.removesuffix("-mask")
        prune_by_saliency(model, sparsity=job.sparsity, method=method, batch=batch)
        return
    sparsify(
        model,
        sparsity=job.sparsity,
        distribution=job.ratio,
        generator=torch.Generator().manual_seed(job.seed),
        batch=batch,
    )


def masking(model: nn.Module, space: SearchSpace) -> tuple[Hook, ...]:
    masks = Masks.of(model)
    if not len(masks):
        return ()
    factors = macs_per_weight(model, space.example_inputs())
    return (SparseTraining(masks, make_updater("static"), macs_per_weight=factors),)


def counts(model: nn.Module, space: SearchSpace) -> tuple[int, int]:
    """Return MACs of one example and weights, zeros skipped."""
    factors = macs_per_weight(model, space.example_inputs())
    kept = {name: int(mask.sum()) for name, mask in active(model).items()}
    return sum(kept[name] * factor for name, factor in factors.items()), sum(kept.values())


def summarise(runs: list[Record]) -> list[Record]:
    """Return the mean and deviation over seeds of every network."""
    keys = sorted({(r["width"], r["sparsity"], r["ratio"]) for r in runs})
    rows = []
    for width, sparsity, ratio in keys:
        group = [
            r for r in runs if (r["width"], r["sparsity"], r["ratio"]) == (width, sparsity, ratio)
        ]
        row: Record = {"width": width, "sparsity": sparsity, "ratio": ratio, "seeds": len(group)}
        for name in (*METRICS, "gradient_flow_early", "gradient_flow_start"):
            values = [r[name] for r in group]
            row[name] = statistics.mean(values)
            row[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
        row |= {
            name: round(statistics.mean(r[name] for r in group)) for name in ("macs", "parameters")
        }
        rows.append(row)
    return rows


def of(rows: list[Record], width: int, sparsity: float, name: str) -> dict[str, float]:
    """Return one figure by ratio."""
    return {r["ratio"]: r[name] for r in rows if r["width"] == width and r["sparsity"] == sparsity}


def findings(rows: list[Record]) -> list[str]:
    """Say of the paper's findings 1 to 4 what these rows show; nothing where a row is missing."""
    lines = [matching_dense(rows), spread(rows), chosen_positions(rows), calibration(rows)]
    return [line for line in lines if line]


def matching_dense(rows: list[Record]) -> str:
    """1: small networks do not match dense, wide ones do up to a sparsity."""
    parts, most = [], {}
    for width in WIDTHS:
        dense = of(rows, width, 0.0, "accuracy").get(DENSE)
        erk = {s: of(rows, width, s, "accuracy").get("erk") for s in SPARSITIES}
        if dense is None or None in erk.values():
            return ""
        most[width] = max(
            (s for s, a in erk.items() if a is not None and a >= dense - EQUAL), default=0.0
        )
        gaps = ", ".join(f"{100 * ((erk[s] or 0) - dense):+.1f} at {s:g}" for s in SPARSITIES)
        parts.append(f"width {width}: {gaps}")
    small, wide = WIDTHS
    verdict = "holds" if most[small] < SPARSITIES[0] <= most[wide] else "does not hold"
    if most[wide] > most[small] and verdict != "holds":
        verdict = "holds in its direction"
    return f"1. ERK against dense, points of accuracy ({'; '.join(parts)}): {verdict}"


def spread(rows: list[Record]) -> str:
    """2: differences between ratios vanish with width; ERK and SNIP beat uniform when small."""
    spreads, gains = {}, []
    for width in WIDTHS:
        found = [of(rows, width, s, "accuracy") for s in SPARSITIES]
        if any(ratio not in table for table in found for ratio in RATIOS):
            return ""
        spreads[width] = statistics.mean(
            max(t[r] for r in RATIOS) - min(t[r] for r in RATIOS) for t in found
        )
        if width == WIDTHS[0]:
            gains = [
                statistics.mean(t[ratio] - t["uniform"] for t in found) for ratio in ("erk", "snip")
            ]
    small, wide = WIDTHS
    vanish = "holds" if spreads[wide] < spreads[small] else "does not hold"
    beat = "holds" if min(gains) > 0 else "does not hold"
    return (
        f"2. Spread between ratios {100 * spreads[small]:.1f} points at width {small}, "
        f"{100 * spreads[wide]:.1f} at {wide}: {vanish}; at width {small} ERK "
        f"{100 * gains[0]:+.1f} and SNIP {100 * gains[1]:+.1f} against uniform: {beat}"
    )


def chosen_positions(rows: list[Record]) -> str:
    """3: random masks at ERK beat the masks of SNIP and GraSP themselves."""
    gains = {}
    for chosen in CHOSEN:
        pairs = [
            (t.get("erk"), t.get(chosen))
            for width in WIDTHS
            for t in [of(rows, width, s, "accuracy") for s in SPARSITIES[1:3]]
        ]
        if any(None in pair for pair in pairs):
            return ""
        gains[chosen] = statistics.mean((a or 0) - (b or 0) for a, b in pairs)
    verdict = "holds" if min(gains.values()) > 0 else "does not hold"
    text = ", ".join(f"{100 * gain:+.1f} points on {name}" for name, gain in gains.items())
    return f"3. Random ERK against chosen positions at .8 and .9: {text}: {verdict}"


def calibration(rows: list[Record]) -> str:
    """4: random masks match or improve dense ECE; larger networks have a larger one."""
    parts, holds, dense_ece = [], True, []
    for width in WIDTHS:
        dense = of(rows, width, 0.0, "ece").get(DENSE)
        found = [of(rows, width, s, "ece").get("erk") for s in SPARSITIES]
        if dense is None or None in found:
            return ""
        worst = max(value or 0.0 for value in found)
        holds &= width != WIDTHS[0] or worst <= dense + EQUAL
        dense_ece.append(dense)
        parts.append(f"width {width}: dense {dense:.3f}, worst ERK {worst:.3f}")
    larger = "holds" if dense_ece[1] > dense_ece[0] else "does not hold"
    return (
        f"4. ECE ({'; '.join(parts)}): small masks match dense "
        f"{'holds' if holds else 'does not hold'}, larger networks have more {larger}"
    )


def show(rows: list[Record], settings: Settings, console: Console) -> None:
    table = Table(
        title=f"Random pruning, ResNet-20, {settings.train_images:,} images of Fashion-MNIST at "
        f"14 x 14, {settings.epochs} epochs"
    )
    for column in (
        "width", "sparsity", "ratio", "seeds", "accuracy", "ECE", "NLL", "OOD AUC", "FGSM",
        "gradient flow", "MACs", "weights",
    ):  # fmt: skip
        table.add_column(column)
    for row in rows:
        deviation = row["accuracy_deviation"]
        table.add_row(
            str(row["width"]),
            f"{row['sparsity']:g}",
            row["ratio"],
            str(row["seeds"]),
            f"{100 * row['accuracy']:.1f}" + (f" ± {100 * deviation:.1f}" if deviation else ""),
            f"{row['ece']:.3f}",
            f"{row['nll']:.3f}",
            f"{row['ood_auroc']:.3f}",
            f"{100 * row['fgsm_accuracy']:.1f}",
            f"{row['gradient_flow_early']:.2f}",
            f"{row['macs']:,}",
            f"{row['parameters']:,}",
        )
    console.print(table)
    for line in findings(rows):
        console.print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds Fashion-MNIST")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train-images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-table", action="store_true", help="train nothing more")
    arguments = parser.parse_args()
    settings = Settings(
        epochs=arguments.epochs,
        train_images=arguments.train_images,
        test_images=arguments.test_images,
        batch_size=arguments.batch_size,
    )
    described = asdict(settings) | {"network": "resnet20", "recipe": "random-pruning-cifar"}
    table, console = RunTable(RESULTS, described, summarise), Console(width=130)
    if not arguments.only_table:
        data = images(settings, arguments.data_dir)
        todo = [job for job in jobs(arguments.seeds) if not table.has(**asdict(job))]
        console.print(f"{len(table.runs)} runs are finished, {len(todo)} to do.")
        for job in todo:
            result = run(settings, job, data)
            table.add(result)
            console.print(
                f"{len(table.runs)}: width {job.width} {job.ratio} {job.sparsity:g} seed "
                f"{job.seed}: {result['accuracy']:.2%}, {result['cpu_s']:.0f} s CPU"
            )
    show(table.rows(), settings, console)


if __name__ == "__main__":
    main()
