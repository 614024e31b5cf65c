"""Forecast of a candidate: what its network will cost, told without a step of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from cost_models import Workload

# The length of `Forecast.live`.
LIVE_NUMBERS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a candidate before it trains.

    Attributes:
        metrics: values that the trained network will have, by name. Masks keep each layer's
            non-zero count, so these are exact where the masks keep their sparsity; weights that
            training leaves at exactly 0 may make the trained network a little cheaper.
        least: values that the trained network will not be below: growth spends its budget up to
            less than the dearest channel.
        live: numbers that describe the network as it would be built.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    live: tuple[float, ...] = ()


def live_numbers(work: Workload, macs: float) -> tuple[float, ...]:
    """Return logarithms of MACs, stored and active parameters, and the spread of layers."""
    layers = [layer for layer in work.layers if layer.dense_macs]
    kept = [layer.effective_macs / layer.dense_macs for layer in layers]
    share = macs / max(1, work.dense_macs)
    return (
        math.log(max(1.0, macs)),
        math.log(max(1, work.parameters)),
        math.log(max(1.0, share * work.parameters)),
        float(len(layers)),
        min(kept, default=1.0),
        float(torch.tensor(kept or [1.0]).std(correction=0)),
    )
