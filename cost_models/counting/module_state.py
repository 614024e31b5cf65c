"""Module state kept: a module is looked at without leaving a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_SAVED_TYPES = (Tensor, nn.Parameter)
# Where a module keeps its parameters, buffers, children and hooks.
_CONTAINERS = tuple(
    name for name, value in vars(nn.Module()).items() if isinstance(value, (dict, set))
)


@contextmanager
def untouched(module: nn.Module) -> Iterator[nn.Module]:
    """Give the module in eval mode; put back everything about it, and the random state.

    Put back are modes, attributes, hooks, parameters and buffers with their values, whether they
    want gradients, and which gradients they have. What an attribute refers to, such as a list, is
    not looked into, nor are the values of tensors on the meta device, of other layouts than strided
    or of subclasses of tensors. Of a scripted module modes and hooks alone are put back.
    """
    parts = [_Part.of(part) for part in module.modules()]
    values = [_Value.of(tensor) for tensor in _tensors(module)]
    with torch.random.fork_rng(devices=_devices_in_use()):
        try:
            yield module.eval()
        finally:
            for part in parts:
                part.restore()
            with torch.no_grad():
                for value in values:
                    value.restore()


def _devices_in_use() -> range:
    """Return the accelerators' indices. Asking one that nothing has used yet would start it."""
    kind = torch.accelerator.current_accelerator()
    if kind is None:
        return range(0)
    module = torch.get_device_module(kind)
    in_use = getattr(module, "is_initialized", lambda: True)()
    return range(module.device_count() if in_use else 0)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers, those that are shared once; a scripted module lends copies."""
    found: dict[int, Tensor] = {}
    for part in module.modules():
        if not isinstance(part, torch.jit.ScriptModule):
            held = [*part._parameters.values(), *part._buffers.values()]
            found |= {id(tensor): tensor for tensor in held if tensor is not None}
    yield from found.values()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One module of the tree, as it was: its attributes, and what torch's containers held."""

    part: nn.Module
    attributes: dict[str, Any]
    containers: tuple[tuple[Any, Any], ...]

    @classmethod
    def of(cls, part: nn.Module) -> _Part:
        scripted = isinstance(part, torch.jit.ScriptModule)
        names = ("_forward_hooks", "_forward_pre_hooks") if scripted else _CONTAINERS
        held = [each for name in names if (each := getattr(part, name, None)) is not None]
        return cls(
            part=part,
            attributes={"training": part.training} if scripted else dict(vars(part)),
            containers=tuple((each, each.copy()) for each in held),
        )

    def restore(self) -> None:
        if isinstance(self.part, torch.jit.ScriptModule):
            self.part.training = self.attributes["training"]
        else:
            now = vars(self.part)
            for name in now.keys() - self.attributes.keys():
                del now[name]
            now.update(self.attributes)
        for container, before in self.containers:
            container.clear()
            container.update(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A parameter or buffer as it was; `copy` is None where its value is not looked at."""

    tensor: Tensor
    alias: Tensor
    copy: Tensor | None
    requires_grad: bool
    gradient: Tensor | None
    leaf: bool

    @classmethod
    def of(cls, tensor: Tensor) -> _Value:
        plain = (
            type(tensor) in _SAVED_TYPES
            and tensor.layout == torch.strided
            and not tensor.is_meta
            # Inference tensors keep no version counter, and nothing may write to them either.
            and not tensor.is_inference()
        )
        return cls(
            tensor=tensor,
            alias=tensor.detach() if plain else tensor,
            copy=tensor.detach().clone() if plain else None,
            requires_grad=tensor.requires_grad,
            gradient=tensor.grad if tensor.is_leaf else None,
            leaf=tensor.is_leaf,
        )

    def restore(self) -> None:
        # The forward pass has written what it computed into it; torch lets go of no view so.
        if self.leaf and not self.tensor.is_leaf and not self.tensor._is_view():
            self.tensor.detach_()
        if self.tensor.is_leaf and self.tensor.requires_grad != self.requires_grad:
            self.tensor.requires_grad_(self.requires_grad)
        if self.tensor.is_leaf and self.tensor.grad is not self.gradient:
            self.tensor.grad = self.gradient
        if self.copy is None:
            return
        if self.tensor.data_ptr() != self.alias.data_ptr():
            self.tensor.data = self.alias  # the forward pass has given it another memory
        if not _same(self.tensor, self.copy):
            self.tensor.copy_(self.copy)


def _same(now: Tensor, before: Tensor) -> bool:
    """Tell whether nothing has changed, NaN included: writing would disturb a pending backward."""
    if torch.equal(now, before):
        return True
    return now.is_floating_point() and torch.allclose(now, before, rtol=0, atol=0, equal_nan=True)
