"""Networks that no trial could train, count, copy or keep: refused before anything trains."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cost_models import CostModelError, trace
from cost_models.counting.module_state import untouched
from growsearch.errors import UsageError
from growsearch.sparsity.lasting_zeros import check_network_keeps_zeros
from growsearch.training.checkpoints.weights_file import stored_once
from search_spaces import SearchSpaceError
from search_spaces.own_networks.plain_weights import check_plain_weights
from search_spaces.own_networks.whole_networks import copied


def check_network(
    module: nn.Module, inputs: tuple[Tensor, ...], *, masked: bool
) -> tuple[str, ...]:
    """Refuse a network that every trial would fail with; it is left as it was.

    Args:
        module: with its weights.
        inputs: a batch of two examples or more, as the network's arguments.
        masked: whether its weights get masks.

    Returns:
        The parameters to be trained that no output depends on.

    Raises:
        UsageError: naming the layer or tensor, the rule and the remedy: it is re-parametrised,
            cannot be copied or saved, has nothing to train, has an operator that cannot be counted,
            or would not keep the zeros of a mask.
    """
    try:
        check_plain_weights(module)
        stored_once(module.state_dict())
        unreached = _unreached(copied(module), inputs)
        if masked:
            check_network_keeps_zeros(module, inputs)
        else:
            trace(module, inputs)
    except CostModelError as error:
        raise UsageError(f"its work cannot be counted: {' '.join(str(error).split())}") from error
    except SearchSpaceError as error:
        raise UsageError(str(error)) from error
    return unreached


def _unreached(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[str, ...]:
    """Return the parameters that a step of training gives no gradient; the module is a copy."""
    module.zero_grad()
    with untouched(module), torch.enable_grad():
        module.train()
        trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        try:
            outputs = module(*inputs)
            if not isinstance(outputs, Tensor):
                raise UsageError(
                    f"in training mode it gives a {type(outputs).__name__}, and the loss is of one "
                    "tensor; return the scores alone"
                )
            found = _gradients(outputs, trained.values())
        except UsageError:
            raise
        except Exception as error:  # whatever the network raises, the cause is kept
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"a step of training fails: {type(error).__name__}: {reason}"
            ) from error
    if all(gradient is None for gradient in found):
        raise UsageError(
            "nothing of it can be trained: no parameter with requires_grad=True reaches its output"
        )
    return tuple(n for n, gradient in zip(trained, found, strict=True) if gradient is None)


def _gradients(outputs: Tensor, parameters: Iterable[nn.Parameter]) -> list[Tensor | None]:
    if outputs.requires_grad:
        # As training does: reentrant checkpoints allow no torch.autograd.grad.
        outputs.sum().backward()  # type: ignore[no-untyped-call]
    return [each.grad for each in parameters]
