"""Identity initialisation: a unit without a shortcut joins a network that must go on as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.growth.gates.gate import GatedBatchNorm
from search_spaces import Unit
from search_spaces.own_networks.keyword_inputs import tensors_given


@torch.no_grad()
def become_identities(module: nn.Module, units: Sequence[Unit], inputs: Tensor) -> None:
    """Set the BatchNorms of new plain ``units`` so that on ``inputs`` (N, ...) they change nothing.

    Their convolutions pass on every channel (`Surgeon.restructure`). A BatchNorm behind one would
    still normalise; with the scale and shift of the very channels that come in it does not, and a
    ReLU leaves their outputs, none of them negative, as they are (Chen et al. 2016, "Net2Net",
    section 2.4). Gates that are half open are made up for. The network runs forward once, in
    training mode; on other batches it is kept as far as their statistics are the same.
    """
    handles = [
        layer.register_forward_pre_hook(_match, with_kwargs=True)
        for unit in units
        for layer in module.get_submodule(unit.module).modules()
        if isinstance(layer, GatedBatchNorm)
    ]
    was_training = module.training
    try:
        module.train()(inputs)
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()


def _match(norm: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert isinstance(norm, GatedBatchNorm)
    (x,) = tensors_given(args, kwargs)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    variance, mean = torch.var_mean(x, dim=axes, correction=0)
    factor = norm.factor()
    norm.weight.copy_((variance + norm.eps).sqrt() / factor)
    norm.bias.copy_(mean / factor)


def make_identity(weight: Tensor) -> None:
    """Fill the weight of a convolution or linear layer so that it passes on every channel."""
    if weight.ndim == 2:
        nn.init.eye_(weight)
    else:
        nn.init.dirac_(weight)
