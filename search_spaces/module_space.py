"""Search space of one network that exists, with its weights: all widths up to its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from search_spaces.own_networks.whole_networks import (
    check_unscripted,
    check_whole,
    copied,
    without_wrappers,
)
from search_spaces.traced_space import OwnSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSpace(OwnSpace):
    """All widths of ``module``, whose channel groups are declared or traced.

    At its full widths a network has the module's own weights.
    """

    module: nn.Module

    def made(self) -> nn.Module:
        """Return a copy of the module."""
        return copied(self.module)


def module_space(module: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> ModuleSpace:
    """Return the space of ``module``, which stays as it is.

    Raises:
        SearchSpaceError: for a scripted module, or weights without values.

    Example:
        >>> import torch
        >>> from search_spaces.module_space import module_space
        >>> net = torch.nn.Sequential(
        ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
        ... )
        >>> module_space(net, (4,), 2).full_widths()
        {'0': 8}
    """
    # A copy: what is traced once for a space stays true of it.
    check_unscripted(module)
    network = without_wrappers(copied(module))
    check_whole(network)
    return ModuleSpace(
        name=type(module).__name__,
        description="a network that exists",
        input_shape=input_shape,
        num_classes=num_classes,
        module=network,
    )
