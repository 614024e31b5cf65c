"""Optimizer state by parameter name: moments of each weight, and a count of steps.

Keys are "PARAMETER/ENTRY", such as "stem.conv.weight/exp_avg". SGD has one moment and AdamW two and
the number of steps that a parameter has taken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from growsearch.training import Recipe, make_optimizer
from growsearch.training.devices import beside_parameter

# What a step follows, as it is and squared.
FIRST_MOMENTS = ("momentum_buffer", "exp_avg")
SECOND_MOMENTS = ("exp_avg_sq",)


def optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return all that there is of it; parameters that have not been updated yet have nothing."""
    return {
        f"{name}/{entry}": value
        for name, parameter in module.named_parameters()
        for entry, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def parameter_of(key: str) -> str:
    """Return the name of the parameter that ``key`` belongs to."""
    return key.rpartition("/")[0]


def is_first_moment(key: str) -> bool:
    """Tell whether ``key`` names a running mean of gradients."""
    return key.rpartition("/")[2] in FIRST_MOMENTS


def start_value(key: str, moments: Tensor) -> float:
    """Return where ``key``, whose full-size ``moments`` are known, starts for a new weight.

    A first moment starts at 0. A second one starts at the mean of its tensor's others: Adam
    corrects the bias of a start at 0 by the steps that the whole tensor has taken, so that a late
    newcomer's first steps would be up to max_k (1 - beta1^k) / sqrt(1 - beta2^k) times too long.
    """
    if key.rpartition("/")[2] not in SECOND_MOMENTS:
        return 0.0
    known = moments[moments > 0]
    return float(known.mean()) if len(known) else 0.0


def rebuild_optimizer(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    memory: Mapping[str, Tensor],
) -> None:
    """Point ``optimizer`` at the module's present parameters, in place.

    ``memory`` is what it then remembers of them, by `optimizer_state`'s keys.
    """
    fresh = make_optimizer(module, recipe)
    optimizer.state.clear()
    optimizer.param_groups[:] = fresh.param_groups
    parameters = dict(module.named_parameters())
    for key, value in memory.items():
        name = parameter_of(key)
        if name in parameters:
            entry = key.removeprefix(f"{name}/")
            kept = beside_parameter(entry, value, parameters[name])
            optimizer.state[parameters[name]][entry] = kept
