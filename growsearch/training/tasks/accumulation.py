"""Gradient accumulation: batches in groups, one optimizer's step a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from growsearch.training.recipes.recipe import Recipe
from growsearch.training.tasks.task import InputsAndTargets, Task


def in_groups(batches: Iterable[InputsAndTargets], size: int) -> Iterator[list[InputsAndTargets]]:
    """Yield groups of ``size`` batches; what is left over waits, unless there is nothing else."""
    group: list[InputsAndTargets] = []
    whole = False
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group, whole = [], True
    if group and not whole:
        yield group


def steps_per_epoch(task: Task, recipe: Recipe) -> int:
    """Return the optimizer's steps of one epoch, at least one.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Recipe, steps_per_epoch, task_of
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> steps_per_epoch(task_of(data), Recipe(epochs=1, batch_size=8, accumulation=2))
        2
    """
    return max(1, task.steps_per_epoch(recipe.batch_size) // recipe.accumulation)


def examples_per_step(task: Task, recipe: Recipe) -> int:
    """Return the examples of one optimizer's step.

    Example:
        >>> import torch
        >>> from growsearch.datasets import from_tensors
        >>> from growsearch.training import Recipe, examples_per_step, task_of
        >>> data = from_tensors(torch.eye(4).repeat(10, 1), torch.arange(4).repeat(10))
        >>> examples_per_step(task_of(data), Recipe(epochs=1, batch_size=8, accumulation=2))
        16
    """
    batches = min(recipe.accumulation, task.steps_per_epoch(recipe.batch_size))
    return batches * task.batch_examples(recipe.batch_size)
