"""Device profiling: draw networks, choose operators, time all in turn, fit and check."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cost_models.counting.operator_call import Operator
from cost_models.counting.tracing import trace
from cost_models.counting.workload import Workload
from cost_models.errors import ProfileError
from cost_models.executors import EXECUTORS
from cost_models.executors.executor import Prepared
from cost_models.measuring.availability import check_available
from cost_models.profiling.choosing import choose_operators
from cost_models.profiling.chosen_forms import forms_of
from cost_models.profiling.host import host_facts
from cost_models.profiling.latency_profile import LatencyProfile, as_device_sees
from cost_models.profiling.records import (
    Conditions,
    ProfileRecord,
    Role,
    TimedNetwork,
    TimedOperator,
)
from cost_models.profiling.running_minima import RunningMinima
from cost_models.profiling.timing import Timer
from cost_models.registry import DEVICES, device_named

# The executors that run operator by operator, so that each has a time.
_BY_OPERATOR = ("eager", "sparse")
# The run may end when its halves agree this well and there were so many passes.
_SETTLED_NOISE = 0.015
_MIN_PASSES = 10
# Operators are chosen from networks that are neither fitted on nor checked: from so many more
# operators than wanted, and at most so many networks. So many networks without news end it.
_CHOICE, _POOL, _WITHOUT_NEWS = 1.5, 80, 6
_DRAWS_A_NETWORK = 50

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnNetwork:
    """A network to profile with: its name, inputs of the whole batch, and how to build it again."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    description: Mapping[str, Any]


