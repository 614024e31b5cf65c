"""Wrapped modules run as plain ones: what do DataParallel, torch.compile and checkpointing wrap?

A tracer cannot look through these wrappers, and none of them changes what a network computes.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointFunction

_COMPILED_FROM = "_torchdynamo_orig_callable"


def call_plainly(module: nn.Module) -> None:
    """Make every wrapper below ``module`` call what it wraps, and nothing be compiled.

    It writes to the modules' attributes: use it inside `untouched`, which puts them back. Names of
    modules and parameters stay as they are. An extra state is given as an empty tensor, since a
    tracer takes nothing else. What a compiled function outside the modules computes cannot be
    reached here.
    """
    for part in module.modules():
        attributes = vars(part)
        if type(part).get_extra_state is not nn.Module.get_extra_state:
            attributes["get_extra_state"] = functools.partial(_same, torch.empty(0))
        attributes["_compiled_call_impl"] = None
        attributes.update(_compiled_functions(part))
        inner = _wrapped(part)
        if inner is not None:
            attributes["forward"] = inner.__call__


def _same(value: Tensor) -> Tensor:
    return value


def _wrapped(part: nn.Module) -> nn.Module | None:
    if isinstance(part, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner = part.module
    else:
        # What torch.compile gives for a module, whose class is in a package that is slow to import.
        inner = part._modules.get("_orig_mod")
    return inner if isinstance(inner, nn.Module) else None


def _compiled_functions(part: nn.Module) -> dict[str, Callable[..., Any]]:
    """Return by attribute what was there before it was compiled, of the class and the object."""
    if "torch._dynamo" not in sys.modules:
        return {}
    found: dict[str, Callable[..., Any]] = {}
    for kind in reversed(type(part).__mro__):
        for name, value in vars(kind).items():
            original = _original(value)
            if original is None:
                found.pop(name, None)
            else:
                found[name] = types.MethodType(original, part)
    own = {name: _original(value) for name, value in vars(part).items()}
    return found | {name: original for name, original in own.items() if original is not None}


def _original(value: object) -> Callable[..., Any] | None:
    if not isinstance(value, types.FunctionType):
        return None
    original = getattr(value, _COMPILED_FROM, None)
    return original if callable(original) else None


@contextmanager
def no_checkpointing() -> Iterator[None]:
    """Let reentrant checkpoints run their function, which computes the same.

    Without gradients they do nothing else; with them they save memory, and allow no
    `torch.autograd.grad`, which then works. Checkpoints that are not reentrant stay.
    """

    def run(function: Callable[..., Any], _: bool, *inputs: Any) -> Any:
        return function(*inputs)

    # Its base class has the method; it is put over that for the time being.
    before = vars(CheckpointFunction).get("apply")
    setattr(CheckpointFunction, "apply", staticmethod(run))  # noqa: B010 - no method for mypy
    try:
        yield
    finally:
        if before is None:
            delattr(CheckpointFunction, "apply")
        else:
            setattr(CheckpointFunction, "apply", before)  # noqa: B010 - the same
