"""Ticket candidate: pretraining, drawing and transfer of one trial."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from growsearch.errors import UsageError
from growsearch.kinds import codec
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.codec import added, inline
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.metrics.adversarial import Norm
from growsearch.tickets import (
    NATURAL,
    SOURCE,
    TARGET,
    DrawSettings,
    Granularity,
    Robustness,
    TransferSettings,
    ticket_scheme,
)
from growsearch.tickets.robustness import RobustnessKind
from growsearch.tickets.transfer import Mode
from search_spaces import SearchSpace, search_space

# What a setting has that its trial makes no use of, so that equal trials are equal.
_UNUSED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCandidate(CandidateConfig):
    """Pretrain the full configuration of ``space``, draw a ticket, and transfer it to the data.

    Attributes:
        space: a key of SEARCH_SPACES.
        target_space: the same, of the trial's data where that needs networks of another kind over
            the same backbone, such as a class a pixel; None is ``space``.
        scheme: a key of TICKET_SCHEMES.
        granularity: which weights go together.
        sparsity: share of zeros of the backbone.
        mode: "finetune" or "linear".
        robustness: how the network is pretrained.
        epsilon: strength in pixels from 0 to 1 of robust pretraining and of "a-imp"; 0 without.
        norm: of attacks; "inf" without.
        attack_steps: of attacks; 0 without.
        source: the data set of the pretraining.
        pretrain_epochs: epochs of it.
        pretrain_seed: its seed; trials with the same one share their pretrained network.
        draw_epochs: of "lmp", or of a round of "imp" and "a-imp"; 0 for "omp".
        rounds: of "imp" and "a-imp"; 0 without.
        training: of the transfer; its other values are those of pretraining and drawing, too.
        init: trained weights that pretraining starts with, by the name of their content.
    """

    kind: ClassVar[str] = "tickets"

    space: str
    scheme: str
    sparsity: float
    source: str
    granularity: Granularity = "unstructured"
    mode: Mode = "finetune"
    robustness: RobustnessKind = "natural"
    epsilon: float = 0.0
    norm: Norm = "inf"
    attack_steps: int = _UNUSED
    pretrain_epochs: int = 10
    pretrain_seed: int = 0
    draw_epochs: int = _UNUSED
    rounds: int = _UNUSED
    target_space: str | None = added(None)
    training: RecipeChoice = inline()
    init: str | None = added(None)

    def __post_init__(self) -> None:
        self.pretraining()
        self.drawing()
        self.transferring()

    @property
    def draws_on(self) -> str | None:
        """Which data drawing trains on: that of the pretraining, the trial's, or none."""
        return ticket_scheme(self.scheme).data

    def pretraining(self) -> Robustness:
        """Return how the network is pretrained."""
        if self.robustness == "natural":
            return NATURAL
        return self._robustness(self.robustness)

    def drawing(self) -> DrawSettings:
        """Return how the ticket is drawn."""
        trains = self.draws_on is not None
        if trains and self.draw_epochs < 1:
            raise UsageError(f"draw_epochs: {self.scheme} trains; give at least 1")
        if self.draws_on == SOURCE and self.rounds < 1:
            raise UsageError(f"rounds: {self.scheme} prunes in rounds; give at least 1")
        return DrawSettings(
            scheme=self.scheme,
            sparsity=self.sparsity,
            granularity=self.granularity,
            recipe=self.recipe(self.draw_epochs).recipe() if trains else None,
            rounds=max(1, self.rounds),
            robustness=self._robustness("pgd") if self.scheme == "a-imp" else NATURAL,
        )

    def transferring(self) -> TransferSettings:
        """Return how the ticket is brought to the trial's data."""
        return TransferSettings(
            mode=self.mode, recipe=self.training.recipe(), space=self.networks()
        )

    def networks(self) -> SearchSpace | None:
        """Return the space of the trial's data, None for that of the pretraining."""
        return None if self.target_space is None else search_space(self.target_space)

    def recipe(self, epochs: int) -> RecipeChoice:
        """Return the trial's recipe for so many epochs."""
        return dataclasses.replace(self.training, epochs=epochs)

    def _robustness(self, kind: RobustnessKind) -> Robustness:
        if kind == "smoothing":
            return Robustness(kind=kind, epsilon=self.epsilon)
        return Robustness(kind=kind, epsilon=self.epsilon, norm=self.norm, steps=self.attack_steps)

    def pretraining_key(self) -> dict[str, Any]:
        """Return what the pretrained weights depend on: trials that share it share them."""
        return {
            "space": self.space,
            "source": self.source,
            "robustness": self.pretraining().to_json(),
            "seed": self.pretrain_seed,
            **codec.to_json(self.recipe(self.pretrain_epochs)),
            **({} if self.init is None else {"init": self.init}),
        }

    def drawing_key(self, dataset: str) -> dict[str, Any]:
        """Return what the ticket depends on; ``dataset`` is the trial's own."""
        return {
            "pretraining": self.pretraining_key(),
            "drawing": self.drawing().to_json(),
            "data": dataset if self.draws_on == TARGET else None,
            **(self._target() if self.draws_on == TARGET else {}),
        }

    def _target(self) -> dict[str, str]:
        """Return the target's space where there is one: trials without one keep their names."""
        return {} if self.target_space is None else {"target_space": self.target_space}
