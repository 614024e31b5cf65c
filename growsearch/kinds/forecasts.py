"""Forecast of a candidate: what its network will cost, told without a step of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Between what the costs of all candidates of a space are certain to lie, by metric.

    What is in neither is not known beforehand.
    """

    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def around(cls, parts: Sequence[Reach]) -> Reach:
        """Return what holds of all ``parts`` together.

        Example:
            >>> from growsearch.kinds.forecasts import Reach
            >>> wide = Reach(least={"macs": 5.0, "parameters": 2.0})
            >>> Reach.around([wide, Reach(least={"macs": 3.0})])
            Reach(least={'macs': 3.0}, most={})
        """

        def common(maps: Sequence[Mapping[str, float]]) -> list[str]:
            return [name for name in maps[0] if all(name in each for each in maps)]

        if not parts:
            return cls()
        least, most = [part.least for part in parts], [part.most for part in parts]
        return cls(
            least={name: min(each[name] for each in least) for name in common(least)},
            most={name: max(each[name] for each in most) for name in common(most)},
        )


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
