"""Prunable layers: the weights of convolutions and linear layers, in module order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import cost_models
from growsearch.errors import UsageError
from growsearch.metrics.placement import beside
from growsearch.sparsity.maskable import (
    check_changeable,
    matrix_layer,
    tell_kept,
    unmaskable_layers,
)
from search_spaces.own_networks.keyword_inputs import (
    ExampleInputs,
    by_position,
    tensors_given,
)
from search_spaces.own_networks.plain_layers import own_computation
from search_spaces.own_networks.whole_networks import scripted

_Conv = nn.modules.conv._ConvNd
_ConvTranspose = nn.modules.conv._ConvTransposeNd


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunableLayer:
    """One prunable weight: its parameter name, its shape (out, in, ...) and its kind of layer.

    The shape is (out, in / groups, ...), and (in, out / groups, ...) where ``is_transposed``: a
    transposed convolution's, or that of a layer of an own class that multiplies by it so.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import prunable_layers
        >>> (layer,) = prunable_layers(nn.Linear(8, 4))
        >>> layer.name, layer.weights
        ('weight', 32)
    """

    name: str
    shape: tuple[int, ...]
    is_linear: bool
    is_transposed: bool = False
    groups: int = 1

    @property
    def weights(self) -> int:
        """The number of weights."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def fans(self) -> tuple[int, int]:
        """The channels that the layer puts out, and those that each of them is made of."""
        first, second = self.shape[:2]
        if self.is_transposed:
            return second * self.groups, first // self.groups
        return first, second


def prunable_layers(module: nn.Module) -> tuple[PrunableLayer, ...]:
    """Return the weights of every Conv* and Linear of ``module``, in module order.

    Layers of own classes that multiply by their one matrix are among them (`matrix_layer`), but
    none whose zeros would not last: `unmaskable_layers` names them. Biases, norms, embeddings,
    recurrent layers and weights that are buffers are not prunable. A weight that two layers share
    appears once, under its first name. Module order is the order of registration, which is the
    order of execution in all of our search spaces.

    Raises:
        UsageError: if there is no such layer, the weight of one has no shape yet, or the network
            is scripted.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import prunable_layers
        >>> module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2))
        >>> [(layer.name, layer.shape) for layer in prunable_layers(module)]
        [('0.weight', (8, 3, 3, 3)), ('2.weight', (2, 8))]
    """
    layers = tuple(
        PrunableLayer(
            name=name,
            shape=tuple(weight.shape),
            is_linear=not isinstance(layer, _Conv),
            is_transposed=isinstance(layer, _ConvTranspose) or matrix_layer(layer) == "in_out",
            groups=getattr(layer, "groups", 1),
        )
        for name, layer, weight in _named_weights(module)
    )
    if not layers:
        for reason in unmaskable_layers(module).values():
            raise UsageError(reason)
        raise UsageError(f"{type(module).__name__} has no convolution and no linear layer to prune")
    return layers


def prunable_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of `prunable_layers` by parameter name.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import prunable_parameters
        >>> list(prunable_parameters(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))))
        ['0.weight', '2.weight']
    """
    return {name: weight for name, _, weight in _named_weights(module)}


def frozen_weights(module: nn.Module) -> tuple[str, ...]:
    """Return the names of prunable weights that training must not change (requires_grad=False)."""
    return tuple(n for n, weight in prunable_parameters(module).items() if not weight.requires_grad)


def check_to_be_masked(module: nn.Module) -> None:
    """Tell which weights get no mask, and refuse a network of which none could get one.

    Raises:
        UsageError: if all weights are frozen, or nothing of the network can be changed.
    """
    check_changeable(module)
    frozen = frozen_weights(module)
    if len(frozen) == len(prunable_layers(module)):
        raise UsageError(
            f"{type(module).__name__}: every convolution and linear layer is frozen "
            f"(requires_grad=False), the first is {frozen[0]}; leave one to be trained, to mask it"
        )
    held = {
        name: f"{name} is frozen (requires_grad=False): it gets no mask, and the sparsity is that "
        "of the other layers"
        for name in frozen
    }
    tell_kept(type(module).__name__, unmaskable_layers(module) | held)


def _named_weights(module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    seen: set[int] = set()
    reason = scripted(module)
    if reason:
        raise UsageError(reason)
    left_out = unmaskable_layers(module)
    for path, layer in module.named_modules():
        name = f"{path}.weight" if path else "weight"
        weight = layer._parameters.get("weight")
        if weight is None or name in left_out or id(weight) in seen:
            continue
        if not isinstance(layer, (_Conv, nn.Linear)) and not matrix_layer(layer):
            continue
        if nn.parameter.is_lazy(weight):
            raise UsageError(
                f"{name} has no shape yet: its layer is lazy; run the network once on an example "
                "before"
            )
        seen.add(id(weight))
        yield name, layer, weight


def first_and_last(module: nn.Module) -> tuple[str, str]:
    """Return the parameter names of the first and the last convolution or linear layer.

    Sparse-IFT keeps these two dense (arXiv 2303.11525, section 3): pass them as ``exclude``.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import first_and_last
        >>> first_and_last(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 2)))
        ('0.weight', '2.weight')
    """
    names = weighted_layers(module)
    return names[0], names[-1]


def weighted_layers(module: nn.Module) -> tuple[str, ...]:
    """Return the weights of all layers that could come first or last, prunable or not, in order.

    Raises:
        UsageError: if there is none that is prunable.
    """
    known = {*(layer.name for layer in prunable_layers(module)), *unmaskable_layers(module)}
    paths = (f"{path}.weight" if path else "weight" for path, _ in module.named_modules())
    return tuple(name for name in paths if name in known)


def check_excluded(
    layers: Iterable[PrunableLayer], exclude: Iterable[str], unmaskable: Iterable[str] = ()
) -> frozenset[str]:
    """Return ``exclude`` as a set, once every name in it is a prunable parameter.

    Those of ``unmaskable`` weights, which stay dense anyway, are left out.

    Raises:
        UsageError: for one string in the place of a tuple, or for a name that is not prunable.
    """
    if isinstance(exclude, str):
        raise UsageError(f"exclude: {exclude!r} is one string; give a tuple of parameter names")
    known = [layer.name for layer in layers]
    excluded = frozenset(exclude) - frozenset(unmaskable)
    for name in sorted(excluded - set(known)):
        raise UsageError(f"exclude: no prunable parameter {name!r}; valid: {', '.join(known)}")
    return excluded


def check_rows(layer: PrunableLayer) -> None:
    """Raise UsageError unless the rows of the weight's matrix are outputs, as patterns need it."""
    if layer.is_transposed:
        raise UsageError(
            "patterns lie along what makes one output, and the weight of a transposed convolution "
            f"is (in, out, ...), as {layer.name} is; exclude that layer"
        )


