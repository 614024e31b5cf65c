"""Pruning configuration: what goes, when, and how the rest is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from growsearch.errors import UsageError
from growsearch.pruning.allocation.registry import ALLOCATIONS
from growsearch.pruning.importance.registry import GATED, IMPORTANCES
from growsearch.training import InitialWeights, OwnOptimizer, Recipe

# Fine-tuning begins with a tenth of the rate that training from fresh weights would.
FINE_TUNING = 0.1
_NO_SHARES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """How much the pruned network listens to the one that it was.

    Hinton, Vinyals and Dean, arXiv 1503.02531, section 2: the loss is (1 - ``weight``) times the
    task's plus ``weight`` x T^2 times the divergence of outputs softened by the ``temperature`` T
    from the teacher's. ``features`` weighs the distance between the maps of attention behind each
    BatchNorm (Zagoruyko and Komodakis, ICLR 2017, eq. 2): normalised mean squares over channels,
    which networks of different widths have alike.
    """

    weight: float = 0.5
    temperature: float = 4.0
    features: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise UsageError(f"distillation: {self.weight} is not in [0, 1]; 0.5 is usual")
        if self.temperature <= 0:
            raise UsageError(f"temperature: {self.temperature} is not above 0; 4 is usual")
        if self.features < 0:
            raise UsageError(f"features: {self.features} is below 0; 0 leaves them out")

    @property
    def listens(self) -> bool:
        """Whether there is a teacher at all."""
        return self.weight > 0 or self.features > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneConfig:
    """The recipe of fine-tuning, and how a network is pruned meanwhile.

    Attributes:
        recipe: of the whole run; by default a tenth of the usual learning rate.
        importance: a name in `IMPORTANCES`.
        allocation: a name in `ALLOCATIONS`.
        shares: widths that are decided, as shares by name or pattern of groups (``layer4.*``).
        steps: how many times structures go; 1 is one shot, before the first epoch.
        over: the share of the run over which several steps are spread, equally.
        width_multiple: widths are multiples of it, as a processor's vectors want them.
        least_share: no group goes below this share of its channels.
        prune_layers: whether units may go, too, where the space has a choice of them.
        importance_batches: batches of the recipe's size that importances look at.
        calibration_batches: batches over which running statistics are averaged after each step.
        distillation: how the network that there was teaches what is left.
        init: trained weights; None takes the network as its space makes it.

    Raises:
        UsageError: for an unknown name or a value out of range.

    Example:
        >>> from growsearch.pruning import PruneConfig
        >>> PruneConfig(steps=4, over=0.5).points(100)
        (0, 12, 25, 38)
    """

    recipe: Recipe = field(
        default_factory=lambda: Recipe(epochs=10, learning_rate=FINE_TUNING * 0.1)
    )
    importance: str = "taylor"
    allocation: str = "knapsack"
    shares: Mapping[str, float] = field(default_factory=lambda: _NO_SHARES)
    steps: int = 5
    over: float = 0.3
    width_multiple: int = 1
    least_share: float = 0.1
    prune_layers: bool = True
    importance_batches: int = 8
    calibration_batches: int = 4
    distillation: Distillation = field(default_factory=Distillation)
    init: InitialWeights | None = None

    def __post_init__(self) -> None:
        for key, registry in (("importance", IMPORTANCES), ("allocation", ALLOCATIONS)):
            name = getattr(self, key)
            if name not in registry:
                raise UsageError(f"{key}: unknown {name!r}; valid: {', '.join(registry)}")
        for key in ("steps", "width_multiple", "importance_batches", "calibration_batches"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key}: {getattr(self, key)} is below 1")
        if not 0 < self.over <= 1:
            raise UsageError(f"over: {self.over} is not in (0, 1]; 0.3 is a good start")
        if not 0 <= self.least_share <= 1:
            raise UsageError(f"least_share: {self.least_share} is not in [0, 1]")
        for pattern, share in self.shares.items():
            if not 0 < share <= 1:
                raise UsageError(f"shares.{pattern}: {share} is not in (0, 1]; write 50%")
        self._check_gates()
        if self.recipe.ema is not None:
            raise UsageError(
                f"ema: {self.recipe.ema} averages weights of one shape, which pruning replaces; "
                "leave it out"
            )
        if isinstance(self.recipe.optimizer, OwnOptimizer):
            raise UsageError(
                "optimizer: pruning moves an optimizer's state to new weights, and does not know "
                "yours; take sgd, adam, adamw or lion"
            )

    def _check_gates(self) -> None:
        if not self.gated:
            return
        if self.steps < 2:
            raise UsageError(
                "steps: gates learn what to close while the network trains, so that one shot "
                "before it knows nothing; give at least 2, or another importance"
            )
        if self.over >= 1:
            raise UsageError("over: after gates have closed something must be left to train; 0.5")

    @property
    def gated(self) -> bool:
        """Whether the importance learns, through gates in the network."""
        return self.importance in GATED

    def points(self, total_steps: int) -> tuple[int, ...]:
        """Return before which steps of training structures go.

        The first time is before the first one; with gates it is after the first part of ``over``.
        """
        shift = 1 if self.gated else 0
        part = self.over * total_steps / self.steps
        last = max(0, total_steps - 1)
        return tuple(min(last, round(part * (place + shift))) for place in range(self.steps))

    def limits(self, full: float, limit: float) -> tuple[float, ...]:
        """Return what the network may cost after each step: every step takes the same share."""
        shares = ((place + 1) / self.steps for place in range(self.steps - 1))
        return (*(full * (limit / full) ** share for share in shares), limit)
