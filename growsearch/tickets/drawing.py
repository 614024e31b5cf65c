"""Draws of tickets: the settings of one, its data, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.datasets import Dataset
from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading import reading
from growsearch.tickets.backbone import backbone_weights, weights_hash
from growsearch.tickets.granularity import (
    Granularity,
    check_granularity,
    check_layers,
    choose_units,
    pooled,
    unit_size,
)
from growsearch.tickets.pretraining import Pretrained
from growsearch.tickets.robustness import NATURAL, Robustness
from growsearch.tickets.ticket import Ticket, read_ticket_and_facts, write_ticket
from growsearch.training import Recipe, TrainingOptions, plain
from search_spaces import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawSettings:
    """What ticket is wanted.

    Attributes:
        scheme: a key of TICKET_SCHEMES.
        sparsity: the share of zeros in [0, 1) of all weights of convolutions and linear layers but
            the classifier.
        granularity: which weights go together; see GRANULARITIES.
        recipe: of the training that a scheme needs; for "imp" and "a-imp" of one round.
        rounds: how often "imp" and "a-imp" prune; each keeps the same share of what is left.
        robustness: what "a-imp" trains against.

    Example:
        >>> from growsearch.tickets import DrawSettings
        >>> DrawSettings(scheme="omp", sparsity=0.8).to_json()["granularity"]
        'unstructured'
    """

    scheme: str
    sparsity: float
    granularity: Granularity = "unstructured"
    recipe: Recipe | None = None
    rounds: int = 3
    robustness: Robustness = NATURAL

    def __post_init__(self) -> None:
        check_granularity(self.granularity)
        if not 0 <= self.sparsity < 1:
            raise UsageError(f"sparsity: {self.sparsity} is not in [0, 1)")
        if self.rounds < 1:
            raise UsageError(f"rounds: {self.rounds} is below 1")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "scheme": self.scheme,
            "sparsity": self.sparsity,
            "granularity": self.granularity,
            "recipe": None if self.recipe is None else plain(self.recipe),
            "rounds": self.rounds,
            "robustness": self.robustness.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One draw under way: where from, what, on which data, for which space, from which seed."""

    pretrained: Pretrained
    settings: DrawSettings
    data: Dataset | None
    seed: int
    options: TrainingOptions
    space: SearchSpace | None = None

    def training(self) -> tuple[Dataset, Recipe]:
        """Return the data and the recipe of a scheme that trains.

        Raises:
            UsageError: if one is missing.
        """
        scheme = self.settings.scheme
        if self.data is None or self.settings.recipe is None:
            missing = "data" if self.data is None else "a recipe"
            raise UsageError(f"scheme: {scheme} trains, so that it needs {missing}; give one")
        return self.data, self.settings.recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A ticket, what drawing it took in MACs, and how many training examples that saw."""

    ticket: Ticket
    training_macs: int = 0
    examples: int = 0


def write_drawn(path: Path, drawn: Drawn) -> None:
    """Write a ticket with what drawing it took; `read_ticket` reads the file, too.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.tickets import Drawn, Ticket, read_drawn, write_drawn
        >>> ticket = Ticket(
        ...     masks={"0.weight": torch.tensor([[True, False], [False, False]])},
        ...     scheme="imp",
        ...     granularity="unstructured",
        ...     sparsity=0.75,
        ...     theta="0123456789abcdef",
        ... )
        >>> path = Path("drawn.safetensors")
        >>> write_drawn(path, Drawn(ticket=ticket, training_macs=500, examples=20))
        >>> read_drawn(path).training_macs
        500
    """
    write_ticket(path, drawn.ticket, training_macs=drawn.training_macs, examples=drawn.examples)


def read_drawn(path: Path) -> Drawn:
    """Read what `write_drawn` wrote; errors are those of `read_ticket`.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.tickets import Ticket, read_drawn, write_ticket
        >>> ticket = Ticket(
        ...     masks={"0.weight": torch.tensor([[True, False], [False, False]])},
        ...     scheme="omp",
        ...     granularity="unstructured",
        ...     sparsity=0.75,
        ...     theta="0123456789abcdef",
        ... )
        >>> write_ticket(Path("ticket.safetensors"), ticket, examples=20)
        >>> read_drawn(Path("ticket.safetensors")).examples
        20
    """
    ticket, facts = read_ticket_and_facts(path)
    with reading(f"ticket: {path}", "it is damaged: draw it again", GrowsearchError):
        return Drawn(
            ticket=ticket,
            training_macs=int(facts.get("training_macs", 0)),
            examples=int(facts.get("examples", 0)),
        )


def kept_weights(model: nn.Module, sparsity: float) -> int:
    """Return how many backbone weights a ticket of this sparsity keeps; the zeros are rounded."""
    total = sum(weight.numel() for weight in backbone_weights(model).values())
    return total - round(sparsity * total)


@torch.no_grad()
def largest_units(
    model: nn.Module, kept: int, granularity: Granularity, masks: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the units of largest mean magnitude that have ``kept`` weights together, by layer.

    Args:
        model: its backbone is ranked, all layers together.
        kept: weights to keep.
        granularity: what a unit is.
        masks: units of an earlier round; what they leave out stays out.
    """
    scores, sizes = {}, {}
    check_layers(model, backbone_weights(model), granularity)
    for name, weight in backbone_weights(model).items():
        size = sizes[name] = unit_size(weight.shape, granularity)
        scores[name] = pooled(weight.detach().abs(), granularity) / size
        if masks is not None:
            scores[name] = scores[name].masked_fill(~masks[name], -torch.inf)
    return choose_units(scores, sizes, kept)


def ticket_of(draw: Draw, masks: dict[str, Tensor]) -> Ticket:
    """Return the ticket with these masks over the pretrained weights."""
    model, settings = draw.pretrained.model, draw.settings
    return Ticket(
        masks=masks,
        scheme=settings.scheme,
        granularity=settings.granularity,
        sparsity=settings.sparsity,
        theta=weights_hash(model, masks),
        source=draw.pretrained.source,
    )
