"""A network as it is made, ready to be searched: wrappers off, and every lazy tensor with a shape.

A search gives a network other widths and masks, copies it and reads its layers by name: a wrapper
around a part of it is in the way, and changes nothing that the network computes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.errors import SearchSpaceError


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
