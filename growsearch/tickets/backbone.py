"""Backbone: the part of a network that a ticket is drawn from, all but its classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.sparsity import first_and_last, prunable_parameters


def classifier_name(model: nn.Module) -> str:
    """Return the path of the classifier: the last convolution or linear layer."""
    return first_and_last(model)[1].rpartition(".")[0]


def backbone_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of every convolution and linear layer but the classifier, by name.

    Raises:
        UsageError: if there is none.

    Example:
        >>> from torch import nn
        >>> from growsearch.tickets import backbone_weights
        >>> list(backbone_weights(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))))
        ['0.weight']
    """
    classifier = first_and_last(model)[1]
    weights = {n: w for n, w in prunable_parameters(model).items() if n != classifier}
    if not weights:
        raise UsageError(
            f"{type(model).__name__} has no layer before its classifier to draw a ticket from"
        )
    return weights


def weights_hash(model: nn.Module, names: Iterable[str]) -> str:
    """Return 16 hexadecimal digits of the parameters ``names``: names, shapes and values.

    Example:
        >>> import torch
        >>> from growsearch.tickets import weights_hash
        >>> layer = torch.nn.Linear(2, 2)
        >>> before = weights_hash(layer, ["weight"])
        >>> _ = layer.weight.data.add_(1.0)
        >>> len(before), before == weights_hash(layer, ["weight"])
        (16, False)
    """
    digest = hashlib.sha256()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in sorted(names):
        if name not in parameters:
            raise UsageError(f"ticket: {type(model).__name__} has no parameter {name!r}")
        value = parameters[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(value.shape)} {value.dtype} ".encode())
        digest.update(value.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def load_backbone(model: nn.Module, state: Mapping[str, Tensor], *, without: str) -> set[str]:
    """Copy every tensor of ``state`` that ``model`` has too, in name and shape, but ``without``.

    Returns their names.

    Args:
        model: changed in place.
        state: a pretrained network's.
        without: the path of its classifier.
    """
    own, taken = model.state_dict(keep_vars=False), set()
    for name, value in state.items():
        if name.rpartition(".")[0] == without:
            continue
        if name in own and own[name].shape == value.shape:
            own[name].copy_(value)
            taken.add(name)
    return taken
