"""Sparse candidate: a network that is masked, transformed or not, and perhaps grown before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, PlainSerializer

from growsearch.errors import UsageError
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.codec import added, inline
from growsearch.kinds.growth.bound import WrittenBound
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.sparse.diagnostics import Recorded, check_recorded
from growsearch.sparsity import StructuredPattern, parse_pattern, pattern_name
from growsearch.transforms import Positions, SparseSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowFirst:
    """Grow a network of a sparse trial's space, and go on with that one.

    The budget is that of a growth candidate; growing takes ``epochs`` of the trial's recipe. The
    policy "learned" is the letter of its paper.
    """

    budget: WrittenBound
    epochs: int
    policy: str = added("learned")

    def __post_init__(self) -> None:
        if self.epochs < 2:
            raise UsageError(
                f"grow.epochs: {self.epochs} is too few to grow and then train; give at least 2"
            )


def _pattern(value: Any) -> Any:
    return parse_pattern(value) if isinstance(value, str) else value


_Pattern = Annotated[
    StructuredPattern | None,
    BeforeValidator(_pattern),
    PlainSerializer(lambda pattern: None if pattern is None else pattern_name(pattern)),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseCandidate(CandidateConfig):
    """Train the full configuration of ``space`` sparsely, transformed or as it is.

    With ``grow`` it is a network that the same run has grown before: without a transform its
    weights are kept and masked, and with one the layers that are replaced are drawn afresh.

    ``transform`` "none" keeps the network, so that sparsity saves MACs; any other one is a
    Sparse-IFT member, or "low_rank", that keeps the dense network's MACs. The other settings are
    those of `SparseSettings`. ``init`` are trained weights that the network starts with, named by
    their content. ``record`` names what is written down every epoch; see `RECORDED`.

    Raises:
        UsageError: for an unknown name or choices that exclude each other.
    """

    kind: ClassVar[str] = "sparse"

    space: str
    transform: str
    sparsity: float
    distribution: str
    updater: str
    training: RecipeChoice = inline()
    positions: Positions = added("random")
    pattern: _Pattern = added(None)
    activation: bool = added(True)
    grow: GrowFirst | None = added(None)
    record: tuple[Recorded, ...] = added(())
    init: str | None = added(None)

    def __post_init__(self) -> None:
        self.settings()
        check_recorded(self.record)

    def settings(self) -> SparseSettings:
        """Return how the network is to be made sparse."""
        return SparseSettings(
            sparsity=self.sparsity,
            transform=self.transform,
            distribution=self.distribution,
            positions=self.positions,
            pattern=self.pattern,
            activation=self.activation,
            updater=self.updater,
        )
