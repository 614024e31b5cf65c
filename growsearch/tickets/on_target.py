"""How does a pretrained network begin on other data? With its backbone under a new head."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.tickets.backbone import backbone_weights, classifier_name, load_backbone
from growsearch.tickets.pretraining import Pretrained
from search_spaces import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A network for other data: the module, its space, and which parameters are new in it."""

    model: nn.Module
    space: SearchSpace
    new: tuple[str, ...]


def start_of(
    pretrained: Pretrained, data: Dataset, seed: int, space: SearchSpace | None = None
) -> Start:
    """Return a network for ``data`` with the pretrained backbone.

    What is new is drawn from ``seed``: the classifier, and whatever else ``space`` has beyond the
    backbone. So is what does not fit images of another number of channels; a ticket that masks it
    will say so.

    Args:
        pretrained: where the backbone comes from.
        data: gives the network its shape.
        seed: of what is drawn.
        space: of networks over that backbone; None is that of the pretraining.

    Raises:
        UsageError: if the networks of ``space`` lack a layer of the backbone.
    """
    wanted = pretrained.space if space is None else space
    fitted = wanted.for_data(data.input_shape, data.num_classes)
    model = build_full(fitted, seed)
    parameters = dict(model.named_parameters())
    lacking = [name for name in backbone_weights(pretrained.model) if name not in parameters]
    if lacking:
        raise UsageError(
            f"space: {fitted.name} has no {lacking[0]}, which {pretrained.space.name} was "
            "pretrained with; take a space over the same backbone, such as deeplabv3-resnet50 over "
            "resnet50-imagenet"
        )
    state = pretrained.model.state_dict()
    taken = load_backbone(model, state, without=classifier_name(pretrained.model))
    new = tuple(name for name in parameters if name not in taken)
    return Start(model=model, space=fitted, new=new)
