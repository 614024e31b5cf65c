"""Live statistics: LayerNorm, RMSNorm and their like, taken over some of their channels only.

A network that normalises over channels hears of every channel there. Without some of them it is
the full network whose norms leave them out. Whether a module is such a norm is seen from what it
does: torch's own and those that a person writes are found alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup

# Those that torch's norms, and papers, have; a module's own come first.
_EPSILONS = (1e-5, 1e-6, 1e-12, 1e-8, 1e-3, 0.0)
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
# So small that it shows where a norm adds its epsilon; and so large that none does.
_SMALL, _LARGE = 3e-3, 1e4
# What code raises that is given inputs of another shape.
_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """What a module does to its input: scale * (x - mean) / sqrt(variance + eps) + shift.

    Attributes:
        axes: those that mean and variance are taken over, from the last (-1) backwards, or
            (1, 2, ...) where the channels are on axis 1.
        channels: the axis of the channels, one of ``axes``.
        centred: False where there is no mean (RMSNorm): the mean square is the variance then.
        eps: None for the smallest step of the input's type, as in `torch.nn.RMSNorm`.
    """

    axes: tuple[int, ...]
    channels: int
    centred: bool
    eps: float | None

    def normalised(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """Return (x - mean) / sqrt(variance + eps), of ``live`` channels where they are given.

        Args:
            x: any shape that has the axes.
            live: (channels,) of 0 and 1; in between, a channel counts in part.
        """
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        weight = torch.ones_like(x)
        if live is not None:
            shape = [1] * x.ndim
            shape[self.channels] = -1
            weight = weight * live.to(x).view(shape)
        count = weight.sum(self.axes, keepdim=True)
        if self.centred:
            x = x - (x * weight).sum(self.axes, keepdim=True) / count
        variance = (x.square() * weight).sum(self.axes, keepdim=True) / count
        return x / (variance + eps).sqrt()

    def live_output(self, layer: nn.Module, x: Tensor, live: Tensor) -> Tensor:
        """Return what ``layer``, which is such a norm, puts out with the statistics of ``live``.

        Its scale and shift are seen from what it makes of two inputs, whatever holds them.

        Args:
            layer: the module.
            x: its input.
            live: as for `normalised`.
        """
        scale, shift = self.affine(layer, x)
        return self.normalised(x, live) * scale + shift

    def affine(self, layer: nn.Module, x: Tensor, size: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return scale and shift of ``layer``, of size 1 on the axes that are not normalised.

        They are seen on inputs like ``x``, of values of about ``size``.
        """
        own = {axis % x.ndim for axis in self.axes}
        shape = [length if axis in own else 1 for axis, length in enumerate(x.shape)]
        signs = 1.0 - 2.0 * (torch.arange(math.prod(shape)) % 2)
        given = size * signs.to(x).view(shape)
        up, down = layer(given), layer(-given)
        plain = self.normalised(given)
        known = plain.ne(0)
        scale = torch.where(known, (up - down) / torch.where(known, 2 * plain, 1.0), 0.0)
        return scale, (up + down) / 2


def find_norms(module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Norm]:
    """Return the modules within ``module`` that normalise over channels, by path.

    They take one tensor and return one of its shape. Torch's own are known, a person's own are
    tried with values under which no other function does the same.

    Args:
        module: it is run once, in the mode in which it is.
        inputs: positional.
    """
    paths = {id(layer): path for path, layer in module.named_modules() if _may_be_norm(layer)}
    examples: dict[str, tuple[nn.Module, Tensor]] = {}

    def seen(
        layer: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], out: object
    ) -> None:
        given = (*args, *kwargs.values())
        x = given[0] if len(given) == 1 else None
        if isinstance(x, Tensor) and isinstance(out, Tensor) and x.shape == out.shape:
            examples.setdefault(paths[id(layer)], (layer, x))

    layers = [layer for layer in module.modules() if id(layer) in paths]
    handles = [layer.register_forward_hook(seen, with_kwargs=True) for layer in layers]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    found: dict[str, Norm] = {}
    known: dict[object, Norm | None] = {}
    for path, (layer, x) in examples.items():
        # Layers of one class and size are alike, but for their values.
        alike = (type(layer), x.shape[1:], x.dtype, repr(_settings(layer)))
        if alike not in known:
            known[alike] = norm_of(layer, x)
        norm = known[alike]
        if norm is not None:
            found[path] = norm
    return found


def _settings(layer: nn.Module) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, (bool, int, float, str, tuple)) and name != "training"
    }


def _may_be_norm(layer: nn.Module) -> bool:
    """Tell whether a module holds no more than vectors, and is none of torch's other layers."""
    if isinstance(layer, (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)):
        return True
    own = type(layer).forward is not nn.Module.forward
    torchs = type(layer).__module__.startswith("torch.nn.")
    vectors = all(tensor.squeeze().ndim <= 1 for tensor in layer.parameters())
    return own and not torchs and vectors and not isinstance(layer, _LiveNorm)


@torch.no_grad()
def norm_of(layer: nn.Module, x: Tensor) -> Norm | None:
    """Return how ``layer`` normalises inputs like ``x`` over channels, None if it does not.

    Args:
        layer: it is run on other values.
        x: an input of it, batch first.
    """
    known = _torchs_own(layer, x.ndim)
    if known is not None:
        return known
    if not x.is_floating_point() or x.ndim < 2:
        return None
    with suppress(*_REFUSALS):
        return next((n for n in _candidates(layer, x) if _is(layer, n, x)), None)
    return None


