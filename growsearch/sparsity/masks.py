"""Masks, the one owner of which weights are active: bool buffers beside the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.sparsity.lasting_zeros import check_layers_keep_zeros

_WEIGHT, _SUFFIX = "weight", "_mask"
_PART = 2**16
# Integers as wide as the floats, to work on their bits.
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
}


class Masks:
    """The masks of one module, True where a weight is active.

    The masks are persistent bool buffers on the layers (``weight_mask`` beside ``weight``), so they
    follow the module through ``deepcopy``, ``to`` and ``state_dict``; find them again with
    `Masks.of`. A strict ``load_state_dict`` of a checkpoint without masks fails and names them;
    `masks_in_state` reads those of a checkpoint that has some.

    Masked weights are kept at exactly zero *in* the weights: `apply` runs once a step, and forward
    passes need no mask. An optimizer's momentum can therefore never bring a masked weight back.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Masks, sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> _ = sparsify(module, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        >>> masks = Masks.of(module)
        >>> masks.names, sum(masks.nonzeros().values())
        (('0.weight', '2.weight'), 20)
    """

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        self._module = module
        self._names = names

    @classmethod
    def attach(cls, module: nn.Module, masks: Mapping[str, Tensor]) -> Self:
        """Register ``masks``, by parameter name in the parameters' shapes; zero what they hide.

        Raises:
            UsageError: if a name is no parameter, a mask has another shape or is not bool, a
                parameter has a mask already, or its layer computes with another weight, made of
                it. Nothing is registered then.
        """
        for name, mask in masks.items():
            _check_mask(name, _parameter(module, name), mask)
            if _mask_or_none(module, name) is not None:
                raise UsageError(f"masks: {name} has a mask already; detach() it or use set()")
        owners = {name: _owner(module, name) for name in masks}
        check_layers_keep_zeros(
            (n, owner) for n, (owner, leaf) in owners.items() if leaf == _WEIGHT
        )
        for name, mask in masks.items():
            owner, leaf = _owner(module, name)
            device = _parameter(module, name).device
            owner.register_buffer(leaf + _SUFFIX, mask.detach().clone().to(device))
        found = cls(module, tuple(masks))
        found.apply()
        return found

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """Return the masks that ``module`` carries, in module order (none is legal)."""
        return cls(module, tuple(_masked_names(module)))

    @property
    def module(self) -> nn.Module:
        """The module whose weights are masked."""
        return self._module

    @property
    def names(self) -> tuple[str, ...]:
        """The masked parameters' names."""
        return self._names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Tensor:
        """Return the mask of one parameter; change it with `set` only."""
        mask = _mask_or_none(self._module, name) if name in self._names else None
        if mask is None:
            raise UsageError(f"masks: {name!r} has no mask; masked: {', '.join(self._names)}")
        return mask

    def weight(self, name: str) -> nn.Parameter:
        """Return the parameter that the mask ``name`` belongs to, as it is now."""
        return _parameter(self._module, name)

    @torch.no_grad()
    def set(self, name: str, mask: Tensor) -> None:
        """Give one parameter a new mask and zero what it hides; grown weights keep their value.

        Raises:
            UsageError: if the parameter has no mask, or the new one another shape or type.
        """
        present, weight = self[name], self.weight(name)
        _check_mask(name, weight, mask)
        if present.shape == mask.shape:
            present.copy_(mask)
        else:
            # Surgery has given the parameter another shape: the buffer follows.
            owner, leaf = _owner(self._module, name)
            owner.register_buffer(leaf + _SUFFIX, mask.detach().clone().to(weight.device))
        hide(weight, self[name])

    def apply(self) -> None:
        """Set every masked weight to zero, in place; call it once after each optimizer step."""
        for name in self._names:
            owner, leaf = _owner(self._module, name)
            weight, mask = owner._parameters[leaf], owner._buffers[leaf + _SUFFIX]
            assert weight is not None
            assert mask is not None
            hide(weight, mask)

    def check(self) -> None:
        """Raise unless every masked weight is exactly zero and every mask fits its weight.

        Raises:
            UsageError: naming the first parameter that breaks the rule: something wrote to it that
                knows of no mask, such as the network's own forward pass.
        """
        for name in self._names:
            weight, mask = self.weight(name), self[name]
            if weight.shape != mask.shape:
                raise UsageError(
                    f"masks: {name} is {tuple(weight.shape)} but its mask is {tuple(mask.shape)}"
                )
            astray = int(torch.count_nonzero(weight.detach()[~mask]))
            if astray:
                raise UsageError(
                    f"masks: {astray} masked weights of {name} are not zero; "
                    "whatever changes weights must keep them, or call apply() afterwards"
                )

    def nonzeros(self) -> dict[str, int]:
        """Return the exact number of active weights by parameter name."""
        return {name: int(torch.count_nonzero(self[name])) for name in self._names}

    @property
    def weights(self) -> int:
        """The number of weights under a mask, active or not."""
        return sum(self[name].numel() for name in self._names)

    @property
    def zeros(self) -> int:
        """The number of masked-out weights."""
        return self.weights - sum(self.nonzeros().values())

    @property
    def density(self) -> float:
        """The share of active weights in the masked layers (1 when nothing is masked).

        Layers without a mask (those that were excluded) do not enter.
        """
        weights = self.weights
        return 1.0 - self.zeros / weights if weights else 1.0

    def copies(self) -> dict[str, Tensor]:
        """Return independent copies of all masks by parameter name."""
        return {name: self[name].clone() for name in self._names}

    def detach(self) -> None:
        """Remove the buffers; the zeros stay in the weights."""
        for name in self._names:
            owner, leaf = _owner(self._module, name)
            delattr(owner, leaf + _SUFFIX)
        self._names = ()


