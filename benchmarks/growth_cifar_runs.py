"""How is one run of the benchmark on CIFAR-10 done? Methods of growth_cifar.py, one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from growth_setup import (
    CpuClock,
    at_peak,
    full_macs,
    images,
    late,
    shuffled,
    space_for,
    structure_of,
)
from resumable import Record

from growsearch import Study
from growsearch.datasets import Dataset
from growsearch.growth import (
    Budget,
    FixedResult,
    GrowthConfig,
    GrowthOptions,
    GrowthResult,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.metrics import accuracy, predict
from growsearch.pruning import Distillation, PruneConfig, prune
from growsearch.training import InitialWeights, Recipe, TrainingOptions
from search_spaces import SearchSpace

UNIFORM, DENSE, DEFAULT, OFF = "uniform", "dense", "default", "switched off"
DIRECT, PRUNED, STUDY = "direct design", "prune down", "study"

Configure = Callable[[Recipe], GrowthConfig]
GROWN: Mapping[str, Configure] = {
    DEFAULT: lambda recipe: GrowthConfig(recipe=recipe),
    "fisher": lambda recipe: GrowthConfig(recipe=recipe, allocation="fisher"),
    OFF: lambda recipe: GrowthConfig(recipe=recipe, policy="uniform"),
    "norms kept": lambda recipe: GrowthConfig(recipe=recipe, norms="kept"),
    "norms transferred": lambda recipe: GrowthConfig(recipe=recipe, norms="transfer"),
    "random order": lambda recipe: GrowthConfig(recipe=recipe, policy="random-order"),
    "paper": lambda recipe: GrowthConfig.paper(recipe=recipe),
    "paper, equal MACs": lambda recipe: dataclasses.replace(
        GrowthConfig.paper(recipe=recipe), until="match"
    ),
}
# Uniform width for as many epochs as another method paid for.
AT_MACS = {f"uniform, MACs of {name}": name for name in (DEFAULT, "paper")}
AT_TIME = {f"uniform, time of {name}": name for name in (DEFAULT,)}
SHUFFLED = {f"{name}, shuffled": name for name in (DEFAULT, "fisher")}
# Those that need other runs of their seed come last.
ALONE = (DENSE, *list(GROWN)[1:], PRUNED, *SHUFFLED)
AFTER = (DIRECT, *AT_MACS, *AT_TIME)
METHODS = (UNIFORM, DEFAULT, *ALONE, *AFTER, STUDY)
_PART_BEFORE = 1 / 3


@dataclass(frozen=True)
class Settings:
    network: str
    width: float
    pixels: int
    macs: float
    epochs: int
    batch_size: int
    learning_rate: float
    train_images: int
    test_images: int
    channels_last: bool

    @property
    def importance_batches(self) -> int:
        """What pruning looks at before a step: as usual, but in a trial run less than an epoch."""
        steps = self.train_images // self.batch_size
        return max(1, min(PruneConfig().importance_batches, steps // 32))

    def recipe(self, epochs: int | None = None) -> Recipe:
        whole = late(self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate)
        return whole if epochs is None else whole.scaled(epochs)


@dataclass(frozen=True)
class Job:
    settings: Settings
    data_dir: str
    method: str
    seed: int
    # Where a run that is stopped keeps what it has.
    work: str
    epochs: int
    # The widths that the default has grown at this seed, for those that train them afresh.
    grown: Mapping[str, int] | None = None

    @property
    def budget(self) -> Budget:
        return Budget(macs=self.settings.macs)

    def file(self, name: str) -> Path:
        # A checkpoint of other settings is refused, and would be in the way.
        own = (self.settings, self.method, self.seed, self.epochs, self.grown)
        run = hashlib.sha256(repr(own).encode())
        return Path(self.work) / f"{self.settings.network}-{run.hexdigest()[:12]}-{name}"


@dataclass(frozen=True)
class Scene:
    """A job with its images, its networks and the clock of its run."""

    job: Job
    data: Dataset
    space: SearchSpace
    clock: CpuClock

    def options(self, name: str = "run") -> GrowthOptions:
        return GrowthOptions(
            channels_last=self.job.settings.channels_last,
            checkpoint=self.job.file(f"{name}.safetensors"),
            on_epoch=self.clock.note,
        )

    def fixed(self, choices: Mapping[str, int] | None, recipe: Recipe, name: str) -> FixedResult:
        """Train the full network, or one of these widths."""
        architecture = self.space.largest()
        if choices is not None:
            architecture = architecture.replace(dict(choices))
        seed, options = self.job.seed, self.options(name)
        return train_fixed(
            self.space, self.data, architecture, recipe=recipe, seed=seed, options=options
        )

    def uniform(self) -> dict[str, int]:
        return dict(uniform_architecture(self.space, self.job.budget).choices)

    def grown(self, configure: Configure, options: TrainingOptions, data: Dataset) -> GrowthResult:
        config = configure(self.job.settings.recipe())
        job = self.job
        return grow(
            self.space, data, budget=job.budget, config=config, seed=job.seed, options=options
        )


def run(job: Job) -> Record:
    torch.set_num_threads(1)
    settings, started = job.settings, time.perf_counter()
    data = images(
        Path(job.data_dir),
        train=settings.train_images,
        pixels=settings.pixels,
        test=settings.test_images,
    )
    space = space_for(settings.network, settings.width, data)
    Path(job.work).mkdir(parents=True, exist_ok=True)
    scene = Scene(job, data, space, CpuClock(job.file("clock.json")))
    found = measured(scene)
    for file in Path(job.work).glob(job.file("*").name):
        file.unlink()
    wall_s = time.perf_counter() - started
    return {"method": job.method, "seed": job.seed, **found, "wall_s": wall_s}


def measured(scene: Scene) -> Record:
    method = scene.job.method
    if method in SHUFFLED:
        return unlearned(scene)
    if method == STUDY:
        return studied(scene)
    if method == PRUNED:
        return pruned(scene)
    return judged(scene, trained(scene))


def trained(scene: Scene) -> GrowthResult | FixedResult:
    job = scene.job
    if job.method in GROWN:
        return scene.grown(GROWN[job.method], scene.options(), scene.data)
    widths: Mapping[str, int] | None = job.grown
    if job.method == DENSE:
        widths = None
    elif job.method != DIRECT:
        widths = scene.uniform()
    return scene.fixed(widths, job.settings.recipe(job.epochs), "run")


def judged(scene: Scene, result: GrowthResult | FixedResult, before: int = 0) -> Record:
    """Return what a trained network is worth; ``before`` are training MACs of an earlier part."""
    cpu_s, test = scene.clock.seconds, scene.data.test
    return {
        "test_accuracy": accuracy(predict(result.model, test.inputs), test.labels),
        "parameters": result.parameters,
        "macs": result.macs,
        "full_macs": full_macs(scene.space),
        "training_macs": before + result.training_macs,
        "epochs": len(result.history),
        "cpu_s": cpu_s,
        "choices": dict(result.architecture.choices),
    }


def pruned(scene: Scene) -> Record:
    """Train the full network for a part of uniform's training MACs, and prune it with the rest."""
    job, settings = scene.job, scene.job.settings
    before, after, over = prune_plan(settings)
    start = scene.fixed(None, at_peak(settings.recipe(), before), "dense")
    config = PruneConfig(
        recipe=settings.recipe(after),
        over=over,
        importance_batches=settings.importance_batches,
        distillation=Distillation(weight=0.0),
        init=InitialWeights.of(start.model),
    )
    result = prune(
        scene.space,
        scene.data,
        budget=job.budget,
        config=config,
        seed=job.seed,
        options=scene.options("pruning"),
    )
    found = judged(scene, result, start.training_macs)
    return {**found, "epochs": before + after, "dense_epochs": before, "over": over}


