"""Settings of a sparse network: one frozen set of choices, checked together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from growsearch.errors import UsageError
from growsearch.sparsity.distributions import SALIENCIES, sparsity_distribution
from growsearch.sparsity.dynamic import MASK_UPDATERS
from growsearch.sparsity.n_of_m import NOfM
from growsearch.sparsity.pattern_names import StructuredPattern, pattern_name
from growsearch.transforms.registry import DENSE, check_transform_name

NO_TRANSFORM = "none"

Positions = Literal["random", "saliency"]
POSITIONS: tuple[Positions, ...] = get_args(Positions)
# The updaters that start denser than they end; "granet" at half the sparsity, "gmp" dense.
SCHEDULED: dict[str, float] = {"granet": 0.5, "gmp": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseSettings:
    """A transform or none, how sparse, in which layers, where, in which pattern and how it changes.

    Attributes:
        sparsity: share of zeros. With a transform it is nominal and fixes the sizes; the masks
            follow from equal MACs. Without one it is that of all prunable weights at the end of
            training. With an N:M pattern it must be the pattern's own.
        transform: a key of TRANSFORMS, or "none".
        distribution: a key of SPARSITY_DISTRIBUTIONS; an N:M pattern leaves it no say.
        positions: "random" draws them; "saliency" keeps those that "snip", "grasp", "force" or
            "synflow" chooses.
        pattern: N:M or blocks. Layers that it does not fit stay dense.
        activation: BatchNorm and ReLU where the paper has act.
        dense_ends: with a transform, the first and the last layer stay dense.
        updater: a key of MASK_UPDATERS.
        initial_sparsity: where "granet" and "gmp" start; None is half of ``sparsity`` and dense.
            With a transform it is a share of the masked layers' MACs, and None starts sparser if
            the end would otherwise have less than a quarter of the mean MACs.

    Raises:
        UsageError: for an unknown name or choices that exclude each other.

    Example:
        >>> from growsearch.errors import UsageError
        >>> from growsearch.transforms import SparseSettings
        >>> SparseSettings(sparsity=0.5, transform="sparse_wide").updater
        'static'
        >>> try:
        ...     SparseSettings(sparsity=1.5)
        ... except UsageError as error:
        ...     print(error)
        sparsity: 1.5 is outside [0, 1)
    """

    sparsity: float
    transform: str = NO_TRANSFORM
    distribution: str = "uniform"
    positions: Positions = "random"
    pattern: StructuredPattern | None = None
    activation: bool = True
    dense_ends: bool = True
    updater: str = "static"
    initial_sparsity: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.sparsity < 1.0:
            raise UsageError(f"sparsity: {self.sparsity} is outside [0, 1)")
        if self.transform != NO_TRANSFORM:
            # A ledger is read without importing what it names.
            check_transform_name(self.transform)
        sparsity_distribution(self.distribution)
        if self.updater not in MASK_UPDATERS:
            raise UsageError(
                f"updater: unknown {self.updater!r}; valid: {', '.join(MASK_UPDATERS)}"
            )
        self._check_positions()
        self._check_pattern()
        self._check_start()
        if self.transform in DENSE and self.updater != "static":
            raise UsageError(
                f"updater: {self.transform} has no masks that {self.updater} could change; "
                "use static"
            )

    @property
    def transformed(self) -> bool:
        """Whether there is a transform."""
        return self.transform != NO_TRANSFORM

    @property
    def scheduled(self) -> bool:
        """Whether the network gets sparser during training."""
        return self.updater in SCHEDULED

    @property
    def needs_data(self) -> bool:
        """Whether the layer-wise ratios look at data or at an example of it."""
        return self.distribution in SALIENCIES

    def _check_positions(self) -> None:
        if self.positions not in POSITIONS:
            raise UsageError(
                f"positions: unknown {self.positions!r}; valid: {', '.join(POSITIONS)}"
            )
        if self.positions == "saliency" and not self.needs_data:
            raise UsageError(
                f"positions: {self.distribution} chooses no positions; write random, or one of "
                f"the distributions {', '.join(SALIENCIES)}"
            )

    def _check_pattern(self) -> None:
        if self.pattern is None:
            return
        name = pattern_name(self.pattern)
        if self.scheduled or self.positions == "saliency" or self.transform in DENSE:
            raise UsageError(
                f"pattern: {name} goes with the updaters static, set and rigl, with random "
                "positions and with transforms that have masks"
            )
        if isinstance(self.pattern, NOfM):
            sparsity = 1 - self.pattern.density
            if abs(self.sparsity - sparsity) > 1e-9:
                raise UsageError(
                    f"sparsity: {self.sparsity:g} is not that of the pattern {name}; "
                    f"write {sparsity:g}"
                )

    def _check_start(self) -> None:
        start = self.initial_sparsity
        if start is None:
            return
        if not self.scheduled:
            raise UsageError(
                f"initial_sparsity: {self.updater} keeps its sparsity; leave it out or use "
                f"{' or '.join(SCHEDULED)}"
            )
        if not 0.0 <= start < 1.0 or (not self.transformed and start > self.sparsity):
            raise UsageError(
                f"initial_sparsity: {start} is not between 0 and the sparsity {self.sparsity}"
            )
