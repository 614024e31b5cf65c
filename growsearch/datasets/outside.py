"""Inputs of another data set, seen through a network's own normalisation."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from growsearch.datasets import DATASETS, load_beside, load_cifar100_test
from growsearch.datasets.dataset import Dataset
from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError


def renormalised(inputs: Tensor, had: Normalisation, wanted: Normalisation) -> Tensor:
    """Return ``inputs`` (N, C, H, W), normalised by ``had``, as ``wanted`` would have them."""

    def column(values: tuple[float, ...]) -> Tensor:
        return inputs.new_tensor(values).view(1, -1, 1, 1)

    pixels = inputs * column(had.deviation) + column(had.mean)
    return (pixels - column(wanted.mean)) / column(wanted.deviation)


def outside_inputs(name: str, data_dir: Path | None, seen: Dataset) -> Tensor:
    """Return the test images (N, C, H, W) of data set ``name`` as a network of ``seen`` gets them.

    CIFAR-100 needs its test images only.

    Raises:
        UsageError: for an unknown name, missing files, the same data set or images of another
            shape.
    """
    if name not in DATASETS:
        raise UsageError(f"against: unknown {name!r}; valid: {', '.join(sorted(DATASETS))}")
    if name == seen.name:
        raise UsageError(f"against: {name} is the data that the networks are for; choose another")
    if name == "cifar100" and data_dir is not None:
        inputs = load_cifar100_test(data_dir, seen.normalisation).inputs
    else:
        other = load_beside(name, data_dir)
        inputs = renormalised(other.test.inputs, other.normalisation, seen.normalisation)
    if inputs.shape[1:] != seen.input_shape:
        shapes = [" x ".join(map(str, shape)) for shape in (inputs.shape[1:], seen.input_shape)]
        raise UsageError(
            f"against: {name} has images of {shapes[0]}, {seen.name} of {shapes[1]}; choose a data "
            "set of the same shape, or leave the key out to compare with Gaussian noise"
        )
    return inputs
