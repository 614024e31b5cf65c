"""What do the benchmarks of growth share? Networks, images, the recipe, and how runs are compared.

All methods learn the same images with the same recipe, whose learning rate drops to a tenth after
70 and 90 % of the run.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from cost_models import trace
from growsearch.datasets import Dataset, load_dataset, subset
from growsearch.datasets.dataset import Split
from growsearch.files import write_json
from growsearch.growth import GrowthListener, GrowthOptions, GrowthRecord, build_full
from growsearch.training import Constant, Recipe, Steps, published_recipe
from search_spaces import SearchSpace
from search_spaces.families.mobilenet_v2 import CIFAR_STRIDES, MobileNetV2Space
from search_spaces.families.resnet_cifar import ResNetCifarSpace
from search_spaces.families.vgg import VGGSpace

_CIFAR = (3, 32, 32)
_OF_TEST = 10_000
_VALIDATION = 500
DROPS, FACTOR = (0.7, 0.9), 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowVGG(VGGSpace):
    """A VGG of which every layer has ``share`` of the usual channels."""

    share: float

    def full_widths(self) -> dict[str, int]:
        return _narrower(VGGSpace.full_widths(self), self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowMobileNetV2(MobileNetV2Space):
    """A MobileNetV2 of which every group has ``share`` of the usual channels."""

    share: float

    def full_widths(self) -> dict[str, int]:
        return _narrower(MobileNetV2Space.full_widths(self), self.share)


def _narrower(widths: Mapping[str, int], share: float) -> dict[str, int]:
    return {name: max(1, round(width * share)) for name, width in widths.items()}


def _resnet(depth: int) -> Callable[[float], SearchSpace]:
    def of_width(share: float) -> SearchSpace:
        return ResNetCifarSpace(
            name=f"resnet{depth}",
            description=f"ResNet-{depth} of {share:g} x the usual widths",
            blocks=((depth - 2) // 6,) * 3,
            base_width=round(16 * share),
            input_shape=_CIFAR,
        )

    return of_width


def _vgg16(share: float) -> SearchSpace:
    return NarrowVGG(
        name="vgg16",
        description=f"VGG-16 of {share:g} x the usual widths",
        depth=16,
        input_shape=_CIFAR,
        share=share,
    )


def _mobilenetv2(share: float) -> SearchSpace:
    return NarrowMobileNetV2(
        name="mobilenetv2",
        description=f"MobileNetV2 of {share:g} x the usual widths",
        strides=CIFAR_STRIDES,
        input_shape=_CIFAR,
        share=share,
    )


@dataclass(frozen=True)
class Network:
    """A network as it fits on one core: its share of the usual widths, its images and its rate.

    VGG-16 halves its images five times and needs all 32 pixels.
    """

    of_width: Callable[[float], SearchSpace]
    width: float = 1.0
    pixels: int = 16
    learning_rate: float = 0.1


NETWORKS = {
    "resnet8": Network(_resnet(8)),
    "resnet20": Network(_resnet(20)),
    "vgg16": Network(_vgg16, width=0.25, pixels=32, learning_rate=0.05),
    "mobilenetv2": Network(_mobilenetv2, width=0.5),
}


def space_for(network: str, width: float, dataset: Dataset) -> SearchSpace:
    """Return all widths of a network for these images."""
    space = NETWORKS[network].of_width(width)
    return space.for_data(dataset.input_shape, dataset.num_classes)


def images(
    data_dir: Path, *, train: int, pixels: int, test: int = _OF_TEST, validation: int = _VALIDATION
) -> Dataset:
    """Return a fixed subset of CIFAR-10, its images averaged to ``pixels``."""
    whole = load_dataset("cifar10", data_dir)
    part = subset(whole, train=train, validation=validation, test=test)
    if pixels == _CIFAR[1]:
        return part

    def smaller(split: Split) -> Split:
        return Split(inputs=F.adaptive_avg_pool2d(split.inputs, pixels), labels=split.labels)

    found = {name: smaller(part.split(name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(part, **found)


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """Return the data with training labels that say nothing of the images."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset.train), generator=generator)
    train = Split(inputs=dataset.train.inputs, labels=dataset.train.labels[order])
    return dataclasses.replace(dataset, train=train)


def late(epochs: int, *, batch_size: int, learning_rate: float) -> Recipe:
    """Return the recipe of growth on CIFAR with late drops."""
    milestones = tuple(share * epochs for share in DROPS)
    return dataclasses.replace(
        published_recipe("growth-cifar", epochs=epochs),
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=Steps(milestones=milestones, factor=FACTOR),
    )


def at_peak(recipe: Recipe, epochs: int) -> Recipe:
    """Return a recipe of ``epochs`` that never drops."""
    return dataclasses.replace(recipe, epochs=epochs, schedule=Constant())


def full_macs(space: SearchSpace) -> int:
    """Return the MACs of the full network on one example."""
    return trace(build_full(space, seed=0), space.example_inputs()).dense_macs


class Settled(Exception):  # noqa: N818
    """The structure is final, which is all that was asked."""

    def __init__(self, record: GrowthRecord) -> None:
        super().__init__("the structure is final")
        self.record = record


class UntilSettled:
    """Ends a run of growth at the epoch that freezes its structure."""

    def resumed(self, records: Sequence[GrowthRecord]) -> None:
        if records:
            self.epoch(records[-1])

    def epoch(self, record: GrowthRecord) -> None:
        if record.frozen:
            raise Settled(record)


def structure_of(growing: Callable[[GrowthOptions], object]) -> dict[str, int]:
    """Return the widths at which ``growing`` freezes; what comes after is not trained."""
    listener: GrowthListener = UntilSettled()
    try:
        growing(GrowthOptions(listener=listener))
    except Settled as found:
        return found.record.widths
    raise RuntimeError("the structure never became final")


def distance(ours: Mapping[str, int], theirs: Mapping[str, int], full: Mapping[str, int]) -> float:
    """Return by how much widths differ, as a share of all channels of the full network."""
    return sum(abs(ours[name] - theirs[name]) for name in full) / sum(full.values())


class CpuClock:
    """CPU seconds of a run, those before an interruption included.

    What is in ``file`` was spent earlier; `note` writes down what has been spent since.
    """

    def __init__(self, file: Path | None) -> None:
        self._file, self._start = file, time.process_time()
        known = file is not None and file.exists()
        self._before = float(json.loads(file.read_text())) if file and known else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.process_time() - self._start

    def note(self, *_: object) -> None:
        if self._file is not None:
            write_json(self._file, self.seconds)


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation over seeds, None of a single one."""
    return statistics.stdev(values) if len(values) > 1 else None


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, float | int | None]:
    """Return the mean difference at the same seeds, and its standard error."""
    seeds = sorted(ours.keys() & theirs.keys())
    gaps = [ours[seed] - theirs[seed] for seed in seeds]
    spread = deviation(gaps)
    return {
        "difference": statistics.mean(gaps) if gaps else None,
        "standard_error": None if spread is None else spread / len(gaps) ** 0.5,
        "pairs": len(gaps),
    }


def signed(found: Mapping[str, float | int | None], scale: float = 100.0) -> str:
    """Write a paired difference as "+0.31 ± 0.20 (8)"."""
    difference, error = found["difference"], found["standard_error"]
    if difference is None:
        return "-"
    text = f"{scale * difference:+.2f}"
    text += "" if error is None else f" ± {scale * error:.2f}"
    return f"{text} ({found['pairs']})"
