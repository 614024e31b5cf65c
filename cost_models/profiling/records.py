"""Profile records: what was timed on a device, and under which conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cost_models.counting.operator_call import Operator

Role = Literal["calibration", "validation"]
ROLES: tuple[Role, ...] = ("calibration", "validation")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOperator:
    """An operator and its seconds: over the whole run, and in each half of it."""

    operator: Operator
    low_s: float
    halves_s: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedNetwork:
    """A whole network, the operators it calls and its seconds.

    "calibration" networks are fitted on, "validation" ones only compared with. `description` says
    how to build it again; `macs` are those of the whole batch.
    """

    name: str
    role: Role
    description: Mapping[str, Any]
    operators: tuple[Operator, ...]
    macs: int
    low_s: float
    halves_s: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where, when and how a profile was measured.

    `source` says what the networks were drawn from, `host` what machine and software it was.
    `passes` is how often everything was timed, `minutes` how long the whole profile took.
    """

    device: str
    batch_size: int
    threads: int
    clock: str
    seed: int
    created: str
    source: Mapping[str, Any]
    host: Mapping[str, str]
    passes: int
    minutes: float
    phase: Literal["inference"] = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRecord:
    """All that was measured. `scales` are what the operators' fits found, to fit again at once."""

    conditions: Conditions
    operators: tuple[TimedOperator, ...]
    networks: tuple[TimedNetwork, ...]
    scales: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def with_role(self, role: Role) -> tuple[TimedNetwork, ...]:
        """Give the networks of one role."""
        return tuple(network for network in self.networks if network.role == role)
