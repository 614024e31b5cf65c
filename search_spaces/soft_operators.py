"""Soft operators: stand-ins under which whatever depends on a channel is seen to move with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from search_spaces.operator_record import Operator

# Elementwise, but flat somewhere: a perturbation behind a closed ReLU would not be seen.
_FLAT = frozenset(
    {
        *("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "threshold"),
        *("hardswish", "hardsigmoid", "hardshrink", "softshrink"),
        *("ceil", "floor", "round", "sign", "trunc"),
    }
)
_SLOPE = 0.5

_RANDOM_OR_EMPTY = ("rand", "bernoulli", "multinomial", "native_dropout", "new_", "empty")


def soft(operator: Operator, values: Callable[[int], Tensor]) -> tuple[Tensor, ...]:
    """Run ``operator``; a flat activation function is replaced by one that rises everywhere."""
    if operator.name in _FLAT:
        data = values(operator.inputs[0])
        if data.is_floating_point():
            return (torch.nn.functional.leaky_relu(data, _SLOPE),)
    return operator(values)


def is_random_or_empty(operator: Operator) -> bool:
    """Tell whether what comes out has nothing to do with the values that go in."""
    return operator.name.startswith(_RANDOM_OR_EMPTY) or operator.name.endswith("_like")


def frozen_statistics(operator: Operator) -> tuple[int, ...] | None:
    """Return the axes that a mean, a variance or a norm is taken over and that it keeps, else None.

    Such statistics are put back beside what they were taken of, whatever its width.
    """
    arguments = operator.arguments
    if not arguments.get("keepdim") or "dim" not in arguments:
        return None
    dims = arguments["dim"]
    if isinstance(dims, int):
        return (dims,)
    return tuple(dims) if dims else None


def normalised_axes(operator: Operator) -> tuple[int, ...] | None:
    """Return the axes over which a norm or a softmax works, None for other operators.

    Those of a group norm are its groups: the caller has to reshape.
    """
    if operator.name in ("_softmax", "_log_softmax", "_safe_softmax"):
        return (int(operator.arguments["dim"]),)
    if operator.name == "native_layer_norm":
        count = len(operator.arguments["normalized_shape"])
        return tuple(range(-count, 0))
    return (1,) if operator.name == "native_group_norm" else None
