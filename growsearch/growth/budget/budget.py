"""Growth budget: a bound on parameters, MACs or a device's time."""

from __future__ import annotations

from dataclasses import dataclass

from cost_models import DEVICES
from growsearch.errors import UsageError
from growsearch.growth.budget.cost_terms import CostName
from growsearch.pareto import format_quantity

_EXAMPLES = "for example parameters=0.36, macs=20_000_000, or latency_s=0.002 with device='cpu'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An upper bound on exactly one of parameters, macs and latency.

    A float in (0, 1] is the share of the full configuration; for parameters and macs, an integer is
    an absolute count, and ``latency_s`` is an absolute time in seconds. MACs are those of one
    example as `cost_models.trace` counts them. A latency is that of one inference pass of
    ``batch_size`` examples on ``device``, a name in `cost_models.DEVICES`; processors are timed on
    one thread.

    Raises:
        UsageError: if not exactly one is given, or a value is out of range.

    Example:
        >>> from growsearch.growth import Budget
        >>> Budget(parameters=0.25).limit(full=1000, least=10)
        250
        >>> Budget(latency_s=0.002, device="wafer-cs2").metric
        'latency'
    """

    parameters: float | int | None = None
    macs: float | int | None = None
    latency: float | None = None
    latency_s: float | None = None
    device: str | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        if len(self._given()) != 1:
            raise UsageError(
                f"budget: give exactly one of parameters, macs, latency and latency_s; {_EXAMPLES}"
            )
        ((name, value),) = self._given().items()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"budget.{name}: {value!r} is no number; {_EXAMPLES}")
        if name == "latency_s":
            if not 0 < value < float("inf"):
                raise UsageError(f"budget.latency_s: {value} is not above 0 seconds")
        elif isinstance(value, float) and not 0 < value <= 1:
            raise UsageError(
                f"budget.{name}: the share {value} is not in (0, 1]; a share is a float such as "
                f"0.36, {_absolute(name)}"
            )
        elif isinstance(value, int) and name == "latency":
            raise UsageError(
                f"budget.latency: {value} is no share; write {float(value)}, or give seconds as "
                "latency_s"
            )
        elif isinstance(value, int) and value < 1:
            raise UsageError(f"budget.{name}: {value} is below 1; give a positive count")
        self._check_device()

    def _given(self) -> dict[str, float | int]:
        names = ("parameters", "macs", "latency", "latency_s")
        return {n: value for n in names if (value := getattr(self, n)) is not None}

    def _check_device(self) -> None:
        if self.metric != "latency":
            if self.device is not None or self.batch_size != 1:
                raise UsageError(
                    f"budget: device and batch_size go with a latency, not with {self.metric}"
                )
            return
        if self.device not in DEVICES:
            valid = ", ".join(DEVICES)
            raise UsageError(f"budget.device: {self.device!r} is no device; valid: {valid}")
        if isinstance(self.batch_size, bool) or self.batch_size < 1:
            raise UsageError(f"budget.batch_size: {self.batch_size!r} is no whole number above 0")

    @property
    def metric(self) -> CostName:
        """What is bounded: "parameters", "macs" or "latency"."""
        (name,) = self._given()
        return "latency" if name == "latency_s" else name  # type: ignore[return-value]

    @property
    def unit(self) -> str:
        """What a cost is counted in: "parameters", "MACs" or "s"."""
        return {"parameters": "parameters", "macs": "MACs", "latency": "s"}[self.metric]

    @property
    def value(self) -> float | int:
        """The bound as it was given."""
        (value,) = self._given().values()
        return value

    def limit(self, *, full: float, least: float, holding: str = "") -> float:
        """Return the bound in `unit`: never above ``full``, the full configuration's cost.

        It is a whole number for counts.

        Raises:
            UsageError: if the bound is below ``least``, the cost of one channel a group; the
                message ends with ``holding``, what keeps that network so large.
        """
        relative = isinstance(self.value, float) and self.latency_s is None
        amount = self.value * full if relative else min(self.value, full)
        if self.metric != "latency":
            amount = int(amount)
        if amount < least:
            of_full = f" of {self._show(full)} = {self._show(amount)}" if relative else ""
            raise UsageError(
                f"budget.{next(iter(self._given()))}: {self.value}{of_full} is below the smallest "
                f"network ({self._show(least)} with one channel a group, "
                f"{100 * least / full:.3g} % of the full one); give at least "
                f"{self._show(least, up=True)} or {_ceil(least / full)}"
                + (f". What keeps its width: {holding}" if holding else "")
            )
        return amount

    def _show(self, cost: float, *, up: bool = False) -> str:
        if self.metric != "latency":
            return f"{cost:,}"
        # Shown with three digits: rounded up, the advice is itself accepted.
        return format_quantity(cost * 1.005 if up else cost, "latency")


def _absolute(name: str) -> str:
    if name == "latency":
        return "an absolute time is latency_s in seconds"
    return "an absolute count an integer such as 100000"


def _ceil(share: float) -> float:
    """Round a share up to three decimals, so that the advice is itself accepted."""
    return min(1.0, int(share * 1000 + 1) / 1000)
