"""Frozen parts of a network, and what a step takes with fewer gradients than a whole one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.metrics import evaluating
from growsearch.training import TRAINING_PASSES, Hook, TrainingState
from growsearch.transforms import MacProfile
from search_spaces.own_networks.keyword_inputs import tensors_given


def freeze(model: nn.Module, *, but: tuple[str, ...]) -> None:
    """Let every parameter keep its value in training, except those whose names start so."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(but))


def backward_macs(
    model: nn.Module, example: tuple[Tensor, ...], trained: Sequence[str], profile: MacProfile
) -> int:
    """Return the MACs of one example's backward pass where only ``trained`` has gradients.

    A layer's weights take as many MACs as its forward pass; so do its inputs, if something that is
    trained lies before them.

    Args:
        model: frozen but for ``trained``.
        example: inputs of one example.
        trained: names of parameters.
        profile: the MACs of each weight.
    """
    macs = {n: profile.per_weight[n] * profile.weights[n] for n in trained if n in profile.weights}
    depends: dict[str, bool] = {}

    def listen(name: str) -> None:
        layer = model.get_submodule(name.rpartition(".")[0])

        def hear(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            depends[name] = tensors_given(args, kwargs)[0].requires_grad

        handles.append(layer.register_forward_pre_hook(hear, with_kwargs=True))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in macs:
        listen(name)
    try:
        with evaluating(model), torch.enable_grad():
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return sum(count * (1 + depends.get(name, True)) for name, count in macs.items())


class FrozenBackbone(Hook):
    """Charges a step one forward pass of the network, and the backward pass of what is trained."""

    def __init__(self, backward_macs: int) -> None:
        """Prepare for one run; ``backward_macs`` are those of one example."""
        self._backward_macs = backward_macs

    def after_update(self, state: TrainingState) -> None:
        """Take back what the loop has charged for a whole backward pass."""
        there = state.forward_macs + self._backward_macs
        saved = TRAINING_PASSES * state.forward_macs - there
        state.training_macs -= saved * state.batch_examples

    def state(self) -> Mapping[str, Tensor]:
        """Return nothing: nothing changes."""
        return {}
