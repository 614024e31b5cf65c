"""Metrics that a study may name: of every trial, of a task, beyond accuracy, and latencies."""

from __future__ import annotations

import re
from collections.abc import Iterable

from growsearch.pareto import MEASURES

PLAIN_OBJECTIVES = ("accuracy", "macs", "dense_macs", "parameters", "training_macs")
LATENCY = re.compile(r"latency\[(.+)\]")


def check_metric(key: str, name: str, own: Iterable[str]) -> None:
    """Refuse a metric that no trial has; ``own`` are those of the study's task.

    ``key`` is where it stands, such as "objectives".

    Raises:
        ValueError: with the valid ones.
    """
    from cost_models import DEVICES

    match = LATENCY.fullmatch(name)
    if match and match[1] not in DEVICES:
        raise ValueError(f"{key}.{name}: unknown device {match[1]!r}; valid: {', '.join(DEVICES)}")
    told = (name for name, measure in MEASURES.items() if measure.every_epoch)
    valid = dict.fromkeys((*PLAIN_OBJECTIVES, *own, *quality_metrics(), *told))
    if not match and name not in valid:
        raise ValueError(
            f"{key}.{name}: unknown metric {name!r}; valid: {', '.join(valid)}, latency[DEVICE]"
        )


def quality_metrics() -> tuple[str, ...]:
    """Return the names of the measures beyond accuracy."""
    return tuple(name for name, measure in MEASURES.items() if not measure.every_epoch)