def prune_plan(settings: Settings) -> tuple[int, int, float]:
    """Return the epochs of the full network, those of pruning, and their part in which it shrinks.

    In sum they take the training MACs of uniform width. What the network takes while it shrinks is
    the mean of `PruneConfig.limits`; importances look at some batches before every step.
    """
    epochs, share, usual = settings.epochs, settings.macs, PruneConfig()
    while_shrinking = statistics.mean(usual.limits(1.0, share))
    asked = usual.steps * settings.importance_batches * while_shrinking
    target = share * epochs - asked * settings.batch_size / settings.train_images
    before = max(1, round(_PART_BEFORE * target))
    found = []
    for after in range(1, epochs):
        over = ((target - before) / after - share) / (while_shrinking - share)
        if 0 < over <= 1:
            found.append((abs(over - usual.over), after, over))
    if not found:
        raise SystemExit(f"{PRUNED}: {epochs} epochs are too few to train, prune and train on")
    _, after, over = min(found)
    return before, after, over


def unlearned(scene: Scene) -> Record:
    """Return the structure that labels without meaning lead to."""
    job = scene.job
    data, configure = shuffled(scene.data, job.seed), GROWN[SHUFFLED[job.method]]
    widths = structure_of(lambda options: scene.grown(configure, options, data))
    names = ("test_accuracy", "macs", "training_macs")
    full = {**dict.fromkeys(names), "full_macs": full_macs(scene.space)}
    return {**full, "cpu_s": scene.clock.seconds, "choices": widths}


def studied(scene: Scene) -> Record:
    """Run the default as a trial of a study, then `grow` at that trial's seed."""
    job, settings = scene.job, scene.job.settings
    growth = {
        "space": settings.network,
        "budget": {"macs": settings.macs},
        "recipe": "growth-cifar",
        "schedule": "late-steps",
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
    }
    config = {
        "name": "growth-cifar",
        "dataset": scene.data,
        "trials": {"growth": growth},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "training": {"channels_last": settings.channels_last, "threads": 1},
        "search": {"trials": 1, "seed": job.seed, "backend": "serial", "sampler": "random"},
    }
    with tempfile.TemporaryDirectory(prefix="growth-cifar-") as folder:
        study = Study(config, Path(folder) / "run")
        study.run()
        (trial,) = study.trials
        if trial.failed:
            raise RuntimeError(f"{STUDY}: {trial.error}")
        model, cpu_s = study.load(trial.id), scene.clock.seconds
    alone = dataclasses.replace(scene, job=dataclasses.replace(job, seed=trial.seed))
    options = GrowthOptions(channels_last=settings.channels_last)
    result = alone.grown(GROWN[DEFAULT], options, scene.data)
    last, test = result.history[-1], scene.data.test
    found = judged(alone, result)
    both = ((last.accuracy, "accuracy"), (result.macs, "macs"))
    equal = all(value == trial.metrics[name] for value, name in both)
    own = accuracy(predict(model, test.inputs), test.labels)
    return {
        **found,
        "test_accuracy": own,
        "cpu_s": cpu_s,
        "as_grow": equal and own == found["test_accuracy"],
    }