def masked_sparsity(module: nn.Module, sparsity: float, exclude: Iterable[str] = ()) -> float:
    """Return the sparsity that layers outside ``exclude`` need so that the whole has ``sparsity``.

    Schedules of dynamic sparse training see masked layers only and take this figure.

    Raises:
        UsageError: if the layers outside ``exclude`` are too small to pay for the dense ones.

    Example:
        >>> from torch import nn
        >>> from growsearch.sparsity import masked_sparsity
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 4))
        >>> masked_sparsity(module, 0.25, exclude=["0.weight"])
        0.5
    """
    layers = prunable_layers(module)
    excluded = check_excluded(layers, exclude, unmaskable_layers(module))
    total = sum(layer.weights for layer in layers)
    masked = sum(layer.weights for layer in layers if layer.name not in excluded)
    if sparsity * total > masked:
        raise UsageError(
            f"sparsity: {sparsity:g} of {total} weights cannot be zero while the {total - masked} "
            "weights of the excluded layers stay; exclude less or lower the sparsity"
        )
    return sparsity * total / masked if masked else 0.0


@torch.no_grad()
def macs_per_weight(module: nn.Module, example_inputs: ExampleInputs) -> dict[str, int]:
    """Return how many MACs one weight of every prunable layer does for one example.

    That is the number of output positions: height x width of a convolution's output (of its input
    for a transposed one), the sequence length of a linear layer on sequences, else 1. A layer that
    runs twice counts twice, one that never runs counts 0. Dense MACs of a layer are this figure
    times its weights. The module's mode and buffers are left as they were. Memory is not needed: a
    module on the meta device will do. What a function does with a layer's weight is not seen here,
    but by `cost_models.trace_weights`.

    Args:
        module: the network.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import macs_per_weight
        >>> module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
        >>> macs_per_weight(module, (torch.zeros(1, 1, 8, 8),))
        {'0.weight': 36, '2.weight': 1}
    """
    module, inputs = by_position(module, example_inputs)
    weights = {name: (layer, weight) for name, layer, weight in _named_weights(module)}
    positions = _positions_of_calls(module, inputs, weights)
    own = [name for name, (layer, _) in weights.items() if own_computation(layer)]
    if own:
        # What such a layer does with its input, only its operators say.
        traced = cost_models.trace_weights(module, beside(module, *inputs))
        positions |= {name: traced.macs_per_element[name] for name in own}
    return positions


def _positions_of_calls(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    weights: Mapping[str, tuple[nn.Module, nn.Parameter]],
) -> dict[str, int]:
    """Return the output positions by weight of the layers whose computation is torch's own."""
    names = {id(weight): name for name, (_, weight) in weights.items()}
    positions = dict.fromkeys(names.values(), 0)
    batch = example_inputs[0].shape[0]

    def count(
        layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> None:
        assert isinstance(layer, (_Conv, nn.Linear))
        if id(layer.weight) not in names:
            return  # a buffer
        if isinstance(layer, nn.Linear):
            entries, channels = output.numel(), layer.out_features
        elif isinstance(layer, _ConvTranspose):
            entries, channels = tensors_given(args, kwargs)[0].numel(), layer.in_channels
        else:
            entries, channels = output.numel(), layer.out_channels
        positions[names[id(layer.weight)]] += entries // channels // batch

    def count_projection(
        layer: nn.Module, _: object, __: object, outputs: tuple[Tensor, ...]
    ) -> None:
        # Torch's attention reads its projection's weight and does not call the layer.
        assert isinstance(layer, nn.MultiheadAttention)
        weight = layer.out_proj.weight
        if id(weight) in names:
            positions[names[id(weight)]] += outputs[0].numel() // len(weight) // batch

    handles = [
        layer.register_forward_hook(
            count_projection if isinstance(layer, nn.MultiheadAttention) else count,
            with_kwargs=True,
        )
        for layer in module.modules()
        if isinstance(layer, (_Conv, nn.Linear, nn.MultiheadAttention))
        and not own_computation(layer)
    ]
    modes = {part: part.training for part in module.modules()}
    try:
        # Evaluation mode: BatchNorm must neither learn from the example nor refuse one example.
        module.eval()
        module(*beside(module, *example_inputs))
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes.items():
            part.training = training
    return positions
