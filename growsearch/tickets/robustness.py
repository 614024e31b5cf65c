"""Robustness of pretraining: how is it induced while a network is trained?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from growsearch.datasets.normalisation import Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.adversarial import NORMS, Attack, Norm
from growsearch.training.perturbation import AdversarialTraining, GaussianNoise, Perturbation

RobustnessKind = Literal["natural", "pgd", "smoothing"]
ROBUSTNESS: tuple[RobustnessKind, ...] = get_args(RobustnessKind)

# The steps together go 2.5 times the radius (Madry et al. 2018, appendix).
_REACH = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Natural training, PGD adversarial training, or the Gaussian noise of randomised smoothing.

    ``epsilon`` is the strength in pixels from 0 to 1: the radius of the attack, or the standard
    deviation of the noise. ``norm``, ``steps`` and ``step_size`` are the attack's; a step is 2.5
    ``epsilon`` / ``steps`` long unless it is given.

    Raises:
        UsageError: for an unknown name, or a strength with which there is no robustness.

    Example:
        >>> from growsearch.tickets import Robustness
        >>> Robustness(kind="pgd", epsilon=8 / 255, steps=10).attack().steps
        10
    """

    kind: RobustnessKind = "natural"
    epsilon: float = 0.0
    norm: Norm = "inf"
    steps: int = 7
    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ROBUSTNESS:
            raise UsageError(f"robustness: unknown {self.kind!r}; valid: {', '.join(ROBUSTNESS)}")
        if self.norm not in NORMS:
            raise UsageError(f"norm: unknown {self.norm!r}; valid: {', '.join(NORMS)}")
        if (self.kind == "natural") != (self.epsilon == 0) or self.epsilon < 0:
            raise UsageError(
                f"epsilon: {self.epsilon:g} with {self.kind} training; natural training has 0, "
                "every other one a number above 0"
            )
        if self.kind == "pgd":
            self.attack()

    def attack(self) -> Attack:
        """Return the attack of PGD training."""
        size = self.step_size
        return Attack(
            epsilon=self.epsilon,
            steps=self.steps,
            step_size=_REACH * self.epsilon / max(1, self.steps) if size is None else size,
            norm=self.norm,
            random_start=True,
        )

    def hooks(self, normalisation: Normalisation, *, seed: int) -> tuple[Perturbation, ...]:
        """Return what perturbs the training images, if anything does."""
        if self.kind == "natural":
            return ()
        if self.kind == "smoothing":
            return (GaussianNoise(self.epsilon, normalisation, seed=seed),)
        return (AdversarialTraining(self.attack(), normalisation, seed=seed),)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data: what the kind has a use for."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.kind != "natural":
            data["epsilon"] = self.epsilon
        if self.kind == "pgd":
            data |= {"norm": self.norm, "steps": self.steps, "step_size": self.step_size}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        usual = cls()
        return cls(
            kind=data["kind"],
            epsilon=float(data.get("epsilon", 0)),
            norm=data.get("norm", usual.norm),
            steps=int(data.get("steps", usual.steps)),
            step_size=data.get("step_size"),
        )


NATURAL = Robustness()
