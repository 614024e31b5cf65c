"""A network as it is made, ready to be searched: wrappers off, and every lazy tensor with a shape.

A search gives a network other widths and masks, copies it and reads its layers by name: a wrapper
around a part of it is in the way, and changes nothing that the network computes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from search_spaces.errors import SearchSpaceError

_Copied = TypeVar("_Copied")


def copied(value: _Copied, shared: Mapping[int, Any] = MappingProxyType({})) -> _Copied:
    """Return a deep copy of a network, or of what holds one, also where it keeps results.

    Torch copies no tensor that was computed with gradients: an activation that a module remembers,
    a weight that a hook writes before every forward pass, a gradient of gradients. The copy holds
    its values alone. ``shared`` are what the copy has in common with it, by their ids.

    Raises:
        SearchSpaceError: if something in it cannot be copied, naming the module and attribute.

    Example:
        >>> import torch
        >>> from search_spaces.own_networks.whole_networks import copied
        >>> layer = torch.nn.Linear(2, 2)
        >>> layer.last = layer(torch.ones(1, 2))
        >>> copied(layer).last.requires_grad, bool((copied(layer).last == layer.last).all())
        (False, True)
    """
    try:
        return _deep_copy(value, shared)
    except Exception as error:  # whatever an attribute of somebody else's raises
        raise SearchSpaceError(_uncopied(value, error)) from error


def _deep_copy(value: _Copied, shared: Mapping[int, Any] = MappingProxyType({})) -> _Copied:
    with _ValuesOfResults():
        return copy.deepcopy(value, dict(shared))


def _uncopied(value: object, error: Exception) -> str:
    """Return which attribute cannot be copied, why, and the remedy."""
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    held = type(value).__name__
    if isinstance(value, nn.Module):
        held = next(iter(_uncopied_attributes(value)), held)
    return (
        f"{held} cannot be copied (copy.deepcopy): {told}; keep in its attributes what can be, "
        "such as values (.detach()) for what was computed, or give its class a __deepcopy__"
    )


def _uncopied_attributes(module: nn.Module) -> Iterator[str]:
    """Yield the attributes that cannot be copied, by their modules' paths."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name == "_modules":
                continue
            try:
                _deep_copy(value)
            except Exception:  # the same as above
                yield f"{type(module).__name__}: {f'{path}.' if path else ''}{name}"


class _ValuesOfResults(TorchFunctionMode):
    """Lets `copy.deepcopy` take tensors that were computed, without what they came from."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            memo[id(tensor)] = self._values(tensor, memo)
        return memo[id(tensor)]

    def _values(self, tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        if not tensor.is_leaf:
            return tensor.detach().clone()
        with self:  # what hangs on a tensor torch would copy without this mode
            copy.deepcopy(vars(tensor), memo)
            gradient = copy.deepcopy(tensor.grad, memo)
        if tensor.grad is None or tensor.grad.is_leaf:
            return _torchs_copy(tensor, memo)
        bare = tensor.detach().requires_grad_(tensor.requires_grad)
        twin = _torchs_copy(bare, memo)
        del memo[id(bare)]  # another may get its id
        vars(twin).update(copy.deepcopy(vars(tensor), memo))
        twin.grad = gradient
        return twin


def _torchs_copy(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    return cast(Tensor, Tensor.__deepcopy__(tensor, memo))  # type: ignore[no-untyped-call]


def in_the_way(module: nn.Module) -> str:
    """Return why no part of a network can be resized or masked, and the remedy; "" if all can be.

    Example:
        >>> import torch
        >>> from search_spaces.own_networks.whole_networks import in_the_way
        >>> in_the_way(torch.nn.Linear(2, 2, device="meta")).partition(": give")[0]
        'Linear: weight is on the meta device and has no values'
    """
    name, reason = type(module).__name__, scripted(module)
    if reason:
        return reason
    for path, part in module.named_modules():
        where = f"{path} is" if path else "it is"
        if part._modules.get("_orig_mod") is not None:
            return (
                f"{name}: {where} compiled by torch.compile, whose layers cannot be exchanged; "
                "give the module that it was made from (._orig_mod), and compile what comes out"
            )
    for leaf, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_meta and not nn.parameter.is_lazy(tensor):
            return (
                f"{name}: {leaf} is on the meta device and has no values: give it some, "
                'module.to_empty(device="cpu") and then reset_parameters() of every layer or '
                "load_state_dict"
            )
    return ""


def scripted(module: nn.Module) -> str:
    """Return why the layers of a scripted network cannot be changed; "" where nothing is."""
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            return (
                f"{type(module).__name__}: {f'{path} is' if path else 'it is'} scripted by "
                "torch.jit, whose layers cannot be changed; give the module that it was made from"
            )
    return ""


def check_unscripted(module: nn.Module) -> None:
    """Raise SearchSpaceError for a network that is scripted, or has a part that is."""
    reason = scripted(module)
    if reason:
        raise SearchSpaceError(reason)


def check_whole(module: nn.Module) -> None:
    """Raise SearchSpaceError for a network that `in_the_way` says something of."""
    reason = in_the_way(module)
    if reason:
        raise SearchSpaceError(reason)


def without_wrappers(module: nn.Module) -> nn.Module:
    """Return the network without `DataParallel`, its distributed kin and `torch.compile`.

    Parts are put in the place of their wrappers; nothing is copied.
    """
    module = _unwrapped(module)
    for part in module.modules():
        # What `module.compile()` leaves.
        vars(part).pop("_compiled_call_impl", None)
        for name, child in part._modules.items():
            if child is not None:
                part._modules[name] = _unwrapped(child)
    return module


def _unwrapped(module: nn.Module) -> nn.Module:
    inner: nn.Module | None = module
    while inner is not None:
        module = inner
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        else:
            # What torch.compile gives for a module, whose class is slow to import.
            inner = module._modules.get("_orig_mod")
    return module


def give_shapes(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Run a network with lazy layers once in evaluation mode, which gives their tensors shapes.

    Their values are drawn from torch's default generator, as those of other layers are.

    Raises:
        SearchSpaceError: if the network does not run, or a tensor still has no shape.
    """
    if not _shapeless(module):
        return
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            module.eval()(*inputs)
    except Exception as error:  # whatever the network raises, the cause is kept
        raise SearchSpaceError(
            f"{type(module).__name__} has lazy layers and does not run on inputs of "
            f"{tuple(inputs[0].shape)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    left = _shapeless(module)
    if left:
        raise SearchSpaceError(
            f"{type(module).__name__}: {left[0]} is lazy and the forward pass gives it no shape; "
            "call its layer there, or leave it out"
        )


def _shapeless(module: nn.Module) -> list[str]:
    held = [*module.named_parameters(), *module.named_buffers()]
    return [name for name, tensor in held if nn.parameter.is_lazy(tensor)]