def _torchs_own(layer: nn.Module, ndim: int) -> Norm | None:
    forward = type(layer).forward
    if isinstance(layer, nn.LayerNorm) and forward is nn.LayerNorm.forward:
        axes = tuple(range(-len(layer.normalized_shape), 0))
        return Norm(axes=axes, channels=axes[0], centred=True, eps=layer.eps)
    if isinstance(layer, nn.RMSNorm) and forward is nn.RMSNorm.forward:
        axes = tuple(range(-len(layer.normalized_shape), 0))
        return Norm(axes=axes, channels=axes[0], centred=False, eps=_eps(layer))
    if not isinstance(layer, nn.GroupNorm) or forward is not nn.GroupNorm.forward:
        return None
    if layer.num_groups == 1:
        return Norm(axes=tuple(range(1, ndim)), channels=1, centred=True, eps=layer.eps)
    return None


def _eps(layer: nn.RMSNorm) -> float | None:
    return None if layer.eps is None else float(layer.eps)


def _candidates(layer: nn.Module, x: Tensor) -> Iterator[Norm]:
    generator = torch.Generator().manual_seed(0)
    given = _LARGE * torch.randn(x.shape, generator=generator).to(x)
    once, twice = layer(given), layer(2 * given)
    # As it divides by a deviation, the size of the input is not heard.
    if once.shape != x.shape or not torch.allclose(once, twice, rtol=1e-3, atol=1e-4):
        return
    own = [v for v in vars(layer).values() if isinstance(v, float) and 0 < v < 1e-1]
    epsilons = [*dict.fromkeys((*own, *_EPSILONS)), None]
    every = tuple(range(1, x.ndim))
    for axes, channels in (((-1,), -1), ((1,), 1), (every, 1), (every, -1)):
        for centred in (True, False):
            plain = Norm(axes=axes, channels=channels, centred=centred, eps=0.0)
            if _is(layer, plain, x, size=_LARGE):
                for eps in epsilons:
                    yield Norm(axes=axes, channels=channels, centred=centred, eps=eps)


def _is(layer: nn.Module, norm: Norm, x: Tensor, size: float = _SMALL) -> bool:
    """Tell whether ``layer`` does what ``norm`` says, on values of about ``size``."""
    generator = torch.Generator().manual_seed(1)
    given = size * torch.randn(x.shape, generator=generator).to(x)
    try:
        # One row says what scale and shift are, all others must have the same.
        scale, shift = norm.affine(layer, x, size)
        expected, out = norm.normalised(given) * scale + shift, layer(given)
    except _REFUSALS:
        return False
    # Where it computes in single precision inside, so it is compared.
    for tolerance in (_TOLERANCES.get(x.dtype, 1e-4), _TOLERANCES[torch.float32]):
        if torch.allclose(out, expected, rtol=tolerance, atol=tolerance * float(out.abs().max())):
            return bool(out.dtype == x.dtype)
    return False


class _LiveNorm(nn.Module):
    """A norm whose statistics are those of some channels; what it puts out of others is not."""

    def __init__(self, layer: nn.Module, norm: Norm, live: Tensor) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm
        self.register_buffer("live", live, persistent=False)

    def __getattr__(self, name: str) -> Any:
        """Return what the norm itself has: code around it may ask for its epsilon."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, x: Tensor) -> Tensor:
        live = self.live
        assert isinstance(live, Tensor)
        return self.norm.live_output(self.layer, x, live)


def use_live_statistics(
    module: nn.Module,
    groups: Iterable[ChannelGroup],
    dead: Mapping[str, Tensor],
    norms: Mapping[str, Norm],
) -> None:
    """Make the norms of ``groups`` leave the channels ``dead`` out of their statistics, in place.

    Args:
        module: the network, at full width.
        groups: of it; those with `ChannelGroup.normalised` are meant.
        dead: positions by the names of groups.
        norms: what `find_norms` returned.
    """
    for group in groups:
        for path in group.normalised if group.name in dead else ():
            layer = module.get_submodule(path)
            before = None
            if isinstance(layer, _LiveNorm):  # of another group, which is concatenated with this
                layer, before = layer.layer, layer.live
            live = _live(layer, path, group, dead[group.name])
            if isinstance(before, Tensor):
                live = live * before
            module.set_submodule(path, _LiveNorm(layer, norms[path], live))


def _live(layer: nn.Module, path: str, group: ChannelGroup, dead: Tensor) -> Tensor:
    """Return which entries of a norm's axis belong to live channels: (entries,) of 0 and 1."""
    held = [m for m in group.members if m.tensor.rpartition(".")[0] == path]
    if held:
        _, _, leaf = held[0].tensor.rpartition(".")
        live = torch.ones(getattr(layer, leaf).shape[held[0].axis])
        for member in (member for member in held if member.tensor == held[0].tensor):
            live[member.entries(dead, group.size)] = 0.0
        return live
    live = torch.ones(group.size)  # it holds no tensor, and takes a channel an entry
    live[dead] = 0.0
    return live


def norms_of_members(
    group: ChannelGroup, norms: Mapping[str, Norm], module: nn.Module
) -> tuple[str, ...]:
    """Return the paths of the norms over channels that hold a tensor of ``group``, in order."""
    owners = {member.tensor.rpartition(".")[0] for member in group.members if not member.reads}
    return tuple(path for path, _ in module.named_modules() if path in norms and path in owners)
