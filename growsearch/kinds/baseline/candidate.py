"""Baseline candidate: a network as it is, the whole of it trained, or one of uniform widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from growsearch.errors import UsageError
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.codec import added, inline
from growsearch.kinds.growth.bound import WrittenBound
from growsearch.kinds.recipe_choice import RecipeChoice

Baseline = Literal["mine", "dense", "uniform"]
BASELINES: tuple[Baseline, ...] = ("mine", "dense", "uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineCandidate(CandidateConfig):
    """A network that a study's are compared with.

    Attributes:
        which: "mine" is the full network with the weights of ``init``, evaluated and measured as it
            is; "dense" trains the full network, from ``init`` where there is one; "uniform" trains
            from fresh weights the widest network within ``budget`` whose groups keep one share.
        space: a key of SEARCH_SPACES, or own code.
        training: the recipe, of which "mine" makes no use.
        init: trained weights, by the name of their content.
        budget: of "uniform" alone.

    Raises:
        UsageError: for a baseline without what it needs.
    """

    kind: ClassVar[str] = "baseline"

    which: Baseline
    space: str
    training: RecipeChoice = inline()
    init: str | None = added(None)
    budget: WrittenBound | None = added(None)
    device_batch: int = added(1)

    def __post_init__(self) -> None:
        if self.which == "mine" and self.init is None:
            raise UsageError(
                "baselines: mine is a trained network; give the trials init, or leave it out"
            )
        if (self.which == "uniform") != (self.budget is not None):
            raise UsageError(f"baselines: {self.which} with budget {self.budget}; uniform has one")
