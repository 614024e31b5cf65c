"""Operator replay: a recorded operator called again, alone, on tensors of the same sizes."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cost_models.counting.operator_call import Argument, Operator, TensorArgument
from cost_models.errors import CostModelError, UnsupportedLayerError

# No meaning attaches to the values. These are neither denormal nor zero, which some kernels notice.
_LOW, _HIGH = 0.5, 1.5


def replay(operator: Operator, generator: torch.Generator) -> Callable[[], object]:
    """Give a function that calls the operator on tensors filled at random.

    Floating-point tensors hold values from 0.5 to 1.5, others zeros (the first row of an
    embedding) and masks True. It calls torch directly: the time that a module and Python take
    around an operator is not in it.

    Raises:
        UnsupportedLayerError: torch has no such operator here, or refuses the arguments.
    """
    call = _function(operator.name)
    arguments = [_value(argument, generator) for argument in operator.arguments]
    named = [argument.name for argument in call._schema.arguments if argument.kwarg_only]
    count = len(arguments) - len(named)
    positional, keywords = arguments[:count], dict(zip(named, arguments[count:], strict=True))

    def again() -> object:
        return call(*positional, **keywords)

    try:
        with torch.no_grad():
            again()
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise UnsupportedLayerError(
            f"operator {operator.name} cannot be called alone: {error}"
        ) from error
    return again


def _function(name: str) -> "torch._ops.OpOverload[..., object]":
    namespace, _, rest = name.partition("::")
    base, _, overload = rest.partition(".")
    if namespace != "aten":
        raise UnsupportedLayerError(f"operator {name!r} is not one of torch's own")
    try:
        found = getattr(getattr(torch.ops.aten, base), overload or "default")
    except (AttributeError, RuntimeError) as error:
        raise UnsupportedLayerError(
            f"torch {torch.__version__} has no operator {name!r}; it was recorded with another"
        ) from error
    assert isinstance(found, torch._ops.OpOverload)
    return found


def _value(argument: Argument, generator: torch.Generator) -> object:
    if isinstance(argument, TensorArgument):
        return filled(argument, generator)
    if isinstance(argument, tuple):
        return [_value(each, generator) for each in argument]
    return argument


def filled(argument: TensorArgument, generator: torch.Generator) -> Tensor:
    """Give a tensor of an argument's sizes, strides and type; see `replay` for its values.

    Raises `CostModelError` for a type that torch does not have.
    """
    dtype = getattr(torch, argument.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise CostModelError(f"{argument.dtype!r} is no type of a tensor")
    strides = argument.strides
    if strides is None:
        size, strided = argument.shape, None
    else:
        pairs = zip(argument.shape, strides, strict=True)
        size, strided = (1 + sum((length - 1) * step for length, step in pairs),), strides
    if not math.prod(argument.shape):
        size, strided = argument.shape, None
    tensor = _storage(size, dtype, generator)
    return tensor if strided is None else tensor.as_strided(argument.shape, strided)


def _storage(size: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if dtype.is_floating_point:
        values = torch.rand(size, generator=generator)
        return values.mul_(_HIGH - _LOW).add_(_LOW).to(dtype)
    if dtype == torch.bool:
        return torch.ones(size, dtype=dtype)
    return torch.zeros(size, dtype=dtype)
