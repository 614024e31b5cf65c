"""Steps of an epoch: how many, of which batches, and at which learning rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from growsearch.training.state import Hook, TrainingState
from growsearch.training.tasks.accumulation import in_groups
from growsearch.training.tasks.task import Forward, InputsAndTargets, Task


def groups_of_epoch(
    state: TrainingState, task: Task, hooks: Sequence[Hook]
) -> Iterator[tuple[Forward, list[InputsAndTargets]]]:
    """Yield each step's batches and how they are read: of one pass, or as a hook wants it."""
    asked = (hook.steps_of_epoch(state) for hook in hooks)
    wanted = next((steps for steps in asked if steps is not None), None)
    state.epoch_start, state.epoch_steps = state.step, wanted or state.steps_per_epoch
    left = wanted
    while left is None or left > 0:
        forward, passed = task.forward(), 0
        batches = task.batches(state.recipe.batch_size, state.generator)
        groups = in_groups(batches, state.recipe.accumulation)
        for group in groups if left is None else itertools.islice(groups, left):
            passed += 1
            yield forward, group
        if left is None or not passed:
            return
        left -= passed


def rate_of_step(state: TrainingState, hooks: Sequence[Hook]) -> float:
    """Return the learning rate that the first hook with an own one wants, or the recipe's."""
    asked = (hook.learning_rate(state) for hook in hooks)
    by_steps = state.recipe.learning_rate_at(min(1.0, state.step / state.total_steps))
    return next((rate for rate in asked if rate is not None), by_steps)
