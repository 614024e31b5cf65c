"""Operator calls: an operator and its tensors' sizes, enough to call it again alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cost_models.errors import CostModelError

Shape = tuple[int, ...]
_FLOAT = "float32"


@dataclass(frozen=True, slots=True)
class TensorArgument:
    """A tensor's sizes, strides in elements (None: contiguous) and type, as in "float32"."""

    shape: Shape
    strides: Shape | None = None
    dtype: str = _FLOAT

    @property
    def elements(self) -> int:
        """How many elements the shape has."""
        return math.prod(self.shape)


Argument: TypeAlias = "TensorArgument | tuple[Argument, ...] | bool | int | float | str | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One call: torch's name of the operator with its overload, and its arguments in order.

    `output` are the sizes of what it returns (of the first tensor, where it returns several) and
    `macs` those of the whole traced batch. `nonzeros` counts the weight's elements that are not
    zero; None where none is, or there is no weight. `kernel` names the kernel that skips the zeros;
    None is torch's own, which computes them. Two calls are equal when a device cannot tell them
    apart, so that equal ones need to be timed once only.
    """

    name: str
    arguments: tuple[Argument, ...]
    output: Shape
    macs: int = 0
    nonzeros: int | None = None
    kernel: str | None = None

    @property
    def dense(self) -> "Operator":
        """The same call by a kernel to which a zero is a number like others."""
        if self.nonzeros is None and self.kernel is None:
            return self
        return replace(self, nonzeros=None, kernel=None)

    @property
    def tensors(self) -> tuple[TensorArgument, ...]:
        """The tensors among the arguments, those in lists included."""
        return tuple(_tensors(self.arguments))

    def to_data(self) -> dict[str, Any]:
        """Turn the call into plain data for JSON."""
        zeros = {"nonzeros": self.nonzeros, "kernel": self.kernel}
        return {
            "name": self.name,
            "arguments": [_to_data(argument) for argument in self.arguments],
            "output": list(self.output),
            "macs": self.macs,
        } | {key: value for key, value in zeros.items() if value is not None}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Operator":
        """Read what `to_data` wrote; raises `CostModelError` that names what is wrong."""
        try:
            operator = cls(
                name=data["name"],
                arguments=tuple(_from_data(argument) for argument in data["arguments"]),
                output=_shape(data["output"]),
                macs=data["macs"],
                nonzeros=data.get("nonzeros"),
                kernel=data.get("kernel"),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CostModelError(f"not an operator: {error!r} in {str(data)[:80]}") from error
        if not _typed(operator):
            raise CostModelError(
                f"not an operator: name, macs, nonzeros or kernel of {str(data)[:80]}"
            )
        return operator


def _typed(operator: Operator) -> bool:
    return (
        isinstance(operator.name, str)
        and isinstance(operator.macs, int)
        and isinstance(operator.nonzeros, int | None)
        and isinstance(operator.kernel, str | None)
    )


def _tensors(arguments: Sequence[Argument]) -> list[TensorArgument]:
    found = []
    for argument in arguments:
        if isinstance(argument, TensorArgument):
            found.append(argument)
        elif isinstance(argument, tuple):
            found += _tensors(argument)
    return found


def _to_data(argument: Argument) -> Any:
    if isinstance(argument, tuple):
        return [_to_data(each) for each in argument]
    if not isinstance(argument, TensorArgument):
        return argument
    data: dict[str, Any] = {"shape": list(argument.shape)}
    if argument.strides is not None:
        data["strides"] = list(argument.strides)
    return data if argument.dtype == _FLOAT else data | {"dtype": argument.dtype}


def _from_data(data: Any) -> Argument:
    if isinstance(data, list):
        return tuple(_from_data(each) for each in data)
    if isinstance(data, dict):
        strides = data.get("strides")
        return TensorArgument(
            _shape(data["shape"]),
            None if strides is None else _shape(strides),
            data.get("dtype", _FLOAT),
        )
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    raise ValueError(f"{data!r} is no argument")


def _shape(data: Any) -> Shape:
    shape = tuple(data)
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in shape):
        raise ValueError(f"{data!r} is no list of sizes")
    return shape
