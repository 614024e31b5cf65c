"""Replacement of every layer by a larger one with the same inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.transforms.expansion import Expansion, ExpansionRequest
from growsearch.transforms.targets import Layer, inner_layers
from search_spaces.fresh_weights import initialise_network

# One normal draw in some ten million is exactly 0 in single precision.
_IN_PLACE_OF_ZERO = 1e-8


@runtime_checkable
class Replacement(Protocol):
    """Several layers in the place of one."""

    def sparse_layers(self) -> tuple[nn.Module, ...]:
        """Return the layers whose weights carry a mask; the others are dense."""
        ...


class StandIn(nn.Module):
    """Layers in the place of one, which tell sizes, device and type of that one's tensors.

    Code of a network may ask a layer for them (``self.fc.weight.device``). Its weight has no values
    any more: whoever computes with it gets what is not a number, and not a wrong one.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._told = {name: vars(layer)[name] for name in _SIZES if name in vars(layer)}
        self._shapes = {n: None if p is None else p.shape for n, p in layer._parameters.items()}

    def __getattr__(self, name: str) -> Any:
        """Return what the layer in whose place this stands would tell."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in vars(self).get("_told", {}):
                return self._told[name]
            if name not in vars(self).get("_shapes", {}):
                raise
        shape = self._shapes[name]
        return None if shape is None else next(self.parameters()).new_full((), nan).expand(shape)


_SIZES = (
    *("in_features", "out_features", "in_channels", "out_channels", "kernel_size", "stride"),
    *("padding", "dilation", "groups", "padding_mode"),
)


def replace_layers(request: ExpansionRequest, make: Callable[[str, Layer], nn.Module]) -> Expansion:
    """Put ``make(path, layer)`` in the place of every inner layer.

    ``make`` returns a `Replacement`, which gets He et al.'s (2015) initialisation. Every other
    layer keeps its weights.

    Raises:
        UsageError: if no layer can be replaced.
    """
    made: dict[nn.Module, nn.Module] = {}
    for path, layer in inner_layers(request):
        made[layer] = make(path, layer).to(layer.weight.dtype)
        # Drawn on the CPU: the same seed gives the same weights on every device.
        draw_weights(made[layer])
        made[layer].to(layer.weight.device).train(layer.training)
    if not made:
        raise UsageError(
            f"{type(request.module).__name__} has no linear layer and no 2-D convolution of one "
            "group between its first and its last layer; only sparse_wide changes others"
        )
    module = made.get(request.module, request.module)
    # A layer that is registered in two places is replaced in both.
    for parent in list(module.modules()):
        for child_name, child in parent._modules.items():
            if child in made:
                parent._modules[child_name] = made[child]
    _call_layers(module)
    return Expansion(module=module, sparse=_sparse_parameters(module))


def _call_layers(module: nn.Module) -> None:
    """Keep torch's encoders off their fused path, which reads weights and calls no layers."""
    for part in module.modules():
        if isinstance(part, nn.TransformerEncoderLayer):
            # They choose the path by it; on the other one they call ``activation``.
            part.activation_relu_or_gelu = 0
        elif isinstance(part, nn.TransformerEncoder):
            part.use_nested_tensor = False


def _sparse_parameters(module: nn.Module) -> tuple[str, ...]:
    sparse = {
        layer
        for part in module.modules()
        if isinstance(part, Replacement)
        for layer in part.sparse_layers()
    }
    return tuple(
        f"{path}.weight" if path else "weight"
        for path, layer in module.named_modules()
        if layer in sparse
    )


@torch.no_grad()
def draw_weights(module: nn.Module) -> None:
    """Initialise a transform's new layers, with no weight that a count takes for a masked one.

    See `initialise_network`; no weight is exactly 0.

    Example:
        >>> import torch
        >>> from growsearch.transforms import draw_weights
        >>> layer = torch.nn.Linear(4, 2)
        >>> _ = layer.weight.data.zero_()
        >>> draw_weights(layer)
        >>> int(layer.weight.count_nonzero())
        8
    """
    initialise_network(module)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.masked_fill_(parameter == 0, _IN_PLACE_OF_ZERO)


def like(layer: Layer, width_in: int, width_out: int, *, bias: bool) -> Layer:
    """Return a new layer of ``layer``'s kind, kernel, stride and padding with other channels."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(width_in, width_out, bias=bias)
    return nn.Conv2d(
        width_in,
        width_out,
        layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=bias,
        padding_mode=layer.padding_mode,
    )


def pointwise(layer: Layer, width_in: int, width_out: int, *, bias: bool) -> Layer:
    """Return a new 1 x 1 convolution, or a linear layer if ``layer`` is one."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(width_in, width_out, bias=bias)
    return nn.Conv2d(width_in, width_out, 1, bias=bias)


def widths(layer: Layer) -> tuple[int, int]:
    """Return the channels that go in and come out."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


def matrix_shape(layer: Layer) -> tuple[int, int]:
    """Return (Din, Dout) of the weight as a matrix; Din is cin kh kw for a convolution."""
    return layer.weight[0].numel(), layer.weight.shape[0]
