"""Conditions of measures beyond accuracy: a study's key "metrics"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from growsearch.kinds import Strict
from growsearch.search.config.numbers import Number, Whole

if TYPE_CHECKING:
    from growsearch.trial.quality import Quality

# As growsearch.metrics has them; written out because that takes seconds to import.
_EPSILON = 8 / 255
_STEP = 2 / 255


class OutsideOptions(Strict):
    """What out-of-distribution metrics compare with: a data set, or noise in raw pixels."""

    against: str | None = Field(
        default=None,
        description="Data set of other things that out-of-distribution metrics compare with. "
        "Default: noise.",
    )
    noise: Number = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Standard deviation of the noise that stands for other things, where no data "
        "set does.",
    )


class FgsmOptions(Strict):
    """The length of FGSM's step, in raw pixels from 0 to 1."""

    epsilon: Number = Field(
        default=_EPSILON,
        ge=0,
        le=1,
        description="Length of the step, of each pixel; 8/255 unless said.",
    )


class PgdOptions(Strict):
    """PGD's ball and steps, in raw pixels from 0 to 1."""

    epsilon: Number = Field(
        default=_EPSILON,
        ge=0,
        description="Radius of the ball that the attack stays in; 8/255 unless said.",
    )
    steps: Whole = Field(default=10, ge=1, description="Steps of the attack.")
    step_size: Number = Field(
        default=_STEP, ge=0, description="Length of a step; 2/255 unless said."
    )
    norm: Literal["inf", "2"] = Field(default="inf", description="Norm of the ball.")


class CertifiedOptions(Strict):
    """Smoothing's noise and the radius to be certain within, in raw pixels from 0 to 1."""

    sigma: Number = Field(
        default=0.25, gt=0, description="Standard deviation of smoothing's noise."
    )
    radius: Number = Field(
        default=0.25, ge=0, description="Radius within which an example must be certified to count."
    )


class MetricOptions(Strict):
    """The conditions of every metric that has some; ``ood_auroc`` is for both OOD metrics."""

    ood_auroc: OutsideOptions = Field(
        default_factory=OutsideOptions,
        description="What both out-of-distribution metrics compare with.",
    )
    fgsm_accuracy: FgsmOptions = Field(
        default_factory=FgsmOptions, description="One step of an attack."
    )
    pgd_accuracy: PgdOptions = Field(
        default_factory=PgdOptions, description="An attack of several steps."
    )
    certified_accuracy: CertifiedOptions = Field(
        default_factory=CertifiedOptions, description="Randomised smoothing."
    )

    def quality(self, names: tuple[str, ...]) -> Quality:
        """Return what a trial needs to take the metrics ``names``."""
        from growsearch.metrics import Attack, MetricSettings, Smoothing
        from growsearch.trial.quality import Quality

        pgd, certified = self.pgd_accuracy, self.certified_accuracy
        attack = Attack(
            epsilon=pgd.epsilon, steps=pgd.steps, step_size=pgd.step_size, norm=pgd.norm
        )
        settings = MetricSettings(
            noise=self.ood_auroc.noise,
            epsilon=self.fgsm_accuracy.epsilon,
            attack=attack,
            smoothing=Smoothing(sigma=certified.sigma),
            radius=certified.radius,
        )
        return Quality(names=names, against=self.ood_auroc.against, settings=settings)
