"""Retargeting: a pretrained backbone under a new head, for other data."""

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
class Retargeted:
    """A network for other data: the module, its space, and which parameters are new in it."""

    model: nn.Module
    space: SearchSpace
    new: tuple[str, ...]


def retarget(
    pretrained: Pretrained, data: Dataset, seed: int, space: SearchSpace | None = None
) -> Retargeted:
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
        UsageError: if the networks of ``space`` are not over that backbone.
    """
    wanted = pretrained.space if space is None else space
    fitted = wanted.for_data(data.input_shape, data.num_classes)
    model = build_full(fitted, seed)
    if space is not None:
        check_backbone(pretrained.model, model, pretrained.space.name, fitted.name)
    state = pretrained.model.state_dict()
    taken = load_backbone(model, state, without=classifier_name(pretrained.model))
    new = tuple(name for name, _ in model.named_parameters() if name not in taken)
    return Retargeted(model=model, space=fitted, new=new)


def check_backbone(below: nn.Module, above: nn.Module, source: str, target: str) -> None:
    """Refuse a network ``above`` that is not one over the backbone of ``below``.

    It must have every weight of the backbone, and in the backbone's parts no other: a block that is
    drawn anew in the middle of a pretrained network would turn all behind it into noise.

    Args:
        below: a network as it is pretrained; weights do not matter.
        above: one for another task.
        source: what ``below`` is called, for the message.
        target: what ``above`` is called.

    Raises:
        UsageError: naming a layer.

    Example:
        >>> from torch import nn
        >>> from growsearch.errors import UsageError
        >>> from growsearch.tickets import check_backbone
        >>> below = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
        >>> check_backbone(below, nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 5)), "a", "b")
        >>> try:
        ...     check_backbone(below, nn.Sequential(nn.ReLU(), nn.Linear(8, 4)), "a", "b")
        ... except UsageError as error:
        ...     print(str(error).split(";")[0])
        space: b has no 0.weight, which a was pretrained with
    """
    remedy = (
        "take a space over the same backbone, such as deeplabv3-resnet50 over resnet50-imagenet"
    )
    wanted, found = backbone_weights(below), dict(above.named_parameters(remove_duplicate=False))
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise UsageError(
            f"space: {target} has no {lacking[0]}, which {source} was pretrained with; {remedy}"
        )
    own = dict(below.named_parameters(remove_duplicate=False))
    parts = {name.partition(".")[0] for name in wanted}
    foreign = [n for n in found if n.partition(".")[0] in parts and n not in own]
    if foreign:
        raise UsageError(
            f"space: {target} has {foreign[0]} in its backbone, which {source} was not pretrained "
            f"with; {remedy}"
        )
