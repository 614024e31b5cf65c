"""Growth trials in a study: the budget, and how networks grow up to it."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator

from growsearch.kinds.domain import Domain, Range, is_only, is_usual, offers, values_of
from growsearch.kinds.growth.bound import GrowthBudget
from growsearch.kinds.growth.budgeted_space import BudgetedSpace
from growsearch.kinds.space import KindSpace, Strict
from growsearch.kinds.values import (
    BirthName,
    Count,
    GrowthAllocationName,
    LengthName,
    NormsName,
    PaceName,
    PolicyName,
    Rate,
    RelaxationName,
    ShareFromZero,
    ShareOfEpochs,
    SteeringName,
    TemperatureName,
    Truth,
    of_run,
)

LEARNED, PLANNED = "learned", "planned"
# Policies that order channels, so that birth has a say.
ORDERED = (LEARNED, PLANNED, "random-order")
# Policies that follow a plan of costs.
BY_PLAN = (PLANNED, "random-order")


class GrowthSpace(BudgetedSpace):
    """Trials that grow channels and layers under a budget; see `GrowthCandidate`.

    Steering, relaxation, temperatures and the gain are the learned policy's; ``allocation`` is the
    planned one's. ``seed_share`` and ``steps`` go with policies that follow a plan, ``birth`` with
    those that order channels.
    """

    device_batch: Count = Field(
        default=1,
        validate_default=True,
        description="Examples at a time with which a bounded latency is taken.",
    )
    policy: PolicyName = Field(
        default=PLANNED,
        validate_default=True,
        description="Who decides which structures live: a plan of costs, learned indicators (the "
        "paper's), chance, a random order, or one share of every width.",
    )
    seed_share: ShareFromZero = Field(
        default=0.4,
        validate_default=True,
        description="Share of the budget with which growth starts, in the proportions of the full "
        "network; 0 is one channel a group. With the policies planned and random-order.",
    )
    steps: Count = Field(
        default=5,
        validate_default=True,
        description="In so many changes the network comes from its seed to the budget, one an "
        "epoch at most. With the policies planned and random-order.",
    )
    allocation: GrowthAllocationName = Field(
        default="uniform",
        validate_default=True,
        description="Which groups the policy planned widens: all alike, or those whose gates' "
        "squared gradients are large for what a channel costs.",
    )
    layers: Truth = Field(
        default=True,
        validate_default=True,
        description="Grow layers, too, where the space has a choice of them; without it all of "
        "them run from the start.",
    )
    freeze_at: ShareOfEpochs = Field(
        default=0.3,
        validate_default=True,
        description="Share of the epochs after which the structure is final; the rest trains its "
        "weights.",
    )
    pace: PaceName = Field(
        default="compute",
        validate_default=True,
        description="What the learning rate follows: training MACs that are spent, at its peak "
        "until the structure is final; or epochs.",
    )
    until: LengthName = Field(
        default="match",
        validate_default=True,
        description="How long to train: until as many training MACs are spent as the uniform "
        "network of the budget takes for these epochs (later epochs have more steps for it), or "
        "one pass an epoch.",
    )
    norms: NormsName = Field(
        default="reset",
        validate_default=True,
        description="Filters behind a BatchNorm after each change: at the norm of the first draw, "
        "scaled with the number of inputs and rates with them (Yuan et al. 2023), or kept.",
    )
    birth: BirthName = Field(
        default="chance",
        validate_default=True,
        description="Which of the channels that never lived come first: by chance, or by the norm "
        "of the loss's gradient; with the policies learned, planned and random-order.",
    )
    width_multiple: Count = Field(
        default=1,
        validate_default=True,
        description="Widths are multiples of it, as a processor's vectors want them.",
    )
    direct_design: Truth = Field(
        default=False,
        validate_default=True,
        description="Train the network that was grown once more, from fresh weights, and take "
        "that one: growing has found an architecture only.",
    )
    # Of runs of before: see `_steerings_that_steer`.
    steering: SteeringName = Field(
        default="task",
        validate_default=True,
        description="What the learned policy's indicators follow.",
        json_schema_extra={"key": None},
    )
    steering_strength: Rate = Field(
        default=0.3,
        validate_default=True,
        description="Strength of other steerings than the task's.",
        json_schema_extra={"key": None},
    )
    relaxation: RelaxationName = Field(
        default="sigmoid",
        validate_default=True,
        description="How the learned policy's 0/1 indicators are made real numbers while they are "
        "learned.",
    )
    temperature: TemperatureName = Field(
        default="structure",
        validate_default=True,
        description="The learned policy's temperature rises with the epochs of the run, or with "
        "those in which the structure itself was live.",
    )
    temperature_decay: Truth = Field(
        default=False,
        validate_default=True,
        description="Slow the temperature's rise down with the weights' learning rate.",
    )
    control_gain: Rate | None = Field(
        default=None,
        description="Gain of the learned policy's penalty on the distance to the budget; of itself "
        "10 an epoch, at least 160.",
    )

    @field_validator("epochs")
    @classmethod
    def _time_to_grow(cls, value: Domain) -> Domain:
        return _time_to_grow(value)

    @model_validator(mode="after")
    def _norms_that_a_trunk_has(self) -> GrowthSpace:
        if self.budgets is not None and offers(self.norms, "transfer"):
            raise ValueError(
                "norms: transfer has rates that follow one run's cohorts; with budgets take reset "
                "or kept"
            )
        return self

    @model_validator(mode="after")
    def _what_surgery_carries_over(self) -> GrowthSpace:
        check_surgery(self)
        return self

    @model_validator(mode="after")
    def _weights_that_are_kept(self) -> GrowthSpace:
        if self.init is not None and offers(self.direct_design, True):
            raise ValueError("direct_design: trains from fresh weights; remove it, or init")
        return self

    @model_validator(mode="after")
    def _options_that_do_something(self) -> GrowthSpace:
        if self.bounds.device is None and not is_only(self.device_batch, 1):
            raise ValueError(
                "device_batch: a bound on parameters or macs knows no batch; remove the key"
            )
        learned = ("steering", "relaxation", "temperature", "temperature_decay", "control_gain")
        fields = GrowthSpace.model_fields
        for name in learned if not offers(self.policy, LEARNED) else ():
            if not is_usual(getattr(self, name), fields[name].default):
                raise ValueError(f"{name}: goes with policy: learned; add it, or remove the key")
        planned = {"seed_share": BY_PLAN, "steps": BY_PLAN, "allocation": (PLANNED,)}
        for name, policies in planned.items():
            used = set(policies) & set(values_of(self.policy))
            if not used and not is_only(getattr(self, name), fields[name].default):
                raise ValueError(
                    f"{name}: goes with policy: {' or '.join(policies)}; add one, or remove the key"
                )
        if not set(ORDERED) & set(values_of(self.policy)) and not is_only(self.birth, "chance"):
            raise ValueError(
                f"birth: goes with the policies {' and '.join(ORDERED)}; add one, or remove the key"
            )
        return self

    @model_validator(mode="after")
    def _steerings_that_steer(self, info: ValidationInfo) -> GrowthSpace:
        """Refuse what fails the null test: shuffled labels give the same structure, seeds do not.

        The folder of a run that has such trials is read: its report, choices and exports.
        """
        usual = is_only(self.steering, "task") and is_only(self.steering_strength, 0.3)
        if usual or of_run(info):
            return self
        key = "steering" if not is_only(self.steering, "task") else "steering_strength"
        raise ValueError(
            f"{key}: the steerings normalised and taylor of the learned policy do not follow the "
            "data (docs/decisions/0027-growth-that-pays.md) and are no longer offered; remove the "
            "key, or take policy: planned with allocation: fisher, which does"
        )


class GrowFirstSpace(Strict):
    """What sparse trials grow before they go on with it."""

    budget: GrowthBudget = Field(
        description="Up to what the network grows before: one of parameters and macs.",
        json_schema_extra={"without": ["latency"]},
    )
    epochs: Count = Field(
        default=10, validate_default=True, description="Epochs of growing before, at least 2."
    )

    policy: PolicyName = Field(
        default=PLANNED,
        validate_default=True,
        description="Who decides which structures live; see the key of growth trials.",
    )

    @field_validator("epochs")
    @classmethod
    def _time_to_grow(cls, value: Domain) -> Domain:
        return _time_to_grow(value)

    @field_validator("budget")
    @classmethod
    def _a_count(cls, value: GrowthBudget) -> GrowthBudget:
        if value.device is not None:
            raise ValueError("give exactly one of parameters and macs")
        return value


def check_surgery(space: KindSpace, what: str = "growth") -> None:
    """Refuse what holds tensors beside the weights that growth, or ``what``, would have to cut.

    Raises:
        ValueError: naming the key.
    """
    if space.ema is not None:
        raise ValueError(f"ema: averages weights of one shape, and {what} replaces them; remove it")
    if space.optimizer is not None and any(":" in str(n) for n in values_of(space.optimizer)):
        raise ValueError(
            f"optimizer: {what} moves an optimizer's state to new weights, and does not know "
            "yours; take sgd, adam, adamw or lion"
        )


def _time_to_grow(value: Domain) -> Domain:
    low = value.low if isinstance(value, Range) else min(value.values, key=float)
    if float(low) < 2:
        raise ValueError("growth needs at least 2 epochs: to grow, then to train")
    return value
