"""Batched evaluations on Ray: many cheap ones to a task, since a task has its price.

A trial of Tune costs a tenth of a second before it does anything. What takes milliseconds (an
analytic cost, a table, a proxy at initialisation) goes a few hundred to a task instead.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from growsearch.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Ray runs the batch of a worker that died on another one.
_MAX_RETRIES = 3


def in_batches(
    evaluate: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    batch_size: int = 200,
    ahead: int = 4,
    beside_trials: bool = False,
) -> Iterator[Result]:
    """Yield ``evaluate(item)`` of every item, in order; call it inside a `ray_session`.

    Args:
        evaluate: what to run in workers. It may run twice for an item whose worker died.
        items: drawn as they are needed: at most ``ahead`` batches are with the workers.
        batch_size: items a task.
        ahead: batches at a time; at least the number of workers keeps all of them busy.
        beside_trials: take no CPU of Ray's, on the driver's node. Trials that run hold all CPUs,
            and what waited for one would keep the driver from ever hearing of their ends.

    Raises:
        UsageError: for a batch size or a number of batches below 1.
        Exception: whatever ``evaluate`` raised first, in the order of the items.
    """
    if batch_size < 1 or ahead < 1:
        raise UsageError(f"batch_size = {batch_size}, ahead = {ahead}: both must be at least 1")
    task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(_evaluate_all)
    if beside_trials:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        task = task.options(num_cpus=0, scheduling_strategy=here)
    function = ray.put(evaluate)
    left = iter(items)
    pending: deque[Any] = deque()
    while True:
        while len(pending) < ahead and (batch := list(itertools.islice(left, batch_size))):
            pending.append(task.remote(function, batch))
        if not pending:
            return
        yield from _result(pending.popleft())


def _evaluate_all(evaluate: Callable[[Item], Result], batch: list[Item]) -> list[Result]:
    return [evaluate(item) for item in batch]


def _result(batch: Any) -> Any:
    try:
        return ray.get(batch)
    except ray.exceptions.RayTaskError as error:
        # The evaluation's own error, not Ray's wrapping of it.
        raise error.cause from error
