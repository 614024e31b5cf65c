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

    whereabouts: ClassVar[tuple[str, ...]] = ("source_dir", "init_file")

    source: SourceName = Field(description="Data set of the pretraining.")
    source_dir: Path | None = Field(
        default=None,
        description="Folder of the source's files, relative to the study's file. Default: the "
        "study's data_dir.",
    )
    target_space: Space | None = Field(
        default=None,
        description="Space of the networks of the study's data, where those are others over the "
        "backbone of space, such as a DeepLab-v3 for masks. Default: space.",
    )
    scheme: SchemeName = Field(
        description="How tickets are drawn: one-shot magnitude (omp), iterative (imp), against "
        "attacks (a-imp), or learned masks (lmp)."
    )
    sparsity: Sparsity = Field(
        description="Share of the backbone's weights that the ticket leaves out."
    )
    granularity: GranularityName = Field(
        default="unstructured",
        validate_default=True,
        description="What is left out together: single weights, rows, kernels or channels.",
    )
    mode: ModeName = Field(
        default="finetune",
        validate_default=True,
        description="How a ticket is brought to the study's data: all active weights and the "
        "classifier are trained, or the classifier alone.",
    )
    robustness: RobustnessName = Field(
        default="natural",
        validate_default=True,
        description="How the source is learned: as it is, against PGD's attacks, or under "
        "Gaussian noise for randomised smoothing.",
    )
    epsilon: Strength = Field(
        default=None,
        description="Strength of robust pretraining and of a-imp; required with them, refused "
        "without.",
    )
    norm: NormName = Field(
        default="inf", validate_default=True, description="Norm of the attacks' ball."
    )
    attack_steps: Count = Field(
        default=7, validate_default=True, description="Steps of an attack in training."
    )
    pretrain_epochs: Count = Field(
        default=10, validate_default=True, description="Epochs of pretraining."
    )
    pretrain_seed: Seed = Field(
        default=0,
        validate_default=True,
        description="Seed of pretraining: trials that share it share the pretrained network.",
    )
    draw_epochs: Count = Field(
        default=2,
        validate_default=True,
        description="Epochs that schemes which train take for a drawing.",
    )
    rounds: Count = Field(
        default=3, validate_default=True, description="Rounds of the iterative schemes."
    )

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
