"""Ticket trials in a study: the source, how tickets are drawn, and how they are transferred."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from growsearch.kinds.domain import is_only, offers
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import (
    Count,
    GranularityName,
    ModeName,
    NormName,
    RobustnessName,
    SchemeName,
    Seed,
    SourceName,
    Space,
    Sparsity,
    Strength,
)


class TicketSpace(KindSpace):
    """Trials that pretrain on ``source``, draw a ticket and transfer it to the study's data.

    ``epochs``, ``batch_size``, ``learning_rate`` and ``recipe`` are the transfer's; pretraining and
    drawing have epochs of their own. ``epsilon`` is the strength of robust pretraining and of
    a-imp, in pixels from 0 to 1. ``source_dir`` is where the source's files are, by default the
    study's data_dir. ``target_space`` has the networks of the study's data where those are others
    over the backbone of ``space``, such as a DeepLab-v3 for masks.
    """

    whereabouts: ClassVar[tuple[str, ...]] = ("source_dir",)

    source: SourceName
    source_dir: Path | None = None
    target_space: Space | None = None
    scheme: SchemeName
    sparsity: Sparsity
    granularity: GranularityName = Field(default="unstructured", validate_default=True)
    mode: ModeName = Field(default="finetune", validate_default=True)
    robustness: RobustnessName = Field(default="natural", validate_default=True)
    epsilon: Strength = None
    norm: NormName = Field(default="inf", validate_default=True)
    attack_steps: Count = Field(default=7, validate_default=True)
    pretrain_epochs: Count = Field(default=10, validate_default=True)
    pretrain_seed: Seed = Field(default=0, validate_default=True)
    draw_epochs: Count = Field(default=2, validate_default=True)
    rounds: Count = Field(default=3, validate_default=True)

    @property
    def robust(self) -> bool:
        """Whether any candidate is pretrained or drawn against perturbations."""
        return not is_only(self.robustness, "natural") or offers(self.scheme, "a-imp")

    @model_validator(mode="after")
    def _a_strength_where_there_is_robustness(self) -> TicketSpace:
        if self.robust and self.epsilon is None:
            raise ValueError(
                "epsilon is missing: how far robust pretraining and a-imp may change a pixel; "
                "write for example 8/255"
            )
        return self
