"""How does a pretrained network begin on other data? With its backbone, and a new classifier."""

from __future__ import annotations

from torch import nn

from growsearch.datasets import Dataset
from growsearch.growth import build_full
from growsearch.tickets.backbone import classifier_name, load_backbone
from growsearch.tickets.pretraining import Pretrained
from search_spaces import SearchSpace


def start_of(pretrained: Pretrained, data: Dataset, seed: int) -> tuple[nn.Module, SearchSpace]:
    """Return a network for ``data`` with the pretrained backbone, and its space.

    The classifier is drawn from ``seed``. So is what does not fit images of another number of
    channels; a ticket that masks it will say so.

    Args:
        pretrained: where the backbone comes from.
        data: gives the network its shape.
        seed: of what is drawn.
    """
    space = pretrained.space.for_data(data.input_shape, data.num_classes)
    model = build_full(space, seed)
    load_backbone(model, pretrained.model.state_dict(), without=classifier_name(pretrained.model))
    return model, space
