"""Settings of measures: the conditions under which some are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.adversarial import Attack
from growsearch.metrics.smoothing import Smoothing

EPSILON = 8 / 255
# Madry et al. 2018, section 5: steps of 2/255 on CIFAR-10; 10 of them.
PGD = Attack(epsilon=EPSILON, steps=10, step_size=2 / 255)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricSettings:
    """What the registry's metrics need beside a network and a split; lengths are in raw pixels.

    ``normalisation`` is what the split's inputs have gone through. ``outside`` holds inputs of
    another data set (M, ...), normalised the same way; None stands for the split's own under
    Gaussian noise of deviation ``noise``. ``epsilon`` is FGSM's. Attacks see ``attacked`` examples
    at most and certification ``certified``, spread evenly over the split, because they take tens
    and hundreds of passes an example. ``seed`` fixes every random choice.

    Raises:
        UsageError: for values that are out of range.

    Example:
        >>> from growsearch.metrics import MetricSettings
        >>> MetricSettings(epsilon=2 / 255, certified=20).radius
        0.25
    """

    normalisation: Normalisation = IDENTITY
    outside: Tensor | None = None
    noise: float = 0.2
    epsilon: float = EPSILON
    attack: Attack = PGD
    smoothing: Smoothing = field(default_factory=Smoothing)
    radius: float = 0.25
    attacked: int = 1000
    certified: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("noise", "epsilon", "radius"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UsageError(f"metrics: {name} = {value} is not a length of at least 0")
        for name in ("attacked", "certified"):
            if getattr(self, name) < 1:
                raise UsageError(f"metrics: {name} = {getattr(self, name)} is below 1 example")
