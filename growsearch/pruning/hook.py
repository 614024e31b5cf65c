"""Pruning hook: structures go before some of the training steps, and the rest trains on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from growsearch.growth.budget.budget import Budget
from growsearch.growth.costs import Costs
from growsearch.growth.gates.bank import GateBank
from growsearch.growth.surgery.optimizer_state import rebuild_optimizer
from growsearch.growth.surgery.recalibration import has_statistics, recalibrate_on
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates
from growsearch.metrics.placement import device_of
from growsearch.pruning.allocation.allocation import Request
from growsearch.pruning.allocation.registry import ALLOCATIONS
from growsearch.pruning.config import PruneConfig
from growsearch.pruning.importance.gates import GateImportance
from growsearch.pruning.importance.importance import Importance, Judged
from growsearch.training import TRAINING_PASSES, Hook, Task, TrainingState, tensors_under
from growsearch.training.tasks.task import InputsAndTargets

_SURGEON, _GATES = "surgeon/", "gates/"


@dataclass(slots=True, kw_only=True)
class PruneHook(Hook):
    """Takes structures away at the points of a schedule, with the optimizer's state following.

    ``task`` is the one without a teacher. ``points`` say before which steps, ``limits`` what the
    network may cost after each; ``done`` counts those that are over. ``teacher_macs`` are those of
    one example through the teacher, whom every step asks. ``history`` has what lived at the end of
    every epoch (total,), ``costs_by_epoch`` what that cost.
    """

    config: PruneConfig
    budget: Budget
    costs: Costs
    importance: Importance
    surgeon: Surgeon
    bank: GateBank | None
    task: Task
    generator: torch.Generator
    points: tuple[int, ...]
    limits: tuple[float, ...]
    teacher_macs: int
    history: list[Tensor]
    costs_by_epoch: list[float]
    done: int = 0

    def on_start(self, state: TrainingState) -> None:
        """Open the gates as far as the indicators say."""
        if self.bank is not None:
            self.bank.move(device_of(state.model))
            self._set_gates()

    def before_forward(self, state: TrainingState, batch: InputsAndTargets) -> InputsAndTargets:
        """Take structures away before the step, where the schedule says so."""
        while not self.settled and state.step >= self.points[self.done]:
            self._prune(state)
        return batch

    def before_update(self, state: TrainingState) -> bool:
        """Hand the gates' gradients on; the weights' update goes on as usual."""
        gated = self.bank is not None and not self.settled
        if gated and isinstance(self.importance, GateImportance):
            assert self.bank is not None
            self.importance.learn(self.bank.gradients() / state.loss_scale)
        return True

    def after_update(self, state: TrainingState) -> None:
        """Put new gates in place, and count what the teacher took."""
        state.training_macs += self.teacher_macs * state.batch_examples
        if self.bank is not None and not self.settled:
            self._set_gates()

    def forget_gradients(self) -> None:
        """Drop those of the gates."""
        if self.bank is not None:
            self.bank.forget()

    def own_gradients(self) -> Sequence[Tensor]:
        """Return those of the gates."""
        return () if self.bank is None or self.settled else self.bank.own_gradients()

    def structure(self) -> Mapping[str, Tensor]:
        """Return what lives, and the stream of draws."""
        return {
            "live channels": self.surgeon.live,
            "random stream": self.generator.get_state(),
        }

    def is_settled(self) -> bool:
        """Tell whether the structure is final."""
        return self.settled

    def on_epoch_end(self, state: TrainingState) -> None:  # noqa: ARG002
        """Note what lives."""
        self.history.append(self.surgeon.live.clone())
        self.costs_by_epoch.append(self.costs.projection.cost(self.surgeon.live))
        if isinstance(self.importance, GateImportance):
            self.importance.advance(self.surgeon.live)

    def settings(self) -> Mapping[str, object]:
        """Return the budget's limit and the configuration."""
        return {"limit": self.costs.projection.limit, "config": self.config}

    def state(self) -> Mapping[str, Tensor]:
        """Return what lives and lived, the stream, and what gates have learned.

        Weights and moments of what is gone are of no use any more.
        """
        found = {
            **{_SURGEON + key: value for key, value in self.surgeon.state(values=False).items()},
            "history": torch.stack([*self.history, self.surgeon.live]),
            "costs": torch.tensor(self.costs_by_epoch, dtype=torch.float64),
            "done": torch.tensor(self.done),
            "generator": self.generator.get_state(),
        }
        if isinstance(self.importance, GateImportance):
            found |= {_GATES + key: value for key, value in self.importance.state().items()}
        if self.costs.latency is not None:
            found["latency"] = self.costs.latency.state()
        return found

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take back what `state` returned; the module gets the shape that it had."""
        self.history[:] = list(tensors["history"].unbind())[:-1]
        self.costs_by_epoch[:] = tensors["costs"].tolist()
        self.done = int(tensors["done"])
        self.generator.set_state(tensors["generator"])
        self.surgeon.load_state(tensors_under(_SURGEON, tensors))
        if isinstance(self.importance, GateImportance):
            self.importance.load_state(tensors_under(_GATES, tensors))
        if self.costs.latency is not None:
            self.costs.latency.load_state(tensors["latency"])
        self.on_start(training)
        if self.settled:
            fold_gates(training.model, training.optimizer, training.recipe)
        else:
            rebuild_optimizer(training.model, training.optimizer, training.recipe, {})

    @property
    def settled(self) -> bool:
        """Whether nothing goes any more."""
        return self.done >= len(self.points)

    def _prune(self, state: TrainingState) -> None:
        before, last = self.surgeon.live, self.done + 1 == len(self.points)
        scores = self.importance.scores(self._judged(state)).float()
        live = self._chosen(before, scores, last=last)
        if not torch.equal(live, before):
            self.surgeon.restructure(live, state.optimizer, state.recipe)
        self.done += 1
        structures = self.costs.structures
        state.forward_macs = self.costs.macs.exact(structures.counts(live))
        if self.bank is not None:
            self._set_gates()
        if last:
            fold_gates(state.model, state.optimizer, state.recipe)
        rate = state.recipe.learning_rate_at(state.step / state.total_steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        if not torch.equal(live, before) and has_statistics(state.model):
            recalibrate_on(self.task, state, self.config.calibration_batches, self.generator)

    def _chosen(self, live: Tensor, scores: Tensor, *, last: bool) -> Tensor:
        """Return what stays; of a latency the device is asked where it is to stay so."""
        projection, allocate = self.costs.projection, ALLOCATIONS[self.config.allocation]
        limit = projection.limit if last else self.limits[self.done]

        def fit() -> Tensor:
            return allocate(
                Request(
                    projection=dataclasses.replace(projection, limit=limit),
                    scores=scores,
                    live=live,
                    multiples=self._multiples(),
                    least=self._least(),
                    given=self._given(),
                )
            )

        latency = self.costs.latency
        return latency.agreed(fit, fill=True) if last and latency is not None else fit()

    def _multiples(self) -> dict[str, int]:
        return multiples_of(self.costs, self.config)

    def _least(self) -> dict[str, int]:
        return least_widths(self.costs, self.config)

    def _given(self) -> dict[str, int]:
        return given_widths(self.costs, self.config, (self.done + 1) / len(self.points))

    def _judged(self, state: TrainingState) -> Judged:
        size = self.task.batch_examples(state.recipe.batch_size)
        inputs, targets = self.task.sample(size * self.config.importance_batches, self.generator)
        batches = list(zip(torch.split(inputs, size), torch.split(targets, size), strict=True))
        if self.config.importance in ("taylor", "fisher"):
            examples = len(inputs)
            state.training_macs += TRAINING_PASSES * state.forward_macs * examples
        return Judged(
            module=state.model,
            structures=self.costs.structures,
            groups=self.costs.growing.groups,
            units=self.costs.growing_units,
            live=self.surgeon.live,
            task=self.task,
            batches=batches,
        )

    def _set_gates(self) -> None:
        if self.bank is not None and isinstance(self.importance, GateImportance):
            self.bank.set(self.importance.gates(), self.surgeon.live)


def multiples_of(costs: Costs, config: PruneConfig) -> dict[str, int]:
    """Return of what every group's width is a multiple: the structure's own, and the setting's."""
    return {
        group.name: math.lcm(group.multiple, min(config.width_multiple, group.size))
        for group in costs.growing.groups
    }


def least_widths(costs: Costs, config: PruneConfig) -> dict[str, int]:
    """Return the least channels of every group, whose width may be decided below that."""
    return {
        group.name: max(1, math.ceil(config.least_share * group.size - 1e-9))
        for group in costs.growing.groups
    }


def given_widths(costs: Costs, config: PruneConfig, part: float = 1.0) -> dict[str, int]:
    """Return the widths that ``shares`` decide, after this part of the way to them.

    Of several patterns that fit a group the first one counts.
    """
    found = {}
    for group in costs.growing.groups:
        for pattern, share in config.shares.items():
            if fnmatchcase(group.name, pattern):
                found[group.name] = max(1, round(group.size * share**part))
                break
    return found
