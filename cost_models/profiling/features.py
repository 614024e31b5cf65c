"""Features of operator calls: the numbers by which two calls of one operator are told apart."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cost_models.counting.operator_call import Argument, Operator, TensorArgument

# oneDNN computes whole vectors of channels: 16 floats with AVX-512, and twice 8 with AVX2.
VECTOR = 16
# Where in a convolution's arguments the number of groups is.
_GROUPS_AT = {"aten::_convolution": 8, "aten::_convolution_mode": 6}


def kind_of(operator: Operator) -> str:
    """Name the kind: calls of one kind take the same code, on tensors of the same ranks.

    Convolutions in groups are another kind than those over all channels, and so is each kernel.
    """
    parts = [operator.name]
    for tensor in operator.tensors:
        strided = "" if tensor.strides is None else "s"
        dtype = "" if tensor.dtype == "float32" else f":{tensor.dtype}"
        parts.append(f"{len(tensor.shape)}{strided}{dtype}")
    parts += ["grouped"] if is_grouped(operator) else []
    return " ".join(parts if operator.kernel is None else [*parts, operator.kernel])


def is_grouped(operator: Operator) -> bool:
    """Say whether it is a convolution of more than one group."""
    place = _GROUPS_AT.get(operator.name)
    return place is not None and operator.arguments[place] != 1


def padded(size: int) -> int:
    """Round up to whole vectors: what the machine computes for so many channels."""
    return -(-size // VECTOR) * VECTOR


def padded_macs(operator: Operator) -> float:
    """MACs when the channels of the weight, or of both factors, come in whole vectors."""
    weights = [tensor for tensor in operator.tensors[1:2] if len(tensor.shape) >= 2]
    if not operator.macs or not weights:
        return float(operator.macs)
    shape = weights[0].shape
    channels = shape[:2] if len(shape) > 2 else shape
    return operator.macs * math.prod(padded(size) / max(size, 1) for size in channels)


def bytes_moved(operator: Operator) -> int:
    """Bytes of all tensors read and of the output, each once; 4 bytes an element."""
    return 4 * (sum(tensor.elements for tensor in operator.tensors) + math.prod(operator.output))


def features(operator: Operator) -> NDArray[np.float64]:
    """Give the numbers of one call; calls of the same kind give as many.

    Logarithms of: every size, the same in whole vectors, MACs, MACs in whole vectors, and bytes;
    where a kernel skips zeros, of the non-zero weights and their MACs; then the plain numbers among
    the arguments, such as strides.
    """
    sizes = [size for tensor in operator.tensors for size in tensor.shape]
    sizes += operator.output
    work = [operator.macs, padded_macs(operator), bytes_moved(operator)]
    if operator.kernel is not None and operator.nonzeros is not None:
        weight = max(operator.tensors[1].elements, 1)
        work += [operator.nonzeros, operator.macs * operator.nonzeros / weight]
    positive = [*sizes, *(padded(size) for size in sizes), *work]
    return np.array([*(math.log1p(value) for value in positive), *_numbers(operator.arguments)])


def _numbers(arguments: Sequence[Argument]) -> list[float]:
    found: list[float] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            found += _numbers(argument)
        elif isinstance(argument, (bool, int, float)):
            # Huge ones stand for "to the end", as in a slice; all that matters is that they are.
            found.append(min(float(argument), 1e6))
        elif not isinstance(argument, TensorArgument):
            found.append(0.0)
    return found
