"""Layers that a transform works on: all but the first and the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity.layers import prunable_layers
from growsearch.transforms.expansion import ExpansionRequest

Layer = nn.Conv2d | nn.Linear


def is_depthwise(layer: nn.Module) -> bool:
    """Tell whether ``layer`` is a convolution with one group an input channel."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def sparse_names(request: ExpansionRequest) -> tuple[str, ...]:
    """Return the weights between the dense ends, by parameter name in module order.

    The first layer is the first embedding, convolution or linear layer in the order of
    registration: behind an embedding every linear layer is an inner one. A weight that an
    embedding shares stays dense, and so does a frozen one (requires_grad=False). A module that is a
    single layer has no ends.

    Raises:
        UsageError: if nothing is left between the ends.

    Example:
        >>> from torch import nn
        >>> from growsearch.transforms import ExpansionRequest, sparse_names
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 2))
        >>> sparse_names(ExpansionRequest(module=module, sparsity=0.5))
        ('1.weight',)
    """
    module = request.module
    names = [layer.name for layer in prunable_layers(module)]
    embeddings = {id(e.weight) for e in module.modules() if isinstance(e, nn.Embedding)}
    ends = _ends(module, names) if request.dense_ends else frozenset[str]()
    weights = dict(module.named_parameters(remove_duplicate=False))
    free = [n for n in names if weights[n].requires_grad and id(weights[n]) not in embeddings]
    inner = tuple(name for name in free if name not in ends)
    if not inner:
        raise UsageError(
            f"{type(module).__name__} has no layer between its first and its last, which stay "
            "dense, as frozen ones do; give a deeper network or dense_ends=False"
        )
    return inner


def _ends(module: nn.Module, names: list[str]) -> frozenset[str]:
    if names == ["weight"]:
        return frozenset()
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            return frozenset(names[-1:])
        if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear)):
            break
    return frozenset((names[0], names[-1]))


def inner_layers(request: ExpansionRequest) -> Iterator[tuple[str, Layer]]:
    """Yield (path, layer) of every inner Conv2d and Linear that is not depthwise or grouped.

    Depthwise layers stay as they are (arXiv 2303.11525, appendix A.1.1), and so do grouped ones:
    they are structured sparsity already. Torch's attention reads the weight of its projection and
    does not call it: that stays one layer. So do layers that share a weight, which would be torn
    apart.
    """
    read = {m.out_proj for m in request.module.modules() if isinstance(m, nn.MultiheadAttention)}
    holders = Counter(id(p) for m in request.module.modules() for p in m._parameters.values())
    for name in sparse_names(request):
        path = name.removesuffix("weight").removesuffix(".")
        layer = request.module.get_submodule(path)
        one = layer not in read and holders[id(layer.weight)] == 1
        if one and (
            isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        ):
            yield path, layer
