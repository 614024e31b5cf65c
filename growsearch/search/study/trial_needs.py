"""Needs of a study's trials: memory and time of the largest networks of each kind.

They are trained for a few steps. Nothing is written, and no trial is run to its end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cost_models import CostModelError, trace
from growsearch.errors import UsageError
from growsearch.fault_origin import reason_of
from growsearch.growth import build_full
from growsearch.kinds import CheckContext, Learning
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.checking.context import space_for
from growsearch.kinds.domain import Domain, values_of
from growsearch.kinds.kind import TrialKind
from growsearch.kinds.network_bounds import shapes_of
from growsearch.kinds.questions import Questions
from growsearch.kinds.space import KindSpace
from growsearch.kinds.trained import Untrained
from growsearch.search.config.study import StudyConfig
from growsearch.training import TrainingOptions
from growsearch.training.step_cost import StepCost, measure_steps
from search_spaces import SearchSpace
from search_spaces.user_code import is_own

# Of these the least is taken: a step of any rate takes as long, and a small one does not diverge.
_LEAST = ("learning_rate",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNeeds:
    """What a trial of one kind needs at most, and which candidate was tried for it."""

    kind: str
    network: str
    cost: StepCost

    @property
    def trial_s(self) -> float:
        """Seconds of the steps of a whole trial."""
        return self.cost.epochs * self.cost.epoch_s


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTried:
    """A kind whose trials cannot be tried here, and why."""

    kind: str
    reason: str


def trial_needs(
    config: StudyConfig, learning: Learning, *, steps: int
) -> Iterator[TrialNeeds | NotTried]:
    """Try the largest networks of every kind of trial for ``steps`` steps after a first one.

    Those are the one with most parameters, and the one with most MACs where it is another. What
    cannot be tried is told, and the next kind follows.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        for kind, space in config.trials.items():
            try:
                yield from _tried(config, learning, kind, space, steps)
            except Exception as error:  # whatever a network raises, the other kinds are wanted
                reason = " ".join(reason_of(error).split())
                yield NotTried(kind=kind.name, reason=reason[:300])
    finally:
        torch.set_num_threads(before)


def study_seconds(config: StudyConfig, needs: list[TrialNeeds]) -> float | None:
    """Return how long all trials take at most, if each has a worker of its own speed for itself.

    None where only a time budget ends the search.
    """
    trials = config.search.trials
    if trials is None or not needs:
        return None
    rounds = -(-trials // config.search.parallel)
    return rounds * max(need.trial_s for need in needs)


def _tried(
    config: StudyConfig,
    learning: Learning,
    kind: TrialKind[Any, Any],
    space: KindSpace,
    steps: int,
) -> Iterator[TrialNeeds]:
    dataset = learning.dataset
    # Before the networks are built: a device that is not there is told at once.
    config.training.computing.options(TrainingOptions())
    kind.check(space, CheckContext(dataset=dataset, data_dir=config.data_dir, key=kind.name))
    for name, words in _largest_spaces(space.space, learning).items():
        candidate, start = _largest(kind, space, name, learning, config.search.seed)
        options = config.training.computing.options(TrainingOptions(), candidate.own_precision)
        task = learning.task(start.module)
        cost = measure_steps(start.module, task, start.recipe, options, steps=steps)
        network = f"{words}: {_described(kind, candidate)}"
        yield TrialNeeds(kind=kind.name, network=network, cost=cost)


def _described(kind: TrialKind[Any, Any], candidate: CandidateConfig) -> str:
    name = str(getattr(candidate, "space", kind.title)).partition("@")[0]
    return f"{name}, {kind.describe(candidate.to_json())}"


def _largest(
    kind: TrialKind[Any, Any], space: KindSpace, name: str, learning: Learning, seed: int
) -> tuple[CandidateConfig, Untrained]:
    """Return the candidate of a space with most parameters at the start, and its network.

    Raises:
        UsageError: why the last one cannot be built, if none can.
    """
    found: tuple[int, CandidateConfig, Untrained] | None = None
    problem: Exception = UsageError("there is no network")
    transforms = getattr(space, "transform", None)
    for transform in (None,) if transforms is None else values_of(transforms):
        fixed = {"space": name, "transform": transform}
        candidate = kind.suggest(Questions(_Corner(fixed), kind.name), space)
        try:
            start = kind.largest(candidate, learning.dataset, seed)
        except Exception as error:  # a transform that fits no layer leaves the others
            problem = error
            continue
        size = _parameters(start.module)
        if found is None or size > found[0]:
            found = size, candidate, start
    if found is None:
        raise problem
    return found[1:]


def _largest_spaces(names: Domain, learning: Learning) -> dict[str, str]:
    """Return the space whose full network has most parameters and that with most MACs, in words."""
    found = [str(name) for name in values_of(names)]
    if len(found) == 1:
        return {found[0]: "the largest network"}
    sizes = {name: _size(space_for(name, learning.dataset)) for name in found}
    macs = {name: _macs(space_for(name, learning.dataset)) for name in found}
    large, slow = max(found, key=lambda n: sizes[n]), max(found, key=lambda n: macs[n])
    if large == slow:
        return {large: "the largest network"}
    return {large: "the one with most parameters", slow: "the one with most MACs"}


def _size(space: SearchSpace) -> int:
    """Return the parameters and buffers of the full network; nothing is allocated for it."""
    try:
        shapes = shapes_of(functools.partial(space.build, space.largest()))
    except UsageError:
        if not is_own(space.name):
            raise
        # What own code does without memory is its own matter.
        return 0
    return sum(math.prod(shape) for shape in shapes.values())


def _macs(space: SearchSpace) -> int:
    """Return the MACs of the full network; 0 where they cannot be counted."""
    try:
        return trace(build_full(space, seed=0), space.example_inputs()).dense_macs
    except CostModelError:
        return 0


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Corner:
    """Answers questions with what is fixed, else with the largest number or the first name."""

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        self._fixed = fixed

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        key = name.partition(".")[2]
        if self._fixed.get(key) in choices:
            return self._fixed[key]
        numbers = all(type(choice) in (int, float) for choice in choices)
        if not numbers:
            return choices[0]
        return min(choices) if key in _LEAST else max(choices)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        return int(self._end(name, low, high))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        return self._end(name, low, high)

    def _end(self, name: str, low: float, high: float) -> float:
        return low if name.partition(".")[2] in _LEAST else high
