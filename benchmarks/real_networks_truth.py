"""What does a network really compute with? Products counted and compared, apart from our packages.

MACs and zeros are read off the operands that reach torch's kernels, and a compact network is
compared with the full one whose consumers of the missing channels are zero.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from real_networks_list import Inputs
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import axes_by_tensor, is_consumed, named_tensors

TOLERANCE = 2e-6
_PRODUCTS = {"mm": (0, 1), "addmm": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2)}


def run(module: nn.Module, inputs: Inputs) -> Any:
    """Call a network, by position or by name."""
    return module(**inputs) if isinstance(inputs, dict) else module(*inputs)


def tensors_of(found: Any) -> list[Tensor]:
    """Return the tensors of an output, whatever holds them."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, (tuple, list)):
        return [each for part in found for each in tensors_of(part)]
    return []


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Let attention be products, as everybody counts it."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def flop_counter_macs(module: nn.Module, inputs: Inputs) -> int:
    """Return the MACs that torch's own counter finds."""
    from torch.utils.flop_counter import FlopCounterMode

    with plain_kernels(), FlopCounterMode(display=False) as counter:
        run(module, inputs)
    return int(counter.get_total_flops()) // 2


@dataclass
class Products:
    """MACs without zeros of one run, and the operands of its products: (numel, zeros), by place."""

    macs: float = 0.0
    operands: list[tuple[int, int]] = field(default_factory=list)
    places: set[int] = field(default_factory=set)


class _Kernels(TorchDispatchMode):
    def __init__(self, weights: set[int]) -> None:
        super().__init__()
        self.found, self._weights = Products(), weights

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name == "convolution":
            self._convolution(args, out)
        elif name in _PRODUCTS:
            self._product(*(args[place] for place in _PRODUCTS[name]))
        return out

    def _operand(self, weight: Tensor) -> int:
        nonzero = int(weight.count_nonzero())
        self.found.operands.append((weight.numel(), weight.numel() - nonzero))
        self.found.places.add(weight.untyped_storage().data_ptr())
        return nonzero

    def _convolution(self, args: Any, out: Tensor) -> None:
        nonzero, transposed = self._operand(args[1]), args[6]
        grid = args[0] if transposed else out
        self.found.macs += nonzero * (grid.numel() / grid.shape[1])

    def _product(self, a: Tensor, b: Tensor) -> None:
        left = a.untyped_storage().data_ptr() in self._weights
        weight, other = (a, b) if left else (b, a)
        free = other.numel() / (a.shape[-1] * (a.shape[0] if a.ndim == 3 else 1))
        nonzero = self._operand(weight)
        # Zeros of two activations are those of a ReLU or of padding, and nobody leaves them out.
        activations = a.ndim == 3 and weight.untyped_storage().data_ptr() not in self._weights
        self.found.macs += (weight.numel() if activations else nonzero) * free


def products(module: nn.Module, inputs: Inputs) -> Products:
    """Run ``module`` and return what its kernels got."""
    weights = {each.untyped_storage().data_ptr() for each in module.parameters()}
    with plain_kernels(), _Kernels(weights) as kernels:
        run(module, inputs)
    return kernels.found


@torch.no_grad()
def without_channels(
    full: nn.Module,
    compact: nn.Module,
    groups: tuple[ChannelGroup, ...],
    live: Mapping[str, Tensor],
) -> nn.Module:
    """Return a copy of ``full`` that hears nothing of the channels that are not ``live``.

    Their consumers' weights are zero; a norm over channels is ``compact``'s, on the live ones.
    """
    deaf = copy.deepcopy(full)
    tensors = named_tensors(deaf)
    for name, axes in axes_by_tensor(groups).items():
        for axis, group, member in axes:
            if is_consumed(full, member):
                dead = _others(live[group.name], group.size)
                tensors[name].index_fill_(axis, member.entries(dead, group.size), 0.0)
    _norms_over_live(deaf, compact, groups, live)
    return deaf


def _others(live: Tensor, size: int) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    mask[live] = False
    return mask.nonzero().flatten()


class _LiveNorm(nn.Module):
    """A norm over those channels only that are live; the others are 0 behind it."""

    def __init__(self, norm: nn.Module, live: Tensor, size: int) -> None:
        super().__init__()
        self.norm, self.live, self.size = norm, live, size
        self.channels_second = isinstance(norm, nn.GroupNorm) or type(norm).__name__.endswith("2d")

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        axis = 1 if self.channels_second or x.shape[-1] != self.size else x.ndim - 1
        found = self.norm(x.index_select(axis, self.live), *args, **kwargs)
        whole = x.new_zeros(*found.shape[:axis], self.size, *found.shape[axis + 1 :])
        return whole.index_copy(axis, self.live, found)


