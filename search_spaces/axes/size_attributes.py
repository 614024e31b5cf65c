"""Size attributes: numbers that a module keeps of its own width, and that follow its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeAttribute:
    """An attribute of a module that is ``factor`` times the number of a group's channels.

    Code that views a tensor as heads reads their number there, or that of all of their entries.

    Attributes:
        module: the path of the module.
        name: of the attribute, a whole number or a sequence of such.
        factor: what one channel adds to it.
        place: where in the sequence the number is; None if the attribute is the number.

    Example:
        >>> from torch import nn
        >>> from search_spaces.axes.size_attributes import SizeAttribute
        >>> layer = nn.Identity()
        >>> layer.heads, layer.inner = 4, (3, 32)
        >>> SizeAttribute(module="", name="heads").follow(layer, 3)
        >>> SizeAttribute(module="", name="inner", factor=8, place=1).follow(layer, 3)
        >>> layer.heads, layer.inner
        (3, (3, 24))
    """

    module: str
    name: str
    factor: int = 1
    place: int | None = None

    def follow(self, module: nn.Module, size: int) -> None:
        """Set the attribute within ``module`` to what a group of ``size`` channels asks for."""
        layer = module.get_submodule(self.module)
        number = size * self.factor
        if self.place is None:
            setattr(layer, self.name, number)
            return
        sequence = getattr(layer, self.name)
        changed = [*sequence[: self.place], number, *sequence[self.place + 1 :]]
        setattr(layer, self.name, type(sequence)(changed))
