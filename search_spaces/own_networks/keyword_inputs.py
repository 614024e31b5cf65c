"""Keyword inputs: networks that take their inputs by name, run by position where that is needed."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from search_spaces.errors import SearchSpaceError

# Positional inputs, or inputs by the names of arguments; each has the batch on axis 0.
ExampleInputs = tuple[Tensor, ...] | Mapping[str, Tensor]


def by_position(
    module: nn.Module, example_inputs: ExampleInputs
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return a network that takes the inputs by position, and the inputs in their order.

    Of inputs by name it is a shallow copy of ``module``, with the same layers: `by_name_again`
    gives it, or a deep copy of it, the calls back that ``module`` has.

    Raises:
        SearchSpaceError: if the inputs are no tensors.

    Example:
        >>> import torch
        >>> from search_spaces.own_networks.keyword_inputs import by_position
        >>> class Sum(torch.nn.Module):
        ...     def forward(self, *, left, right):
        ...         return left + right
        >>> found, inputs = by_position(Sum(), {"right": torch.ones(1), "left": torch.ones(1)})
        >>> found(*inputs)
        tensor([2.])
    """
    tensors = example_inputs.values() if isinstance(example_inputs, Mapping) else example_inputs
    if not tensors or not all(isinstance(each, Tensor) for each in tensors):
        raise SearchSpaceError(
            f"example_inputs is {type(example_inputs).__name__}: give a tuple of tensors, or a "
            "mapping from the names of arguments to tensors"
        )
    if not isinstance(example_inputs, Mapping):
        return module, tuple(example_inputs)
    twin = copy.copy(module)
    twin.__dict__["forward"] = _ByName(twin, tuple(example_inputs))
    return twin, tuple(example_inputs.values())


def tensors_given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return the tensors that a layer is called with, by position or by name, in that order.

    Example:
        >>> import torch
        >>> from search_spaces.own_networks.keyword_inputs import tensors_given
        >>> tensors_given((), {"input": torch.ones(1), "scale": 2})
        (tensor([1.]),)
    """
    return tuple(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))


def by_name_again(module: nn.Module) -> nn.Module:
    """Let ``module``, which `by_position` has made or a copy of it, be called as its class says."""
    forward = vars(module).get("forward")
    if isinstance(forward, _ByName):
        del module.__dict__["forward"]
        if forward.own is not None:
            module.__dict__["forward"] = forward.own
    return module


class _ByName:
    """A forward that gives positional inputs on by name; copies go with their network."""

    def __init__(self, owner: nn.Module, names: tuple[str, ...]) -> None:
        self._owner, self._names = owner, names
        self.own = vars(owner).get("forward")

    def __call__(self, *inputs: Any) -> Any:
        """Run the owner."""
        run = self.own or functools.partial(type(self._owner).forward, self._owner)
        return run(**dict(zip(self._names, inputs, strict=True)))
