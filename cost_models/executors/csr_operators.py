"""CSR forms of recorded operators: which may skip their zeros, and how is one called alone?

The rules are those of `executors.sparse`, read off a call instead of a layer. An operator that a
network does not call through a plain layer of its own looks the same here and stays dense there.
"""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from cost_models.counting.operator_call import Operator, TensorArgument
from cost_models.counting.replay import filled
from cost_models.errors import CostModelError
from cost_models.executors.sparse import (
    CONV_KERNELS,
    LINEAR_KERNELS,
    POINTWISE_KERNELS,
    Kernel,
)

_KERNELS: dict[str, Kernel] = LINEAR_KERNELS | CONV_KERNELS | POINTWISE_KERNELS


def csr_forms(operator: Operator) -> tuple[Operator, ...]:
    """Give the operator as each CSR kernel that may run it; none for one without zeros."""
    if operator.nonzeros is None:
        return ()
    return tuple(dataclasses.replace(operator, kernel=name) for name in _kernels(operator))


def csr_call(operator: Operator, generator: torch.Generator) -> Callable[[], object]:
    """Give a function that runs the operator in its kernel, on a weight with as many non-zeros.

    Where they are is drawn at random. Raises `CostModelError` when no such kernel may run it.
    """
    if operator.kernel not in _kernels(operator) or operator.nonzeros is None:
        raise CostModelError(f"kernel {operator.kernel!r} cannot run operator {operator.name}")
    layer = _layer(operator)
    with torch.no_grad():
        layer.weight.copy_(_sparse(layer.weight.shape, operator.nonzeros, generator))
        if layer.bias is not None:
            layer.bias.zero_()
    form = _KERNELS[operator.kernel](layer).eval()
    x = filled(operator.tensors[0], generator)
    return lambda: form(x)


def _kernels(operator: Operator) -> tuple[str, ...]:
    if not _plain(operator):
        return ()
    if operator.name == "aten::linear":
        return tuple(LINEAR_KERNELS)
    pointwise = operator.tensors[1].shape[2:] == (1, 1) and _padding(operator) == (0, 0)
    return tuple(POINTWISE_KERNELS if pointwise else CONV_KERNELS)


def _plain(operator: Operator) -> bool:
    """Say whether it is what an `nn.Linear` or an ungrouped `nn.Conv2d` in float32 calls."""
    tensors = operator.tensors
    if len(tensors) < 2 or any(tensor.dtype != "float32" for tensor in tensors):
        return False
    if operator.name == "aten::linear":
        return len(tensors[1].shape) == 2
    if operator.name != "aten::_convolution" or len(tensors[1].shape) != 4:
        return False
    transposed, groups = operator.arguments[6], operator.arguments[8]
    return len(tensors[0].shape) == 4 and not transposed and groups == 1


def _layer(operator: Operator) -> nn.Linear | nn.Conv2d:
    """Build the layer that makes the call; its weights hold whatever was in memory."""
    shape, bias = operator.tensors[1].shape, isinstance(operator.arguments[2], TensorArgument)
    if operator.name == "aten::linear":
        linear: nn.Linear = skip_init(nn.Linear, shape[1], shape[0], bias=bias)  # type: ignore[no-untyped-call]
        return linear
    conv: nn.Conv2d = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d,
        shape[1],
        shape[0],
        (shape[2], shape[3]),
        stride=_pair(operator, 3),
        padding=_padding(operator),
        dilation=_pair(operator, 5),
        bias=bias,
    )
    return conv


def _padding(operator: Operator) -> tuple[int, int]:
    return _pair(operator, 4)


def _pair(operator: Operator, place: int) -> tuple[int, int]:
    sizes = operator.arguments[place]
    assert isinstance(sizes, tuple)
    down, across = (each for each in sizes if isinstance(each, int))
    return down, across


def _sparse(shape: torch.Size, nonzeros: int, generator: torch.Generator) -> Tensor:
    weight = torch.zeros(shape)
    places = torch.randperm(weight.numel(), generator=generator)[:nonzeros]
    weight.view(-1)[places] = 1.0
    return weight
