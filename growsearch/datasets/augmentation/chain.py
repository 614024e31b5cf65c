"""Chain of augmentations, one after another, on batches of normalised images and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from growsearch.datasets.normalisation import Normalisation


class Change(Protocol):
    """One augmentation: a frozen dataclass whose fields are the values a study may give.

    With a class variable ``on_pixels`` images are pixels from 0 to 1, else normalised inputs.
    """

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed ``images`` (N, C, H, W), which stay as they are."""
        ...


@runtime_checkable
class Mixes(Protocol):
    """An augmentation that changes what images show, and so their targets."""

    def mix(
        self, batch: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return images (N, C, H, W) and targets (N, classes), which are probabilities."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Augmentations one after another; each is seeded by the generator that all share."""

    steps: tuple[Change, ...]

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed ``images`` (N, C, H, W) that are pixels from 0 to 1."""
        for step in self.steps:
            images = step.apply(images, generator)
        return images


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an augmentation has to know of the data: normalisation and number of classes."""

    normalisation: Normalisation
    classes: int


def augmented(
    augmentation: Change, batch: tuple[Tensor, Tensor], generator: torch.Generator, view: View
) -> tuple[Tensor, Tensor]:
    """Return a changed batch of inputs (N, C, H, W) and labels (N,).

    Where images are mixed the labels become targets (N, classes) that are probabilities.
    """
    inputs, labels = batch
    steps = augmentation.steps if isinstance(augmentation, Chain) else (augmentation,)
    for step in steps:
        if isinstance(step, Mixes):
            inputs, labels = step.mix((inputs, _soft(labels, view.classes)), generator)
        elif getattr(step, "on_pixels", False):
            pixels = view.normalisation.to_pixels(inputs).clamp(0, 1)
            inputs = view.normalisation.of_pixels(step.apply(pixels, generator))
        else:
            inputs = step.apply(inputs, generator)
    return inputs, labels


def reads_pixels(augmentation: Change) -> bool:
    """Does it change colours, which normalised inputs alone do not tell?"""
    steps = augmentation.steps if isinstance(augmentation, Chain) else (augmentation,)
    return any(getattr(step, "on_pixels", False) for step in steps)


def mixes_targets(augmentation: Change) -> bool:
    """Does it mix classes?"""
    steps = augmentation.steps if isinstance(augmentation, Chain) else (augmentation,)
    return any(isinstance(step, Mixes) for step in steps)


def _soft(labels: Tensor, classes: int) -> Tensor:
    return labels if labels.is_floating_point() else F.one_hot(labels, classes).float()
