"""Growth configuration: the settings with which a network is grown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from growsearch.errors import UsageError
from growsearch.growth.budget.allocation import ALLOCATIONS
from growsearch.growth.indicators.relaxation import RELAXATIONS
from growsearch.growth.indicators.steering import STEERINGS
from growsearch.growth.surgery.row_norms import NORMS
from growsearch.training import InitialWeights, OwnOptimizer, Recipe

BIRTHS = ("chance", "gradient")
TEMPERATURES = ("global", "structure")
PACES = ("compute", "epochs")
LENGTHS = ("match", "epochs")


# At 1 an epoch, runs of 160 epochs come to 95 % of their budget in epoch 61; at 10, in epoch 8,
# with a quarter fewer channels that come and go (docs/decisions/0027-growth-that-pays.md).
_GAIN, _GAIN_AN_EPOCH = 160.0, 10.0


def usual_gain(epochs: int) -> float:
    """Return the gain K that brings a run of so many epochs to its budget early.

    Example:
        >>> from growsearch.growth import usual_gain
        >>> usual_gain(10), usual_gain(160)
        (160.0, 1600.0)
    """
    return max(_GAIN, _GAIN_AN_EPOCH * epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorConfig:
    """How the indicators of arXiv 2007.15353 are learned (Eq. 4, 6 and 7).

    ``control_gain`` K replaces lambda_base, which would have to change with the number of steps and
    epochs: within one epoch the penalty moves an indicator s by -(K / T) * gap * beta * sigma * (1
    - sigma), T being the number of epochs, gap = expected cost / budget - 1 and sigma = sigma(beta
    s). ``layer_gain`` is the same for units (lambda2). None is `usual_gain`. The seed network's
    indicators start at ``initial``, all others at -``initial`` plus normal noise of deviation
    ``noise``; without noise all would cross zero in the same epoch. The temperature is beta =
    ``beta_start`` * ``beta_rise`` ** (t / T), t counting the epochs in which the channel was live.

    ``temperature`` "global" counts all epochs for all channels, the paper's inferior alternative;
    ``temperature_decay`` slows the count down with the weights' learning rate (appendix A.10).
    ``relaxation`` and ``steering`` are names in `RELAXATIONS` and `STEERINGS`; steering other than
    the paper's "task" pushes as hard as the penalty does at a gap of ``steering_strength``.

    Raises:
        UsageError: for an unknown name or a value out of range.

    Example:
        >>> from growsearch.growth import GrowthConfig, IndicatorConfig
        >>> GrowthConfig(indicators=IndicatorConfig(relaxation="gumbel")).indicators.relaxation
        'gumbel'
    """

    control_gain: float | None = None
    layer_gain: float | None = None
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-6
    initial: float = 3.0
    noise: float = 1.0
    beta_start: float = 1.0
    beta_rise: float = 100.0
    temperature: str = "structure"
    temperature_decay: bool = False
    relaxation: str = "sigmoid"
    steering: str = "task"
    steering_strength: float = 0.3

    def __post_init__(self) -> None:
        for key, valid in (
            ("temperature", TEMPERATURES),
            ("relaxation", RELAXATIONS),
            ("steering", STEERINGS),
        ):
            value = getattr(self, key)
            if value not in valid:
                raise UsageError(f"{key}: unknown {value!r}; valid: {', '.join(sorted(valid))}")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"indicators.momentum: {self.momentum} is not in [0, 1); 0.9 is usual")
        for key in (
            "control_gain",
            "learning_rate",
            "beta_start",
            "beta_rise",
            "steering_strength",
        ):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise UsageError(f"indicators.{key}: {value} is not above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthConfig:
    """The recipe for the weights and the settings of growth.

    ``policy`` names who decides which channels and units live (see `POLICIES`). "planned" and
    "random-order" start at the share ``seed_share`` of the budget, 0 being one channel a group, and
    come to the whole in ``steps`` changes, None being one an epoch: of equal factors, or from one
    channel a group of equal shares. ``allocation`` says which groups "planned" widens (see
    `ALLOCATIONS`). Units grow in spaces with a choice of them; without ``grow_layers`` all of them
    run from the start, and only channels grow. Structure may change until the share ``freeze_at``
    of the epochs is over; what is left trains the compact network.

    ``until`` "match" trains until the training MACs are spent that the uniform network of this
    budget takes for ``recipe.epochs`` epochs: those that remain when the structure is final share
    what is left alike, and have more steps for it. "epochs" is one pass each. The learning rate
    follows, with ``pace`` "compute", the share of training MACs that are spent, at its peak until
    the structure is final; with "epochs", that of the epochs. `GrowthConfig.paper` has the letter
    of arXiv 2007.15353.

    Running statistics are averaged over ``calibration_batches`` batches after each change.
    ``birth`` says which of the channels that never lived come first: "chance", or "gradient" (see
    `birth_scores`; it runs the full configuration on one batch an epoch while structure may
    change). ``width_multiple`` keeps every group at a multiple of so many channels (8 for a
    processor with AVX2, 16 with AVX-512, see `round_widths`): less time for the same MACs, but a
    budget is met to whole blocks only. ``direct_design`` trains the network that was grown once
    more, from fresh weights and for as many epochs, and that is the result: growing then has found
    an architecture only. With ``init`` the full network starts with trained weights: a channel or
    unit that is created has those that it had there, on either side, and the largest come first.

    ``norms`` says how large filters behind a BatchNorm, whose size does not matter to the function,
    are after each change: "reset" gives them the norm of their first draw, "transfer" scales them
    as their inputs change in number, and "kept" lets them be (see `RowNorms`).

    Raises:
        UsageError: for fewer than 2 epochs, or a value out of range.

    Example:
        >>> from growsearch.growth import GrowthConfig
        >>> from growsearch.training import Recipe
        >>> GrowthConfig(recipe=Recipe(epochs=10), freeze_at=0.5).growing_epochs
        5
        >>> GrowthConfig.paper(recipe=Recipe(epochs=160)).policy
        'learned'
    """

    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=20))
    policy: str = "planned"
    seed_share: float = 0.4
    steps: int | None = 5
    allocation: str = "uniform"
    freeze_at: float = 0.3
    pace: str = "compute"
    until: str = "match"
    calibration_batches: int = 4
    birth: str = "chance"
    grow_layers: bool = True
    width_multiple: int = 1
    direct_design: bool = False
    norms: str = "reset"
    indicators: IndicatorConfig = field(default_factory=IndicatorConfig)
    init: InitialWeights | None = field(default=None, metadata={"later": True})

    def __post_init__(self) -> None:
        if self.recipe.epochs < 2:
            raise UsageError(
                f"epochs: {self.recipe.epochs} is too few to grow and then train; give at least 2"
            )
        if self.recipe.ema is not None:
            raise UsageError(
                f"ema: {self.recipe.ema} averages weights of one shape, which growth replaces; "
                "leave it out, or train the grown network further with it"
            )
        if isinstance(self.recipe.optimizer, OwnOptimizer):
            raise UsageError(
                "optimizer: growth moves an optimizer's state to new weights, and does not know "
                "yours; take sgd, adam, adamw or lion"
            )
        for key, valid in (
            ("allocation", ALLOCATIONS),
            ("pace", PACES),
            ("until", LENGTHS),
        ):
            value = getattr(self, key)
            if value not in valid:
                raise UsageError(f"{key}: unknown {value!r}; valid: {', '.join(sorted(valid))}")
        if not 0 <= self.seed_share <= 1:
            raise UsageError(
                f"seed_share: {self.seed_share} is not in [0, 1]; 0.4 is usual, and 0 is one "
                "channel a group"
            )
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps: {self.steps} is below 1; 5 is usual")
        if not 0 < self.freeze_at <= 1:
            raise UsageError(f"freeze_at: {self.freeze_at} is not in (0, 1]; 0.3 is a good start")
        if self.birth not in BIRTHS:
            raise UsageError(f"birth: unknown {self.birth!r}; valid: {', '.join(BIRTHS)}")
        if self.norms not in NORMS:
            raise UsageError(f"norms: unknown {self.norms!r}; valid: {', '.join(NORMS)}")
        if self.birth == "gradient" and self.policy in ("random", "uniform"):
            raise UsageError(
                f"birth: 'gradient' has nothing to order in policy {self.policy!r}, to which all "
                "channels are alike; choose birth 'chance' or another policy"
            )
        if self.width_multiple < 1:
            raise UsageError(
                f"width_multiple: {self.width_multiple} is below 1; 8 suits a processor with AVX2, "
                "1 lets every width be"
            )
        if self.calibration_batches < 1:
            raise UsageError(
                f"calibration_batches: {self.calibration_batches} is below 1; 4 is a good start"
            )

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """Return the configuration of arXiv 2007.15353, with ``changes`` of its fields."""
        letter = {
            "policy": "learned",
            "seed_share": 0.0,
            "steps": None,
            "freeze_at": 0.5,
            "pace": "epochs",
            "until": "epochs",
            "norms": "kept",
        }
        return cls(**{**letter, **changes})

    @property
    def total_epochs(self) -> int:
        """The number of epochs of the whole run."""
        return self.recipe.epochs * (2 if self.direct_design else 1)

    def plan(self, epochs: int) -> float:
        """Return which share of the budget a planned network has after ``epochs`` epochs.

        Cost rises by equal factors, as widths in Yuan et al. 2023 (section 4.1) and in the same
        number of epochs each; from a seed of one channel a group, by equal shares.
        """
        steps = min(self.steps or self.growing_epochs, self.growing_epochs)
        share = min(1.0, epochs * steps // self.growing_epochs / steps)
        return share if self.seed_share == 0 else self.seed_share ** (1 - share)

    @property
    def growing_epochs(self) -> int:
        """The number of epochs at whose end structure may change: at least 1, never the last."""
        epochs = self.recipe.epochs
        return min(epochs - 1, max(1, round(epochs * self.freeze_at)))
