"""Module state kept: a module is looked at without leaving a trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@contextmanager
def untouched(module: nn.Module) -> Iterator[nn.Module]:
    """Give the module in eval mode; put back its modes, buffers, hooks and the random state."""
    modules = list(module.modules())
    modes = [part.training for part in modules]
    # A scripted module lends out a view of its buffers, which cannot be filled again.
    buffers = [(part, dict(part._buffers)) for part in modules if isinstance(part._buffers, dict)]
    values = [
        (part, name, _copy(value)) for part, named in buffers for name, value in named.items()
    ]
    hooks = [
        (getattr(part, kind), dict(getattr(part, kind))) for part in modules for kind in _HOOKS
    ]
    with torch.random.fork_rng(devices=_devices_in_use()):
        try:
            yield module.eval()
        finally:
            for part, mode in zip(modules, modes, strict=True):
                part.training = mode
            _restore_buffers(buffers, values)
            for current, before in hooks:
                current.clear()
                current.update(before)


def _devices_in_use() -> range:
    """Return the accelerators' indices. Asking one that nothing has used yet would start it."""
    kind = torch.accelerator.current_accelerator()
    if kind is None:
        return range(0)
    module = torch.get_device_module(kind)
    in_use = getattr(module, "is_initialized", lambda: True)()
    return range(module.device_count() if in_use else 0)


def _copy(value: Tensor | None) -> tuple[int, Tensor] | None:
    # Inference tensors keep no version counter, and nothing may write to them either.
    if value is None or value.is_inference():
        return None
    return value._version, value.detach().clone()


def _restore_buffers(
    buffers: list[tuple[nn.Module, dict[str, Tensor | None]]],
    values: list[tuple[nn.Module, str, tuple[int, Tensor] | None]],
) -> None:
    for part, named in buffers:
        part._buffers.clear()
        part._buffers.update(named)
    with torch.no_grad():
        for part, name, saved in values:
            buffer = part._buffers[name]
            if saved is not None and buffer is not None and buffer._version != saved[0]:
                buffer.copy_(saved[1])
