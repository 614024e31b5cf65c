"""Gate bank: all gates of a network set, and their gradients read, at little cost a step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.gate import Gate


class GateBank:
    """Holds the gates of what runs in one leaf; every `Gate` is a view of its part.

    A network has hundreds of gates, and a step of the seed network takes milliseconds. What is set
    and read is on the CPU, where policies decide; the leaf is on the network's device.
    """

    def __init__(self, gates: Mapping[str, Gate], structures: Structures) -> None:
        self._gates = [gates[name] for name in structures.names]
        self._structures = structures
        self._leaf = torch.zeros(0, requires_grad=True)
        self._live = torch.zeros(0, dtype=torch.bool)
        self._places = torch.zeros(0, dtype=torch.long)
        self._counts: list[int] = []
        self._device = torch.device("cpu")

    def move(self, device: torch.device) -> None:
        """Have the gates of every later `set` on ``device``."""
        self._device = device

    def set(self, values: Tensor, live: Tensor) -> None:
        """Put in ``values`` (total,), without a gradient, where ``live`` (total,) says so."""
        if live is not self._live:
            self._live, self._places = live, live.nonzero().flatten()
            self._counts = self._structures.counts(live)
        self._leaf = values.detach()[self._places].to(self._device).requires_grad_()
        for gate, part in zip(self._gates, torch.split(self._leaf, self._counts), strict=True):
            gate.value = part

    def gradients(self) -> Tensor:
        """Return dL/dgate (total,) since the last `set` or `forget`, 0 where nothing runs."""
        full = torch.zeros(self._structures.total)
        if self._leaf.grad is not None:
            full[self._places] = self._leaf.grad.cpu()
        return full

    def own_gradients(self) -> tuple[Tensor, ...]:
        """Return the leaf's gradient, where there is one, to be changed in place."""
        return () if self._leaf.grad is None else (self._leaf.grad,)

    def forget(self) -> None:
        """Drop the gradients."""
        self._leaf.grad = None
