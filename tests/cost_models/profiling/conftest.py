"""A made-up device on which every time follows a formula, so that fits can be checked exactly."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cost_models import LatencyProfile, Operator, trace
from cost_models.profiling.building import DrawnNetwork
from cost_models.profiling.features import bytes_moved, padded_macs
from cost_models.profiling.records import (
    Conditions,
    ProfileRecord,
    TimedNetwork,
    TimedOperator,
)

SIDE = 6


def made_up_operator_s(operator: Operator) -> float:
    """Seconds of an operator: a microsecond, 20 GMAC/s in whole vectors and 5 GB/s."""
    return 1e-6 + padded_macs(operator) / 20e9 + bytes_moved(operator) / 5e9


def made_up_network_s(operators) -> float:
    """Seconds of a network: what its operators take in it, and 2 microseconds around each."""
    with_macs = sum(made_up_operator_s(each) for each in operators if each.macs)
    others = sum(made_up_operator_s(each) for each in operators if not each.macs)
    return 1.25 * with_macs + 0.5 * others + 2e-6 * len(operators)


class SmallNetworks:
    """Networks of 2 or 3 convolutions with BatchNorm and ReLU, and a classifier."""

    def __init__(self, widest: int = 40, kinds: int | None = None) -> None:
        self._widest = widest
        self._kinds = kinds

    @property
    def description(self):
        return {"spaces": ["small"], "widest": self._widest}

    def draw(self, generator: torch.Generator) -> DrawnNetwork:
        depth = 2 + int(torch.randint(2, (1,), generator=generator))
        drawn = torch.randint(1, self._widest + 1, (depth,), generator=generator).tolist()
        widths = drawn if self._kinds is None else [drawn[0] % self._kinds + 1] * 2
        return DrawnNetwork(
            name="-".join(map(str, widths)),
            module=small_network(widths),
            inputs=(torch.zeros(1, 3, SIDE, SIDE),),
            description={"widths": widths},
        )


def small_network(widths) -> nn.Module:
    layers, channels = [], 3
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    return nn.Sequential(*layers, *head).eval()


@pytest.fixture(scope="session")
def conditions() -> Conditions:
    return Conditions(
        device="cpu",
        batch_size=1,
        threads=1,
        clock="process CPU time",
        seed=0,
        created="2026-01-02T03:04:05+00:00",
        source={"spaces": ["small"]},
        host={"processor": "Abacus 9", "torch": "2.13"},
        passes=4,
        minutes=0.5,
    )


@pytest.fixture(scope="session")
def record(conditions) -> ProfileRecord:
    source, generator = SmallNetworks(), torch.Generator().manual_seed(3)
    drawn = [source.draw(generator) for _ in range(34)]
    works = [trace(network.module, network.inputs) for network in drawn]
    timed = {operator for work in works[:16] for operator in work.operators}
    networks = []
    for index, (network, work) in enumerate(zip(drawn[16:], works[16:], strict=True)):
        # A deterministic error of up to 2 % stands for the noise of a real device.
        seconds = made_up_network_s(work.operators) * (1 + 0.02 * math.sin(index))
        networks.append(
            TimedNetwork(
                name=f"{network.name}/{index}",
                role="calibration" if index < 8 else "validation",
                description=network.description,
                operators=work.operators,
                macs=work.dense_macs,
                low_s=seconds,
                halves_s=(seconds, seconds * 1.01),
            )
        )
    operators = tuple(
        TimedOperator(
            operator=operator,
            low_s=made_up_operator_s(operator),
            halves_s=(made_up_operator_s(operator),) * 2,
        )
        for operator in sorted(timed, key=repr)
    )
    return ProfileRecord(conditions=conditions, operators=operators, networks=tuple(networks))


@pytest.fixture(scope="session")
def profile(record) -> LatencyProfile:
    return LatencyProfile(record)


@pytest.fixture
def make_network() -> Callable[..., nn.Module]:
    return small_network


@pytest.fixture
def example() -> tuple[torch.Tensor]:
    return (torch.zeros(1, 3, SIDE, SIDE),)
