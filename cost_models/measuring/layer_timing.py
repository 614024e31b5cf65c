"""Layer times: the share of every layer in a forward pass, timed inside the whole pass."""

import statistics
import time
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from cost_models.counting.module_state import untouched

_WARM_UP_RUNS = 3
_MIN_PASSES, _MAX_PASSES = 7, 100


def layer_shares(
    module: nn.Module, example_inputs: tuple[Tensor, ...], *, budget_s: float = 0.1
) -> dict[str, float]:
    """Return the share of every layer in the wall time of an eager forward pass, on this machine.

    Layers are the modules with a weight of two axes or more of their own. Medians over passes in
    eval and inference mode, on torch's present number of threads. A layer's time has Python's cost
    of calling it, and not that of other layers inside it. What is left to 1 is everything between
    the layers: normalisation, activations, additions.

    Args:
        module: stays as it is.
        example_inputs: of one pass.
        budget_s: about the time that all passes may take; 7 are the fewest.

    Returns:
        Shares by path in `module`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from cost_models import layer_shares
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> shares = layer_shares(module, (torch.zeros(1, 8),), budget_s=0.01)
        >>> list(shares), sum(shares.values()) <= 1
        (['0', '2'], True)
    """
    clock = _Clock()
    handles = [h for name, layer in _layers(module).items() for h in clock.listen(name, layer)]
    try:
        with untouched(module) as calm, torch.inference_mode():
            for _ in range(_WARM_UP_RUNS):
                calm(*example_inputs)
            passes = _passes(calm, example_inputs, clock, budget_s)
    finally:
        for handle in handles:
            handle.remove()
    names = dict.fromkeys(name for _, seconds in passes for name in seconds)
    return {
        name: statistics.median(seconds[name] / whole for whole, seconds in passes)
        for name in names
    }


def _layers(module: nn.Module) -> dict[str, nn.Module]:
    return {
        name: part
        for name, part in module.named_modules()
        if any(weight.ndim > 1 for weight in part.parameters(recurse=False))
    }


def _passes(
    module: nn.Module, inputs: tuple[Tensor, ...], clock: "_Clock", budget_s: float
) -> list[tuple[float, dict[str, float]]]:
    """Return the seconds of every pass, and those of each layer in it."""
    passes: list[tuple[float, dict[str, float]]] = []
    end = time.perf_counter() + budget_s
    while len(passes) < _MIN_PASSES or (len(passes) < _MAX_PASSES and time.perf_counter() < end):
        clock.seconds = defaultdict(float)
        start = time.perf_counter()
        module(*inputs)
        passes.append((time.perf_counter() - start, clock.seconds))
    return passes


class _Clock:
    """Adds up the time of layers, each without that of the layers inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        # Of the layers that are running: when each began, and how long others ran inside.
        self._running: list[list[float]] = []

    def listen(self, name: str, layer: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        def begin(*_: Any) -> None:
            self._running.append([time.perf_counter(), 0.0])

        def end(*_: Any) -> None:
            start, inside = self._running.pop()
            whole = time.perf_counter() - start
            self.seconds[name] += whole - inside
            if self._running:
                self._running[-1][1] += whole

        return [layer.register_forward_pre_hook(begin), layer.register_forward_hook(end)]
