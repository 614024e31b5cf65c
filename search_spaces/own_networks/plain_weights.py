"""Re-parametrised weights: which weights does a network compute from others, and store nowhere?

Masks, new widths and growth write to stored weights; what they write there would be overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from search_spaces.errors import SearchSpaceError

_WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reparametrised:
    """A tensor that is computed in every forward pass: its name, by what, and how to store it."""

    name: str
    by: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.name} is re-parametrised by {self.by}: it is computed from other tensors in "
            f"every forward pass, so that no mask and no new width of it lasts; {self.remedy}"
        )


def reparametrised(module: nn.Module) -> tuple[Reparametrised, ...]:
    """Return the re-parametrised tensors of ``module``, in module order.

    These are those of `torch.nn.utils.parametrize` (weight norm, spectral norm, orthogonal), of the
    older hooks (`weight_norm`, `spectral_norm`, `torch.nn.utils.prune`), and the weight of every
    convolution or linear layer that the layer stores neither as a parameter nor as a buffer.
    """
    return tuple(found for path, layer in module.named_modules() for found in _of(path, layer))


def check_plain_weights(module: nn.Module) -> None:
    """Refuse a network with a re-parametrised tensor.

    Raises:
        SearchSpaceError: naming the first one, and how it is made a stored tensor again.
    """
    for found in reparametrised(module):
        raise SearchSpaceError(f"{type(module).__name__}: {found}")


def _of(path: str, layer: nn.Module) -> Iterator[Reparametrised]:
    prefix = f"{path}." if path else ""
    found = {leaf: (by, call) for leaf, by, call in _computed(layer)}
    for leaf, (by, call) in found.items():
        remedy = f'make the network without it, or store it with {call}(layer, "{leaf}")'
        yield Reparametrised(name=prefix + leaf, by=by, remedy=remedy)
    # A buffer is stored, too: a fixed filter.
    stored = any(held.get("weight") is not None for held in (layer._parameters, layer._buffers))
    if isinstance(layer, _WEIGHTED) and not stored and "weight" not in found:
        remedy = "make it a parameter of the layer"
        yield Reparametrised(name=f"{prefix}weight", by=type(layer).__name__, remedy=remedy)


def _computed(layer: nn.Module) -> Iterator[tuple[str, str, str]]:
    """Yield each computed tensor's name in the layer, what computes it, and what undoes that."""
    if parametrize.is_parametrized(layer):
        assert isinstance(layer.parametrizations, nn.ModuleDict)
        for leaf, kinds in layer.parametrizations.items():
            by = ", ".join(type(kind).__name__.lstrip("_") for kind in kinds.children())
            yield leaf, by, "torch.nn.utils.parametrize.remove_parametrizations"
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod):
            yield hook._tensor_name, "torch.nn.utils.prune", "torch.nn.utils.prune.remove"
        elif isinstance(hook, WeightNorm):
            yield hook.name, "weight_norm", "torch.nn.utils.remove_weight_norm"
        elif isinstance(hook, SpectralNorm):
            yield hook.name, "spectral_norm", "torch.nn.utils.remove_spectral_norm"