class NetworkSource(Protocol):
    """Where the networks of a profile come from."""

    @property
    def description(self) -> Mapping[str, Any]:
        """Say what is drawn from, as plain data."""
        ...

    def draw(self, generator: torch.Generator) -> DrawnNetwork:
        """Draw one network; the same generator state gives the same one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePlan:
    """How much is timed. `minutes` bounds the timing; it ends sooner once repeats agree.

    `operators` is 0 for a device that runs whole networks: those are all there is to time.
    """

    device: str = "cpu"
    batch_size: int = 1
    threads: int = 1
    operators: int = 700
    networks: int = 10
    validation: int = 30
    seed: int = 0
    minutes: float = 15.0

    def __post_init__(self) -> None:
        _check_device(self.device)
        if self.operators and not times_operators(self.device):
            raise ProfileError(
                f"operators = {self.operators}: device {self.device!r} runs whole networks and no "
                "single operators; take 0, and about 40 networks"
            )
        for name in ("batch_size", "threads", "networks", "validation"):
            if getattr(self, name) < 1:
                raise ProfileError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.operators < 0:
            raise ProfileError(f"operators = {self.operators}: must not be below 0")
        if not self.minutes > 0:
            raise ProfileError(f"minutes = {self.minutes}: must be above 0")


def times_operators(device: str) -> bool:
    """Say whether a device runs operator by operator, so that each can be timed."""
    return device_named(device).executor in _BY_OPERATOR


def profiled_devices() -> tuple[str, ...]:
    """Name the devices that can be profiled: measured ones that do not look for a pattern of zeros.

    Whether a weight has the pattern cannot be told from the operator that is called on it.
    """
    return tuple(
        name
        for name, device in DEVICES.items()
        if device.executor is not None and device.skips.pattern is None
    )


def _check_device(name: str) -> None:
    device = device_named(name)
    if name not in profiled_devices():
        raise ProfileError(
            f"device = {name!r}: it is analytic, or skips the zeros of a pattern; valid: "
            f"{', '.join(profiled_devices())}"
        )
    check_available(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    network: DrawnNetwork
    role: Role
    operators: tuple[Operator, ...]
    macs: int


class ProfileRun:
    """One profile in the making; `run_pass` until `settled` or out of time, then `finish`."""

    def __init__(self, plan: ProfilePlan, source: NetworkSource, progress: Progress) -> None:
        """Draw and trace the networks and choose the operators, which takes a minute or so."""
        self.plan = plan
        self._source = source
        self._generator = torch.Generator().manual_seed(plan.seed)
        self._seen: set[str] = set()
        self._subjects = self._draw_subjects(progress)
        self._operators = self._choose(progress)
        prepared = self._prepare()
        self._runtime = prepared[0].runtime
        self.timer = Timer(
            [each.call for each in prepared],
            self._operators,
            threads=plan.threads,
            seed=plan.seed,
            device_clock=prepared[0].clock,
        )

    @property
    def settled(self) -> bool:
        """Whether another pass would change little."""
        return self.timer.passes >= _MIN_PASSES and self.noise <= _SETTLED_NOISE

    @property
    def noise(self) -> float:
        """How far the halves of the run disagree about the networks; infinite at first."""
        return self.timer.networks.noise

    def run_pass(self) -> None:
        """Time every network and every operator once more."""
        self.timer.run_pass()

    def state(self) -> dict[str, Any]:
        """Give what was timed so far as plain data, to go on with another time."""
        return {
            "subjects": [subject.network.name for subject in self._subjects],
            "operators": len(self._operators),
            "passes": self.timer.passes,
            "networks_s": _finite(self.timer.networks),
            "operators_s": _finite(self.timer.operators),
        }

    def resume(self, state: Mapping[str, Any]) -> bool:
        """Go on from `state`; says whether it was of the same networks and operators."""
        fresh = self.state()
        if any(state.get(key) != fresh[key] for key in ("subjects", "operators")):
            return False
        self.timer.resume(
            _minima(state["networks_s"]), _minima(state["operators_s"]), int(state["passes"])
        )
        return True

    def finish(self, minutes: float) -> LatencyProfile:
        """Fit the models to what was timed; `minutes` is how long the whole profile took.

        Raises:
            ProfileError: fewer than two passes, or too few networks.
        """
        if self.timer.passes < 2:
            raise ProfileError("fewer than 2 passes were timed: give the profile more minutes")
        return LatencyProfile(
            ProfileRecord(
                conditions=self._conditions(minutes),
                operators=self._timed_operators(),
                networks=self._timed_networks(),
            )
        )

    @property
    def _accelerator(self) -> str | None:
        return device_named(self.plan.device).needs.accelerator

    def _conditions(self, minutes: float) -> Conditions:
        return Conditions(
            device=self.plan.device,
            batch_size=self.plan.batch_size,
            threads=self.plan.threads,
            clock=self.timer.clock,
            seed=self.plan.seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            source=self._source.description,
            host=host_facts(self._accelerator) | {"runtime": self._runtime},
            passes=self.timer.passes,
            minutes=minutes,
        )

    def _timed_operators(self) -> tuple[TimedOperator, ...]:
        lows, halves = self.timer.operators.low_s, self.timer.operators.halves_s
        return tuple(
            TimedOperator(operator=each, low_s=float(low), halves_s=(float(even), float(odd)))
            for each, low, (even, odd) in zip(self._operators, lows, halves, strict=True)
        )

    def _timed_networks(self) -> tuple[TimedNetwork, ...]:
        lows, halves = self.timer.networks.low_s, self.timer.networks.halves_s
        return tuple(
            TimedNetwork(
                name=subject.network.name,
                role=subject.role,
                description=subject.network.description,
                operators=subject.operators,
                macs=subject.macs,
                low_s=float(low),
                halves_s=(float(even), float(odd)),
            )
            for subject, low, (even, odd) in zip(self._subjects, lows, halves, strict=True)
        )

    def _prepare(self) -> list[Prepared]:
        executor = EXECUTORS[device_named(self.plan.device).executor or ""]
        with torch.inference_mode():
            return [
                executor.prepare(each.network.module.eval(), each.network.inputs, self.plan.threads)
                for each in self._subjects
            ]

    def _draw_subjects(self, progress: Progress) -> list[_Subject]:
        roles: list[Role] = ["calibration"] * self.plan.networks
        roles += ["validation"] * self.plan.validation
        subjects = []
        for done, role in enumerate(roles):
            progress("networks", done / len(roles))
            network = self._draw_new()
            work = self._trace(network)
            macs = work.dense_macs * self.plan.batch_size
            operators = self._operators_of(work)
            subjects.append(_Subject(network=network, role=role, operators=operators, macs=macs))
        return subjects

    def _choose(self, progress: Progress) -> tuple[Operator, ...]:
        if not self.plan.operators:
            return ()
        pool: list[tuple[Operator, ...]] = []
        distinct: set[Operator] = set()
        wanted, without_news = self.plan.operators * _CHOICE, 0
        while len(pool) < _POOL and len(distinct) < wanted and without_news < _WITHOUT_NEWS:
            progress("operators", min(len(distinct) / wanted, 1.0))
            called = self._operators_of(self._trace(self._source.draw(self._generator)))
            forms = tuple(form for each in called for form in forms_of(each))
            pool.append(forms)
            without_news = without_news + 1 if distinct.issuperset(forms) else 0
            distinct.update(forms)
        return choose_operators(pool, self.plan.operators, self.plan.seed)

    def _draw_new(self) -> DrawnNetwork:
        for _ in range(_DRAWS_A_NETWORK):
            network = self._source.draw(self._generator)
            if network.name not in self._seen:
                self._seen.add(network.name)
                return network
        raise ProfileError(
            f"the source has no more than {len(self._seen)} different networks; ask for fewer "
            "networks to calibrate on and to check"
        )

    def _operators_of(self, work: Workload) -> tuple[Operator, ...]:
        assert work.operators is not None
        return as_device_sees(work.operators, self.plan.device)

    def _trace(self, network: DrawnNetwork) -> Workload:
        work = trace(network.module, network.inputs)
        if work.operators is None:
            raise ProfileError(f"network {network.name}: an operator cannot be called alone")
        if work.batch != self.plan.batch_size:
            raise ProfileError(
                f"network {network.name} has a batch of {work.batch}, the plan of "
                f"{self.plan.batch_size}"
            )
        return work


def run_until_settled(
    run: ProfileRun,
    progress: Progress,
    *,
    around_pass: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_pass: Callable[[], None] = lambda: None,
) -> None:
    """Time passes until repeats agree or the plan's minutes are over.

    `around_pass` is entered for each pass: `MachineLock.exclusive` keeps our own trials away.
    """
    start, limit_s = time.monotonic(), run.plan.minutes * 60
    while True:
        with around_pass():
            run.run_pass()
        after_pass()
        taken = time.monotonic() - start
        progress("timing", min(taken / limit_s, 1.0))
        if run.settled or (taken >= limit_s and run.timer.passes >= 2):
            return


def _finite(minima: RunningMinima) -> list[Any]:
    kept = minima.kept
    return [[[None if v == float("inf") else v for v in half] for half in item] for item in kept]


def _minima(data: list[Any]) -> RunningMinima:
    values = [[[float("inf") if v is None else v for v in half] for half in item] for item in data]
    return RunningMinima.of(torch.tensor(values, dtype=torch.float64).numpy())
