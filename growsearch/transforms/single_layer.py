"""Example inputs of a single layer that is transformed outside a network."""

from __future__ import annotations

from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.transforms.targets import is_bare


def layer_inputs(module: nn.Module) -> tuple[Tensor]:
    """Return the smallest input of a bare Linear or Conv2d; MAC ratios do not depend on its size.

    Raises:
        UsageError: for any other module: its input cannot be guessed.
    """
    if isinstance(module, nn.Linear):
        return (module.weight.detach().new_zeros(1, module.in_features),)
    if isinstance(module, nn.Conv2d):
        reach = [
            (size - 1) * dilation + 1
            for size, dilation in zip(module.kernel_size, module.dilation, strict=True)
        ]
        return (module.weight.detach().new_zeros(1, module.in_channels, *reach),)
    raise UsageError(
        f"example_inputs: {type(module).__name__} needs an example, such as "
        "(torch.zeros(1, 3, 32, 32),), to count MACs on"
    )


def inputs_after(
    dense: nn.Module, expanded: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return inputs for ``expanded``: wider ones if ``dense`` is a bare layer that was widened."""
    if not is_bare(dense):
        return inputs
    example = inputs[0]
    first = next(m for m in expanded.modules() if isinstance(m, (nn.Linear, nn.Conv2d)))
    if isinstance(first, nn.Linear):
        return (example.new_zeros(*example.shape[:-1], first.in_features),)
    return (example.new_zeros(example.shape[0], first.in_channels, *example.shape[2:]),)
