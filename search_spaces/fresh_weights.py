"""Weight initialisation of any network, after a resize has left its tensors without values."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn

from search_spaces.blocks import initialise
from search_spaces.channel_groups import reinitialise

_DEVIATION = 0.02


@runtime_checkable
class InitialisesItself(Protocol):
    """A network with an initialisation of its own."""

    def initialise(self) -> None:
        """Draw every value afresh from torch's default generator."""
        ...


def initialise_network(module: nn.Module) -> None:
    """Draw every parameter of ``module`` afresh from torch's default generator.

    A network with a method ``initialise()`` does so itself. Otherwise convolutions and linear
    layers get He et al.'s (2015) values, other layers those of their own ``reset_parameters``, and
    parameters of layers without one a normal distribution of deviation 0.02.
    """
    if isinstance(module, InitialisesItself):
        module.initialise()
        return
    for layer in module.modules():
        if not callable(getattr(layer, "reset_parameters", None)):
            for parameter in layer.parameters(recurse=False):
                nn.init.normal_(parameter, std=_DEVIATION)
    reinitialise(module)
    initialise(module)
