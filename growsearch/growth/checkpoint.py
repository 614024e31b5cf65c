"""What of a growing network goes into a checkpoint, beside what every training run keeps?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from growsearch.growth.surgery import fold_gates, rebuild_optimizer
from growsearch.training import TrainingState, tensors_under

if TYPE_CHECKING:
    from growsearch.growth.hook import Change, GrowthHook

_SURGEON, _POLICY, _CHANGES = "surgeon/", "policy/", "changes/"


def growth_state(hook: GrowthHook) -> dict[str, Tensor]:
    """Return the full-size values and momenta, the policy's state, the stream and the ledger.

    Once the structure is frozen, values of channels that do not run are of no use any more.
    """
    return {
        **_with(_SURGEON, hook.surgeon.state(values=not hook.frozen)),
        **_with(_POLICY, hook.policy.state()),
        **_with(_CHANGES, _columns(hook.changes)),
        "generator": hook.generator.get_state(),
        **({} if hook.latency is None else {"latency": hook.latency.state()}),
    }


def load_growth_state(
    hook: GrowthHook, tensors: Mapping[str, Tensor], training: TrainingState
) -> None:
    """Take back what `growth_state` returned, but for the ledger, which is back already.

    The module gets the shape that it had; frozen, it has no gates any more.
    """
    hook.surgeon.load_state(tensors_under(_SURGEON, tensors))
    hook.policy.load_state(tensors_under(_POLICY, tensors))
    hook.generator.set_state(tensors["generator"])
    if hook.latency is not None:
        hook.latency.load_state(tensors["latency"])
    hook.on_start(training)
    if hook.frozen:
        fold_gates(training.model, training.optimizer, training.recipe)
    else:
        rebuild_optimizer(training.model, training.optimizer, training.recipe, {})


def ledger(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Return the fields of every `Change` that `growth_state` wrote down."""
    columns = tensors_under(_CHANGES, tensors)
    return [
        {
            name: entry if entry.ndim else entry.item()
            for name, entry in zip(columns, row, strict=True)
        }
        for row in zip(*columns.values(), strict=True)
    ]


def _with(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _columns(changes: Sequence[Change]) -> dict[str, Tensor]:
    """Return one tensor (epochs, ...) a field."""
    if not changes:
        return {}
    names = [field.name for field in dataclasses.fields(changes[0])]
    return {
        name: torch.stack([_tensor(getattr(change, name)) for change in changes]) for name in names
    }


def _tensor(value: Tensor | float) -> Tensor:
    # A Python float has 64 bits; torch would keep half of them.
    return (
        torch.tensor(value, dtype=torch.float64)
        if isinstance(value, float)
        else torch.as_tensor(value)
    )
