"""Memory layout (channels last) of a network and its images while it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growsearch.errors import UsageError

# The widest vector for which oneDNN blocks channels: 16 float32 in AVX-512, 8 in AVX2.
_BLOCK = 16


def lay_channels_last(model: nn.Module) -> None:
    """Lay the weights of ``model`` out with channels innermost, in place."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def with_channels_last(inputs: Tensor) -> Tensor:
    """Return images (N, C, H, W) with channels innermost; anything else as it is."""
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def check_channels_last(model: nn.Module) -> None:
    """Refuse a layer whose gradients a CPU would get wrong with channels innermost.

    The backward pass of a strided 1 x 1 convolution of few channels writes past its workspace in
    oneDNN (https://github.com/uxlfoundation/oneDNN/issues/6035): a crash, or wrong gradients.

    Raises:
        UsageError: naming the layer.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and _is_unsafe(layer):
            step = layer.stride[0]
            raise UsageError(
                f"channels_last: {name} is a 1 x 1 convolution of stride {step} and "
                f"{layer.in_channels} channels, whose gradients go wrong on a CPU in this layout; "
                f"read x[:, :, ::{step}, ::{step}] with a stride of 1, or leave channels_last out"
            )


def _is_unsafe(layer: nn.Conv2d) -> bool:
    return (
        layer.weight.is_cpu
        and layer.kernel_size == (1, 1)
        and max(layer.stride) > 1
        and layer.in_channels // layer.groups < _BLOCK
    )
