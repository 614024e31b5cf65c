"""Soft operators: stand-ins under which whatever depends on a channel is seen to move with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from search_spaces.tracing.operator_record import Operator

# Elementwise, but flat somewhere, if only to the last bit: what comes in would not be seen.
_FLAT = frozenset(
    {
        *("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "threshold"),
        *("hardswish", "hardsigmoid", "hardshrink", "softshrink", "elu", "celu", "selu"),
        *("sigmoid", "tanh", "silu", "gelu", "mish", "softplus", "erf"),
        *("ceil", "floor", "round", "sign", "trunc"),
    }
)
_SLOPE = 0.5
_CHOICES = ("where", "maximum", "minimum", "fmax", "fmin")

_CHOOSING = ("max", "min", "topk", "sort", "median", "mode", "kthvalue")
_RANDOM_OR_EMPTY = ("rand", "bernoulli", "multinomial", "native_dropout", "new_", "empty")


def soft(operator: Operator, values: Callable[[int], Tensor]) -> tuple[Tensor, ...]:
    """Run ``operator``; what is flat or a choice somewhere is replaced by what never is.

    A flat activation function rises everywhere, and a choice between two tensors is their sum.
    """
    floating = [v for v in map(values, operator.inputs) if v.is_floating_point()]
    if operator.name in _FLAT and floating:
        return (torch.nn.functional.leaky_relu(floating[0], _SLOPE),)
    if operator.name == "_prelu_kernel":
        return (floating[0] * floating[1],)
    if operator.name in _CHOICES and len(floating) == 2:
        one, other = (each.nan_to_num(0.0, 0.0, 0.0) for each in floating)
        size = operator(values)[0].shape
        return ((one + other).expand(size),)
    return operator(values)


def is_random_or_empty(operator: Operator) -> bool:
    """Tell whether what comes out has nothing to do with the values that go in."""
    return operator.name.startswith(_RANDOM_OR_EMPTY) or operator.name.endswith("_like")


def is_choice_of_entries(operator: Operator) -> bool:
    """Tell whether only some of the entries that go in go on, which ones is up to their values."""
    name = operator.name
    if "softmax" in name or name in _FLAT or name in _CHOICES:
        return False
    return any(word in name for word in _CHOOSING)


def frozen_statistics(operator: Operator, *, kept: bool = True) -> tuple[int, ...] | None:
    """Return the axes that a mean, a variance or a norm is taken over and that it keeps, else None.

    Such statistics are put back beside what they were taken of, whatever its width.

    Args:
        operator: any.
        kept: False where axes that are not kept count as well: within a norm they come back.
    """
    arguments = operator.arguments
    if "dim" not in arguments or "keepdim" not in arguments:
        return None
    if kept and not arguments["keepdim"]:
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


def deviation(value: Tensor) -> float:
    """Return the standard deviation of what is finite in ``value``."""
    finite = value[value.isfinite()]
    return float(finite.detach().float().std(correction=0)) if finite.numel() else 0.0