def _norms_over_live(
    deaf: nn.Module,
    compact: nn.Module,
    groups: tuple[ChannelGroup, ...],
    live: Mapping[str, Tensor],
) -> None:
    sizes = {name: tensor.shape for name, tensor in named_tensors(deaf).items()}
    # Not so in a unit that is left out.
    there = named_tensors(compact)
    for path, layer in list(deaf.named_modules()):
        kept = live_entries(deaf, groups, live, f"{path}.weight")
        if _is_norm_over_channels(layer) and kept and f"{path}.weight" in there:
            ((_, entries),) = kept.items()
            norm = copy.deepcopy(compact.get_submodule(path))
            deaf.set_submodule(path, _LiveNorm(norm, entries, sizes[f"{path}.weight"][0]))
    for group in groups:
        for path in getattr(group, "normalised", ()):
            # Without scale and shift nothing but the group says that the norm is one of it.
            bare = not list(deaf.get_submodule(path).parameters())
            if bare and len(live[group.name]) < group.size:
                norm = copy.deepcopy(compact.get_submodule(path))
                deaf.set_submodule(path, _LiveNorm(norm, live[group.name], group.size))


def live_entries(
    full: nn.Module, groups: tuple[ChannelGroup, ...], live: Mapping[str, Tensor], name: str
) -> dict[int, Tensor]:
    """Return which entries of a full tensor are left, by those of its axes that lose some."""
    masks: dict[int, Tensor] = {}
    for axis, group, member in axes_by_tensor(groups).get(name, ()):
        dead = _others(live[group.name], group.size)
        if len(dead):
            size = named_tensors(full)[name].shape[axis]
            mask = masks.setdefault(axis, torch.ones(size, dtype=torch.bool))
            mask[member.entries(dead, group.size)] = False
    return {axis: mask.nonzero().flatten() for axis, mask in masks.items()}


def _is_norm_over_channels(layer: nn.Module) -> bool:
    name = type(layer).__name__.lower()
    return "norm" in name and not isinstance(layer, nn.modules.batchnorm._NormBase)


@torch.no_grad()
def close_absent(full: nn.Module, compact: nn.Module, units: Iterable[Unit]) -> None:
    """Let those of ``units`` that ``compact`` has not add zeros to ``full``'s streams, in place."""
    there, tensors = named_tensors(compact), named_tensors(full)
    for unit in units:
        inside = [name for name in tensors if unit.holds(name)]
        if any(name not in there for name in inside):
            for name in unit.last:
                tensors[name].zero_()


@torch.no_grad()
def difference(first: nn.Module, second: nn.Module, inputs: Inputs) -> float:
    """Return the largest difference of two networks' outputs, relative to the largest output."""
    with plain_kernels():
        ours = tensors_of(run(first.eval(), inputs))
        theirs = tensors_of(run(second.eval(), inputs))
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return float("inf")
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if not bool(a.isfinite().all()) or not bool(b.isfinite().all()):
            return float("inf")
        scale = max(float(b.abs().max()), 1e-12)
        worst = max(worst, float((a - b).abs().max()) / scale)
    return worst


def in_double(inputs: Inputs) -> Inputs:
    """Return floating inputs in double precision."""

    def double(each: Tensor) -> Tensor:
        return each.double() if each.is_floating_point() else each

    if isinstance(inputs, dict):
        return {name: double(each) for name, each in inputs.items()}
    return tuple(double(each) for each in inputs)


@torch.no_grad()
def stirred(module: nn.Module, inputs: Inputs | None = None, seed: int = 0) -> nn.Module:
    """Draw values at which outputs hear every layer; BatchNorms have the statistics of ``inputs``.

    The 0 and 1 of a fresh network's vectors would hide mistakes, and so would the small weights
    with which some networks begin.
    """
    draw = torch.Generator().manual_seed(seed)
    for name, value in named_tensors(module).items():
        if not value.is_floating_point() or value.numel() < 2:
            continue
        noise = torch.rand(value.shape, generator=draw).to(value)
        if name.endswith("running_var"):
            value.copy_(0.5 + noise)
        elif value.ndim > 1 and value[0].numel() > 1:
            # Uniform of a variance of 1.5 / inputs.
            value.copy_((noise - 0.5) * (18 / value[0].numel()) ** 0.5)
        elif value.ndim == 1 or float(value.abs().max()) == 0:
            value.add_(0.2 * (noise - 0.3))
    if inputs is not None:
        _take_statistics(module, inputs)
    return module


def _take_statistics(module: nn.Module, inputs: Inputs) -> None:
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    run(module, inputs)
    for norm, momentum in zip(norms, before, strict=True):
        norm.eval()
        norm.momentum = momentum