def hide(values: Tensor, mask: Tensor) -> None:
    """Set ``values`` to zero, in place, wherever ``mask`` is False; infinity and NaN too."""
    integer = _BITS.get(values.dtype)
    if integer is None or not values.is_cpu:
        values.detach().masked_fill_(mask.logical_not(), 0.0)
        return
    # Not a product: 0 x inf would be NaN. True is 1, and -1 has all bits set: what is active keeps
    # its bits. This takes half the time of masked_fill_.
    bits, ones = values.detach().view(integer), mask.view(torch.int8)
    if bits.numel() > _PART and bits.is_contiguous() and ones.is_contiguous():
        # Parts of this size stay in the processor's cache.
        parts = torch.split(bits.view(-1), _PART), torch.split(ones.view(-1), _PART)
        for part, active in zip(*parts, strict=True):
            part.bitwise_and_(active.neg())
    else:
        bits.bitwise_and_(ones.neg())


def masks_in_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the masks by parameter name that a ``state_dict`` holds.

    ``Masks.attach(module, masks_in_state(state))`` prepares a fresh module for loading ``state``.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import masks_in_state, sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4))
        >>> _ = sparsify(module, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        >>> {name: int(mask.sum()) for name, mask in masks_in_state(module.state_dict()).items()}
        {'0.weight': 16}
    """
    return {
        name.removesuffix(_SUFFIX): value
        for name, value in state.items()
        if name.endswith(_SUFFIX)
        and name.removesuffix(_SUFFIX) in state
        and value.dtype == torch.bool
    }


def mask_buffers(module: nn.Module) -> dict[str, str]:
    """Return the names of ``module``'s masks by those of the parameters that they mask.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import mask_buffers, sparsify
        >>> module = nn.Sequential(nn.Linear(8, 4))
        >>> _ = sparsify(module, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        >>> mask_buffers(module)
        {'0.weight': '0.weight_mask'}
    """
    return {name: name + _SUFFIX for name in _masked_names(module)}


def _masked_names(module: nn.Module) -> Iterator[str]:
    for path, layer in module.named_modules():
        for leaf, parameter in layer.named_parameters(recurse=False):
            buffer = layer._buffers.get(leaf + _SUFFIX)
            if parameter is not None and buffer is not None and buffer.dtype == torch.bool:
                yield f"{path}.{leaf}" if path else leaf


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the layer that has the parameter, and the parameter's name there.

    Raises:
        KeyError: if there is no such layer.
    """
    *path, leaf = name.split(".")
    owner: nn.Module | None = module
    for part in path:
        # get_submodule does the same at ten times the cost, which once a step and layer shows.
        owner = owner._modules[part] if owner is not None else None
    if owner is None:
        raise KeyError(name)
    return owner, leaf


def _parameter(module: nn.Module, name: str) -> nn.Parameter:
    try:
        owner, leaf = _owner(module, name)
        parameter = owner._parameters.get(leaf)
    except KeyError:
        parameter = None
    if parameter is None:
        raise UsageError(f"masks: {type(module).__name__} has no parameter {name!r}")
    return parameter


def _mask_or_none(module: nn.Module, name: str) -> Tensor | None:
    owner, leaf = _owner(module, name)
    return owner._buffers.get(leaf + _SUFFIX)


def _check_mask(name: str, weight: Tensor, mask: Tensor) -> None:
    if mask.dtype != torch.bool:
        raise UsageError(f"masks: the mask of {name} is {mask.dtype}; give a bool tensor")
    if mask.shape != weight.shape:
        raise UsageError(
            f"masks: the mask of {name} is {tuple(mask.shape)}, the weight {tuple(weight.shape)}"
        )
