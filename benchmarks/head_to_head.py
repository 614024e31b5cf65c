"""Which pruner leaves the best network at a budget? Ours, Torch-Pruning and ModelOpt FastNAS.

One trained network a seed (ResNet-20 of width 16, MobileNetV2 of width .5) is pruned by each method
to 50 % of the MACs and to 60 % of the measured CPU latency, and all train on for the same number of
steps from the same weights, with the same recipe, data and batches. Ours prunes within these steps;
peers before them. CIFAR-10 comes from --data-dir or GROWSEARCH_CIFAR10 (official files), in a
subset whose images are averaged to 16 x 16, so that one core is done in about an hour a network;
the JSON says so. Every finished run is written down; run it again to go on.

Peers run in an environment of their own, with torch, torch-pruning 1.6.1, nvidia-modelopt
0.47.0, torchprofile 0.0.4, requests and huggingface_hub, and exchange files with this script
(head_to_head_peers.py); without
--peers-python they are left out. FastNAS bounds MACs from above only: the table has the MACs used.

    python benchmarks/head_to_head.py --data-dir DATA --peers-python PEERS/bin/python
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from resumable import Record, RunTable, with_deviation
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from cost_models import measure_interleaved, trace
from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.datasets.dataset import Split
from growsearch.growth import Budget, GrowthOptions, build_full
from growsearch.metrics import accuracy, predict
from growsearch.pruning import ALLOCATIONS, GATED, IMPORTANCES, Distillation, PruneConfig, prune
from growsearch.training import InitialWeights, Recipe, TrainingOptions, task_of, train
from search_spaces import SearchSpace, channel_groups, search_space
from search_spaces.families.mobilenet_v2 import CIFAR_STRIDES, MobileNetV2Space

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "head_to_head.json"
MACS, LATENCY = "macs", "latency[cpu]"
BUDGETS = {MACS: 0.5, LATENCY: 0.6}
PEERS = ("torch-pruning taylor", "torch-pruning l2", "modelopt fastnas")
TAUGHT = "taylor, knapsack, taught"
# A search that finds nothing within a tight bound goes on for hours.
_PATIENCE_S = 1200
KEYS = ("network", "seed", "budget", "method")


class HalfMobileNetV2(MobileNetV2Space):
    """MobileNetV2 of width .5."""

    def full_widths(self) -> dict[str, int]:
        whole = MobileNetV2Space.full_widths(self).items()
        return {name: max(1, width // 2) for name, width in whole}


def networks() -> dict[str, SearchSpace]:
    return {
        "resnet20": search_space("resnet20"),
        "mobilenetv2-0.5": HalfMobileNetV2(
            name="mobilenetv2",
            description="MobileNetV2 of width .5",
            strides=CIFAR_STRIDES,
            input_shape=(3, 32, 32),
        ),
    }


@dataclass(frozen=True)
class Settings:
    train_images: int = 8000
    test_images: int = 4000
    pixels: int = 16
    dense_epochs: int = 24
    epochs: int = 3
    batch_size: int = 64
    # Images at once where a latency is taken.
    device_batch: int = 64
    steps: int = 3
    over: float = 0.2
    seeds: int = 2
    importances: tuple[str, ...] = tuple(IMPORTANCES)
    networks: tuple[str, ...] = ("resnet20", "mobilenetv2-0.5")
    threads: int = 1


QUICK = Settings(
    train_images=256,
    test_images=100,
    dense_epochs=1,
    epochs=1,
    seeds=1,
    importances=("taylor",),
    networks=("resnet20",),
)


def images(settings: Settings, data_dir: Path) -> Dataset:
    """Return the subset, its images averaged to fewer pixels."""
    whole = load_dataset("cifar10", data_dir)
    part = subset(whole, train=settings.train_images, validation=500, test=settings.test_images)

    def smaller(split: Split) -> Split:
        inputs = F.adaptive_avg_pool2d(split.inputs, settings.pixels)
        return Split(inputs=inputs, labels=split.labels)

    found = {name: smaller(part.split(name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(part, **found)


@dataclass(frozen=True)
class Scene:
    """A trained network, its space and data, and where its files lie."""

    settings: Settings
    name: str
    seed: int
    space: SearchSpace
    data: Dataset
    dense: nn.Module
    folder: Path

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=self.settings.epochs, batch_size=self.settings.batch_size, learning_rate=0.02
        )


def trained(settings: Settings, name: str, seed: int, data: Dataset, folder: Path) -> Scene:
    """Train the dense network, or take what an earlier call has left."""
    space = networks()[name].for_data(data.input_shape, data.num_classes)
    file = folder / f"dense-{name}-{seed}.pth"
    dense = build_full(space, seed)
    if file.exists():
        dense.load_state_dict(torch.load(file, weights_only=True))
    else:
        recipe = Recipe(epochs=settings.dense_epochs, batch_size=settings.batch_size)
        train(dense, task_of(data), recipe, seed=seed, forward_macs=1)
        torch.save(dense.state_dict(), file)
    return Scene(settings, name, seed, space, data, dense.eval(), folder)


def methods(settings: Settings, peers: bool) -> Iterator[str]:
    for importance in settings.importances:
        yield from (f"{importance}, {allocation}" for allocation in ALLOCATIONS)
    yield TAUGHT
    if peers:
        yield from PEERS


def pruned(scene: Scene, budget: str, method: str) -> nn.Module:
    """Prune and train on by one of our methods."""
    importance, allocation, *taught = method.split(", ")
    settings, share = scene.settings, BUDGETS[budget]
    steps = max(2, settings.steps) if importance in GATED else settings.steps
    config = PruneConfig(
        recipe=scene.recipe,
        importance=importance,
        allocation=allocation,
        steps=steps,
        over=settings.over,
        distillation=Distillation(weight=0.5 if taught else 0.0),
        init=InitialWeights.of(scene.dense),
    )
    bound = Budget(macs=share)
    if budget == LATENCY:
        bound = Budget(latency=share, device="cpu", batch_size=settings.device_batch)
    options = GrowthOptions(latency_file=scene.folder / f"latency-{scene.name}.json")
    result = prune(
        scene.space, scene.data, budget=bound, config=config, seed=scene.seed, options=options
    )
    return result.model


def peer_pruned(scene: Scene, budget: str, method: str, python: str) -> nn.Module:
    """Have a peer prune in its own environment, and train on what it leaves."""
    request, answer = scene.folder / "request.pt", scene.folder / "answer.pt"
    some = scene.data.train.at(torch.arange(min(512, len(scene.data.train))))
    torch.save(
        {
            "state": scene.dense.state_dict(),
            "images": some.inputs,
            "labels": some.labels,
            "validation_images": scene.data.validation.inputs,
            "validation_labels": scene.data.validation.labels,
        },
        request,
    )
    told = {
        "network": scene.name,
        "widths": {g.name: g.size for g in channel_groups(scene.dense)},
        "input_shape": list(scene.data.input_shape),
        "classes": scene.data.num_classes,
        "method": method,
        "budget": budget,
        "share": BUDGETS[budget],
        "batch": scene.settings.device_batch,
        "seed": scene.seed,
    }
    _ask(python, told, request, answer)
    found = torch.load(answer, weights_only=True)
    architecture = scene.space.with_widths(scene.space.largest(), found["widths"])
    module = scene.space.build(architecture)
    module.load_state_dict(found["state"])
    macs = trace(module, scene.space.example_inputs()).dense_macs
    train(
        module,
        task_of(scene.data),
        scene.recipe,
        seed=scene.seed,
        forward_macs=macs,
        options=TrainingOptions(),
    )
    return module


def _ask(python: str, told: dict[str, object], request: Path, answer: Path) -> None:
    """Have a peer, in its own environment, write its pruned network to ``answer``."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    arguments = [str(HERE / "head_to_head_peers.py"), json.dumps(told), str(request), str(answer)]
    done = subprocess.run(
        [python, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    if done.returncode:
        raise RuntimeError(f"{told['method']}: {done.stderr.strip().splitlines()[-1][:300]}")


def run(scene: Scene, budget: str, method: str, python: str | None) -> Record:
    started = time.process_time()
    try:
        if method in PEERS:
            assert python is not None
            module = peer_pruned(scene, budget, method, python)
        else:
            module = pruned(scene, budget, method)
    except Exception as error:
        # A peer, or a method, that cannot: the row says why.
        reason = f"{type(error).__name__}: {error}"[:300]
        return {**key_of(scene, budget, method), "error": reason}
    return {
        **key_of(scene, budget, method),
        "error": None,
        **costs(scene, module),
        "accuracy": test_accuracy(module, scene.data.test),
        "dense_accuracy": test_accuracy(scene.dense, scene.data.test),
        "seconds": round(time.process_time() - started, 1),
    }


def key_of(scene: Scene, budget: str, method: str) -> Record:
    return {"network": scene.name, "seed": scene.seed, "budget": budget, "method": method}


def costs(scene: Scene, module: nn.Module) -> Record:
    """Return the shares of the dense network's MACs, parameters and latency."""
    example = scene.space.example_inputs()
    ours, full = (trace(m.eval(), example) for m in (module, scene.dense))
    batch = scene.space.example_inputs(scene.settings.device_batch)
    timed = measure_interleaved(
        {"pruned": (module, batch), "dense": (scene.dense, batch)},
        device="cpu",
        threads=1,
        budget_s=1.5,
        max_noise=None,
    )
    return {
        "macs_share": ours.dense_macs / full.dense_macs,
        "parameters_share": ours.parameters / full.parameters,
        "latency_share": timed["pruned"].cpu_time_s / timed["dense"].cpu_time_s,
    }


def test_accuracy(module: nn.Module, split: Split) -> float:
    outputs: Tensor = predict(module, split.inputs)
    return accuracy(outputs, split.labels)


def summary(runs: list[Record]) -> list[Record]:
    """Return a row a network, budget and method: means over seeds, the best first."""
    rows = []
    for network, budget, method in dict.fromkeys(
        (r["network"], r["budget"], r["method"]) for r in runs
    ):
        own = (network, budget, method)
        cells = [r for r in runs if (r["network"], r["budget"], r["method"]) == own]
        done = [r for r in cells if r["error"] is None]
        row: Record = {"network": network, "budget": budget, "method": method, "runs": len(done)}
        if done:
            for key in ("accuracy", "macs_share", "latency_share", "parameters_share"):
                row[key] = statistics.mean(r[key] for r in done)
            row["accuracy, spread"] = with_deviation([r["accuracy"] for r in done])
            row["dense accuracy"] = statistics.mean(r["dense_accuracy"] for r in done)
        else:
            row["error"] = cells[0]["error"]
        rows.append(row)
    return sorted(rows, key=lambda r: (r["network"], r["budget"], -r.get("accuracy", -1.0)))


def table(rows: list[Record]) -> Table:
    shown = Table(title="The same trained network, the same number of steps after it")
    for column in ("network", "budget", "method", "accuracy", "MACs", "latency", "dense"):
        shown.add_column(column)
    for row in rows:
        if "error" in row:
            shown.add_row(row["network"], row["budget"], row["method"], row["error"][:60])
            continue
        shares = [f"{100 * row[key]:.1f} %" for key in ("macs_share", "latency_share")]
        dense = f"{100 * row['dense accuracy']:.2f} %"
        names = (row["network"], row["budget"], row["method"], row["accuracy, spread"])
        shown.add_row(*names, *shares, dense)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("GROWSEARCH_CIFAR10"))
    parser.add_argument("--peers-python", help="a Python that has the peers")
    parser.add_argument("--networks", nargs="+", choices=list(networks()))
    parser.add_argument("--quick", action="store_true", help="a trial in minutes")
    parser.add_argument("--work", type=Path, default=HERE / "work" / "head_to_head")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.data_dir is None:
        parser.error("give --data-dir, or GROWSEARCH_CIFAR10")
    torch.set_num_threads(1)
    settings = QUICK if given.quick else Settings()
    if given.networks:
        settings = dataclasses.replace(settings, networks=tuple(given.networks))
    folder = given.work / ("quick" if given.quick else "whole")
    folder.mkdir(parents=True, exist_ok=True)
    data = images(settings, Path(given.data_dir))
    # Networks may be added: each has rows of its own.
    kept = {k: v for k, v in asdict(settings).items() if k != "networks"}
    runs = RunTable(given.out, {**kept, "torch": torch.__version__}, summary)
    # Seeds outside: an earlier end leaves every network compared.
    for seed in range(settings.seeds):
        for name in settings.networks:
            scene = trained(settings, name, seed, data, folder)
            for budget in BUDGETS:
                for method in methods(settings, given.peers_python is not None):
                    key = {"network": name, "seed": seed, "budget": budget, "method": method}
                    if not runs.has(**key):
                        runs.add(run(scene, budget, method, given.peers_python))
                        Console().print(runs.runs[-1])
    Console().print(table(runs.rows()))


if __name__ == "__main__":
    main()
