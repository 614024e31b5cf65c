"""Growth budget of a study and of a candidate: parameters, MACs or the latency on a device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, model_serializer, model_validator

from cost_models import DEVICES
from growsearch.errors import UsageError
from growsearch.growth import Budget
from growsearch.kinds.domain import Domain, Range, domain_to_plain, parse_domain
from growsearch.kinds.space import Strict
from growsearch.kinds.values import BudgetRange
from growsearch.pareto.quantities import parse_quantity, parse_share

_COUNTS = ("parameters", "macs")
# A share of the full network's latency, and seconds.
_SHARE, _SECONDS = "latency", "latency_s"
_KEY = re.compile(r"(latency|latency_s)\[(.+)\]")


@dataclass(frozen=True, slots=True)
class GrowthBound:
    """A bound on one metric, as a candidate has it.

    ``metric`` is "parameters" or "macs", or the latency on a device: "latency[cpu]" as a share of
    the full network's, "latency_s[cpu]" in seconds. A float in (0, 1] is a share, an integer a
    count.
    """

    metric: str
    value: float | int

    def budget(self, batch_size: int = 1) -> Budget:
        """Return the bound as growth takes it; latencies are of ``batch_size`` examples.

        Raises:
            UsageError: for an unknown metric or device, or a value out of range.
        """
        match = _KEY.fullmatch(self.metric)
        if match is not None and match[1] == _SHARE:
            return Budget(latency=self.value, device=match[2], batch_size=batch_size)
        if match is not None:
            return Budget(latency_s=self.value, device=match[2], batch_size=batch_size)
        if self.metric not in _COUNTS:
            raise UsageError(
                f"budget: unknown {self.metric!r}; valid: parameters, macs, latency[DEVICE]"
            )
        if self.metric == "parameters":
            return Budget(parameters=self.value)
        return Budget(macs=self.value)

    @property
    def is_count(self) -> bool:
        """Whether a count is bounded, which a network has before it trains."""
        return self.metric in _COUNTS

    def at(self, value: float) -> GrowthBound:
        """Return the bound at another value of the same unit."""
        return GrowthBound(self.metric, round(value) if isinstance(self.value, int) else value)


def _read(data: Any) -> Any:
    if isinstance(data, GrowthBound):
        return data
    if not isinstance(data, Mapping) or len(data) != 1:
        raise ValueError("a budget is one metric with its bound")
    ((metric, value),) = data.items()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{metric} = {value!r} is no number")
    return GrowthBound(str(metric), value)


# As a ledger has it: {metric: value}.
WrittenBound = Annotated[
    GrowthBound,
    BeforeValidator(_read),
    PlainSerializer(lambda bound: {bound.metric: bound.value}),
]


class GrowthBudget(Strict):
    """Exactly one bound of `growsearch.growth.Budget`: parameters, macs or latency[DEVICE].

    A latency is a share of the full network's (40%, 0.4) or a time with its unit (2 ms).
    """

    parameters: BudgetRange | None = Field(
        default=None,
        description="Bound on parameters: a share of the full network's (10%) or a count (20k).",
    )
    macs: BudgetRange | None = Field(
        default=None,
        description="Bound on MACs of one example: a share of the full network's (36%) or a count "
        "(20M).",
    )
    latency: Domain | None = Field(
        default=None,
        description="Bound on the latency on DEVICE: a share of the full network's (40%) or a "
        "time (2 ms).",
        json_schema_extra={
            "key": "latency[DEVICE]",
            "form": "share or time; may be searched",
            "range": "above 0",
        },
    )
    latency_s: Domain | None = Field(
        default=None, description="The same in seconds.", json_schema_extra={"key": None}
    )
    device: str | None = Field(
        default=None, description="The device in the key.", json_schema_extra={"key": None}
    )

    @model_validator(mode="before")
    @classmethod
    def _read_device(cls, data: Any) -> Any:
        """Read "latency[cpu]: 2 ms": the device stands in the key."""
        if not isinstance(data, Mapping):
            return data
        plain = {key: value for key, value in data.items() if "[" not in str(key)}
        for key in plain:
            if key not in _COUNTS:
                raise ValueError(
                    f"unknown {key!r}; give exactly one of parameters, macs and latency[DEVICE]"
                )
        for key in (key for key in data if key not in plain):
            plain |= _latency(str(key), data[key])
        return plain

    @model_validator(mode="after")
    def _exactly_one(self) -> GrowthBudget:
        given = [d for d in (self.parameters, self.macs, self.latency, self.latency_s) if d]
        if len(given) != 1:
            raise ValueError("give exactly one of parameters, macs and latency[DEVICE]")
        return self

    @model_serializer
    def _written(self) -> dict[str, Any]:
        if self.latency_s is None:
            key = self.metric
            return {key: domain_to_plain(self.domain)}
        return {f"{_SHARE}[{self.device}]": _with_unit(self.latency_s)}

    @property
    def metric(self) -> str:
        """Which metric is bounded, as `GrowthBound` names it."""
        (name,) = (n for n in (*_COUNTS, _SHARE, _SECONDS) if getattr(self, n) is not None)
        return name if name in _COUNTS else f"{name}[{self.device}]"

    @property
    def domain(self) -> Domain:
        """The bound or the range of bounds."""
        domain = self.parameters or self.macs or self.latency or self.latency_s
        assert domain is not None
        return domain

    @property
    def is_share(self) -> bool:
        """Whether all bounds are shares of the full network."""
        values = self.domain_values
        return self.latency_s is None and all(isinstance(value, float) for value in values)

    @property
    def domain_values(self) -> tuple[Any, ...]:
        """The bounds, or both ends of the range of them."""
        domain = self.domain
        return (domain.low, domain.high) if isinstance(domain, Range) else domain.values


def _latency(key: str, raw: Any) -> dict[str, Any]:
    match = _KEY.fullmatch(key)
    if match is None or match[1] != _SHARE:
        raise ValueError(f"unknown {key!r}; write latency[DEVICE]")
    device = match[2]
    if device not in DEVICES:
        raise ValueError(f"{key}: unknown device {device!r}; valid: {', '.join(DEVICES)}")
    shares: set[bool] = set()

    def parse(value: Any) -> float:
        share = isinstance(value, float) or (isinstance(value, str) and value.strip()[-1:] == "%")
        shares.add(share)
        return _amount(key, value, share=share)

    domain = parse_domain(raw, parse)
    if len(shares) != 1:
        raise ValueError(f"{key}: all bounds are shares (40%) or all are times (2 ms)")
    return {_SHARE if shares.pop() else _SECONDS: domain, "device": device}


def _amount(key: str, value: Any, *, share: bool) -> float:
    try:
        amount = parse_share(value, key) if share else parse_quantity(value, key)
    except (UsageError, TypeError) as error:
        raise ValueError(str(error)) from error
    if isinstance(value, int):
        raise ValueError(f"{key} = {value}: a time has a unit; write for example '2 ms' or 40%")
    if amount <= 0 or (share and amount > 1):
        raise ValueError(f"{key} = {value!r} is not above 0; write for example '2 ms' or 40%")
    return float(amount)


def _with_unit(domain: Domain) -> Any:
    if isinstance(domain, Range):
        return {"low": f"{domain.low!r} s", "high": f"{domain.high!r} s"}
    values = [f"{value!r} s" for value in domain.values]
    return values if len(values) > 1 else values[0]
