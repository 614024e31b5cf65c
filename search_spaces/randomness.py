"""Seeds for torch's default generators: fresh weights and dropout that follow from a seed alone.

What is drawn inside leaves no trace outside, on the CPU and on every accelerator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's default generators inside, and put every one of them back after.

    An accelerator that nothing has used yet is not woken up. Where it starts inside, it starts from
    ``seed``; afterwards its seed is the one that the CPU's generator has, as `torch.manual_seed`
    left both.

    Example:
        >>> import torch
        >>> from search_spaces import seeded
        >>> def draw():
        ...     with seeded(0):
        ...         return torch.rand(2)
        >>> torch.equal(draw(), draw())
        True
    """
    sleeping = _accelerator(awake=False)
    try:
        with random_state_kept():
            torch.manual_seed(seed)
            yield
    finally:
        if sleeping is not None:
            sleeping.manual_seed_all(torch.initial_seed())


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Put torch's default generators back afterwards: the CPU's, and those of devices in use."""
    awake = _accelerator(awake=True)
    devices = () if awake is None else range(awake.device_count())
    with torch.random.fork_rng(devices=devices):
        yield


def _accelerator(*, awake: bool) -> Any:
    """Return torch's module of this machine's accelerator if it is, or is not, in use; else None.

    Reading the state of a generator starts its device, which takes seconds and memory.
    """
    kind = torch.accelerator.current_accelerator()
    if kind is None:
        return None
    module = torch.get_device_module(kind)
    in_use = getattr(module, "is_initialized", lambda: True)()
    return module if in_use == awake and module.device_count() else None
