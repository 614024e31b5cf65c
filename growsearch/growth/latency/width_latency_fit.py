"""Width-latency fit of one device and space: some networks' times, and a fit to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from growsearch.errors import GrowsearchError
from growsearch.files import write_json
from growsearch.growth.budget.structures import Structures
from growsearch.growth.latency.clock import DeviceClock
from growsearch.growth.latency.features import Feature
from growsearch.growth.latency.fit import LatencyTerms, fit_latency
from growsearch.growth.latency.networks import architecture_at, sampled_sizes
from growsearch.reading import parse_json, read_limited, reading
from search_spaces import Unit

_MIN_NETWORKS = 16
_MAX_BYTES = 64 * 2**20
_REMEDY = "delete the checkpoint beside it to start the run again from its first epoch"
_FULL, _SMALLEST = 0, 1
# Seconds for which each network is run.
_READING_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthLatencyFit:
    """Networks by their sizes (see `Structures.counts`), their seconds, and the fitted terms.

    The first network is the full configuration, the second the least. ``error`` is the fit's mean
    relative miss of a network that it was not fitted to; ``noise`` the largest spread between the
    repeats of one network; ``seconds_by_feature`` what one unit of each kind of work costs.
    """

    device: str
    batch_size: int
    sizes: tuple[tuple[int, ...], ...]
    seconds: tuple[float, ...]
    noise: float
    terms: LatencyTerms
    error: float
    seconds_by_feature: dict[str, float]

    @classmethod
    def measure(
        cls,
        clock: DeviceClock,
        features: Sequence[Feature],
        structures: Structures,
        units: tuple[Unit, ...],
    ) -> Self:
        """Ask the device about networks of all sizes, always the same ones, and fit their times.

        Raises:
            GrowsearchError: if the device cannot be asked.
        """
        count = max(_MIN_NETWORKS, 2 * len(features))
        sizes = sampled_sizes(structures, count, torch.Generator().manual_seed(0))
        names = structures.names
        readings = clock.read(
            [
                architecture_at(clock.space, units, dict(zip(names, row, strict=True)))
                for row in sizes
            ],
            _READING_S,
        )
        seconds = [reading.seconds for reading in readings]
        fit = fit_latency(features, sizes, seconds)
        return cls(
            device=clock.device,
            batch_size=clock.batch_size,
            sizes=tuple(tuple(row) for row in sizes),
            seconds=tuple(seconds),
            noise=max(reading.noise for reading in readings),
            terms=fit.terms,
            error=fit.error,
            seconds_by_feature=fit.seconds_by_feature,
        )

    @property
    def full_s(self) -> float:
        """The full configuration's seconds, as the device gave them."""
        return self.seconds[_FULL]

    @property
    def least_s(self) -> float:
        """The least network's seconds: those of the device or the fit, whichever are more."""
        return max(self.seconds[_SMALLEST], self.terms.seconds(self.sizes[_SMALLEST]))

    def nearest(self, seconds: float) -> int:
        """Return which network's time is nearest to ``seconds``."""
        return min(range(len(self.seconds)), key=lambda i: abs(self.seconds[i] - seconds))

    def save(self, path: Path) -> None:
        """Write the fit as JSON, every network with its measured and its predicted time."""
        networks = [
            {"sizes": list(row), "seconds": each, "predicted_s": self.terms.seconds(row)}
            for row, each in zip(self.sizes, self.seconds, strict=True)
        ]
        data = {
            "device": self.device,
            "batch_size": self.batch_size,
            "error": self.error,
            "noise": self.noise,
            "seconds_by_feature": self.seconds_by_feature,
            "names": list(self.terms.names),
            "terms": [[coefficient, list(groups)] for coefficient, groups in self.terms.terms],
            "networks": networks,
        }
        write_json(path, data)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            GrowsearchError: if the file is missing or damaged.
        """
        with reading(f"{path}, which holds the device's times,", _REMEDY, GrowsearchError):
            data: dict[str, Any] = parse_json(read_limited(path, _MAX_BYTES))
            return cls(
                device=data["device"],
                batch_size=data["batch_size"],
                sizes=tuple(tuple(network["sizes"]) for network in data["networks"]),
                seconds=tuple(network["seconds"] for network in data["networks"]),
                noise=data["noise"],
                terms=LatencyTerms(
                    names=tuple(data["names"]),
                    terms=tuple((c, tuple(groups)) for c, groups in data["terms"]),
                ),
                error=data["error"],
                seconds_by_feature=data["seconds_by_feature"],
            )
