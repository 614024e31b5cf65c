"""Placement of a network: the device that its tensors are on, and data brought beside it."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

_CPU = torch.device("cpu")
# Devices that compute nothing in double precision.
SINGLE = frozenset({"mps"})


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the network's first tensor; the CPU for one without any.

    Example:
        >>> import torch
        >>> from growsearch.metrics.placement import device_of
        >>> device_of(torch.nn.Linear(4, 2))
        device(type='cpu')
    """
    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return _CPU if first is None else first.device


def beside(model: nn.Module, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return ``tensors`` on the device of ``model``; those that are there already as they are.

    Example:
        >>> import torch
        >>> from growsearch.metrics.placement import beside
        >>> (inputs,) = beside(torch.nn.Linear(4, 2), torch.ones(3, 4))
        >>> inputs.device
        device(type='cpu')
    """
    device = device_of(model)
    return tuple(tensor.to(device) for tensor in tensors)


def is_elsewhere(model: nn.Module) -> bool:
    """Tell whether ``model`` is on an accelerator: what is drawn or counted is so on the CPU."""
    return device_of(model).type not in ("cpu", "meta")


def on_cpu(model: nn.Module) -> nn.Module:
    """Bring ``model`` to the CPU, in place, if it is on an accelerator, and return it."""
    return model.cpu() if is_elsewhere(model) else model


def doubled(values: Tensor) -> Tensor:
    """Return ``values`` in double precision, on the CPU where their device has none."""
    return with_doubles(values).double()


def with_doubles(values: Tensor) -> Tensor:
    """Return ``values`` where there is double precision: on their device, or else on the CPU."""
    return values.cpu() if values.device.type in SINGLE else values
