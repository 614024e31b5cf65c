"""OMP: which ticket has the largest weights of the pretrained network? One-shot pruning."""

from __future__ import annotations

from growsearch.tickets.backbone import backbone_weights
from growsearch.tickets.drawing import Draw, Drawn, kept_weights, largest_units, ticket_of
from growsearch.tickets.granularity import expanded


def one_shot(draw: Draw) -> Drawn:
    """Keep the weights of largest magnitude, all layers ranked together (arXiv 2304.11834, 2.2)."""
    model, settings = draw.pretrained.model, draw.settings
    units = largest_units(model, kept_weights(model, settings.sparsity), settings.granularity)
    weights = backbone_weights(model)
    return Drawn(
        ticket=ticket_of(draw, {n: expanded(u, weights[n].shape) for n, u in units.items()})
    )
