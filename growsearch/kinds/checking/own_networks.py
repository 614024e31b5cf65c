"""Own networks of a study, looked at before anything trains: what is refused, and what is said."""

from __future__ import annotations

import torch
from torch import nn

from cost_models.counting.module_state import untouched
from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.kinds.checking.network_checks import check_network
from growsearch.kinds.checking.program import NoProgramError, program_bytes
from growsearch.sparsity import prunable_parameters
from growsearch.sparsity.coverage import maskable_note
from growsearch.sparsity.maskable import unmaskable_layers

# Updaters that regrow connections by the gradients of masked weights.
_BY_GRADIENT = ("rigl", "granet")
# BatchNorm wants more than one example in training.
_EXAMPLES = 2


def check_own_network(
    module: nn.Module, dataset: Dataset, *, masked: bool, updaters: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Refuse a network that every trial would fail with; say what else a person should know.

    Args:
        module: the largest network of an own space, with its weights.
        dataset: the study's.
        masked: whether its weights get masks.
        updaters: the mask updaters that the study may take.

    Returns:
        Notes: updaters that fail with this network, weights that no mask acts on, and that it
        cannot be exported as a program.

    Raises:
        UsageError: naming the layer, the rule and the remedy.
    """
    _check_first_outputs(module, dataset)
    inputs = dataset.zeros(_EXAMPLES)
    unreached = check_network(module, (inputs,), masked=masked)
    notes = []
    failing = [name for name in updaters if name in _BY_GRADIENT]
    layers = [name for name in prunable_parameters(module) if name in unreached]
    if failing and layers:
        notes.append(
            f"the loss does not reach {layers[0]}: trials of the updater {' and '.join(failing)} "
            "fail where it is masked; leave the layer out of the network, or search static and set"
        )
    if masked:
        dense = [f"{reason}; it stays dense" for reason in unmaskable_layers(module).values()]
        notes += [*dense, *filter(None, [maskable_note(module, (inputs,))])]
    reason = why_no_program(module, inputs)
    if reason is not None:
        notes.append(
            f"{reason}: an export will have weights, architecture and load.py, but no program.pt2"
        )
    return tuple(notes)


def _check_first_outputs(module: nn.Module, dataset: Dataset) -> None:
    """Refuse a network whose outputs are NaN on the first examples; one that fails there is not.

    Streamed examples are left to the trials.
    """
    if dataset.train.streamed:
        return
    first = dataset.train.at(torch.arange(min(_EXAMPLES, len(dataset.train)))).inputs
    try:
        with untouched(module), torch.no_grad():
            outputs = module(first)
    except Exception:  # whatever the network raises: the checks that follow say it
        return
    if isinstance(outputs, torch.Tensor) and bool(outputs.isnan().any()):
        raise UsageError(
            "its outputs are NaN on the first training examples, before any update, so that no "
            "learning rate helps; look for a logarithm or root of what is below 0, or a division "
            "by 0"
        )


def why_no_program(module: nn.Module, inputs: torch.Tensor) -> str | None:
    """Return why a network cannot be exported as a program, in one line; None where it can."""
    try:
        program_bytes(module.eval(), inputs)
    except NoProgramError as error:
        return str(error)
    return None
