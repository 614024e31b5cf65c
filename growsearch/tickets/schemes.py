"""Ticket schemes, TICKET_SCHEMES: the ways to draw a ticket, one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.tickets.backbone import backbone_weights
from growsearch.tickets.drawing import (
    Draw,
    Drawn,
    DrawSettings,
    kept_weights,
    largest_units,
    ticket_of,
)
from growsearch.tickets.granularity import expanded
from growsearch.tickets.iterative import adversarial_iterative, iterative
from growsearch.tickets.learnable import learnable
from growsearch.tickets.pretraining import Pretrained
from growsearch.training import TrainingOptions
from search_spaces import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """A way to draw a ticket.

    ``data`` says what it trains on: nothing, the data of the pretraining, or the task's.

    Example:
        >>> from growsearch.tickets import TICKET_SCHEMES
        >>> TICKET_SCHEMES["omp"].description
        'one-shot magnitude pruning of the pretrained weights'
    """

    draw: Callable[[Draw], Drawn]
    description: str
    data: str | None


def one_shot(draw: Draw) -> Drawn:
    """Keep the weights of largest magnitude, all layers ranked together (arXiv 2304.11834, 2.2)."""
    model, settings = draw.pretrained.model, draw.settings
    units = largest_units(model, kept_weights(model, settings.sparsity), settings.granularity)
    weights = backbone_weights(model)
    return Drawn(
        ticket=ticket_of(draw, {n: expanded(u, weights[n].shape) for n, u in units.items()})
    )


SOURCE, TARGET = "source", "target"

TICKET_SCHEMES: dict[str, Scheme] = {
    "omp": Scheme(
        draw=one_shot, description="one-shot magnitude pruning of the pretrained weights", data=None
    ),
    "imp": Scheme(
        draw=iterative,
        description="iterative magnitude pruning, rewound to the pretrained weights",
        data=SOURCE,
    ),
    "a-imp": Scheme(
        draw=adversarial_iterative,
        description="iterative magnitude pruning with adversarial training",
        data=SOURCE,
    ),
    "lmp": Scheme(
        draw=learnable,
        description="a mask learned for the task over frozen pretrained weights",
        data=TARGET,
    ),
}


def draw(
    pretrained: Pretrained,
    settings: DrawSettings,
    *,
    data: Dataset | None = None,
    seed: int = 0,
    options: TrainingOptions | None = None,
    space: SearchSpace | None = None,
) -> Drawn:
    """Draw a ticket from a pretrained network, which stays as it is.

    The number of zeros is round(sparsity x weights), exact where units are single weights and
    elsewhere as near as whole units come; the weights are those of `backbone_weights`. With
    ``options.checkpoint`` a draw that trains goes on where it was cut off.

    Args:
        pretrained: holds theta_pre.
        settings: what is wanted.
        data: what the scheme trains on: for "imp" and "a-imp" that of the pretraining, for "lmp"
            the task's; "omp" takes none.
        seed: of batches, perturbations and new classifiers.
        options: hooks, pause guard, checkpoint.
        space: for "lmp", the task's networks; see `TransferSettings`.

    Raises:
        UsageError: for an unknown scheme, or without what it needs.
        DivergedError: if a loss stops being finite.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.tickets import DrawSettings, draw, pretrain
        >>> from growsearch.training import Recipe
        >>> from search_spaces import search_space
        >>> images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
        >>> data = from_tensors(images, torch.arange(4).repeat(10))
        >>> pretrained = pretrain(search_space("mlp-digits"), data, Recipe(epochs=1), seed=0)
        >>> drawn = draw(pretrained, DrawSettings(scheme="omp", sparsity=0.75))
        >>> drawn.ticket.zeros / drawn.ticket.weights
        0.75
    """
    scheme = ticket_scheme(settings.scheme)
    return scheme.draw(
        Draw(
            pretrained=pretrained,
            settings=settings,
            data=data,
            seed=seed,
            options=options or TrainingOptions(),
            space=space,
        )
    )


def ticket_scheme(name: str) -> Scheme:
    """Return the scheme called ``name``.

    Raises:
        UsageError: if there is none; the valid ones are listed.

    Example:
        >>> from growsearch.tickets import ticket_scheme
        >>> ticket_scheme("imp").data
        'source'
    """
    if name not in TICKET_SCHEMES:
        raise UsageError(f"scheme: unknown {name!r}; valid: {', '.join(TICKET_SCHEMES)}")
    return TICKET_SCHEMES[name]
