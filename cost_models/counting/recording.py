"""Operator recording: the calls of a traced graph, read off its nodes to be repeated later."""

from dataclasses import dataclass, field
from typing import Any

import torch

from cost_models.counting.graph_values import GraphValues
from cost_models.counting.operator_call import Argument, Operator, TensorArgument

# What a trace writes down to keep sizes symbolic; eager torch does not run these.
_TRACE_ONLY = ("aten::size", "aten::Int", "aten::ScalarImplicit")


class _UnknownArgumentError(Exception):
    """An argument is neither a tensor of known sizes nor a value that can be written down."""


@dataclass(slots=True, kw_only=True)
class OperatorLog:
    """Collects the operators of one graph; `unknown` names the first that cannot be recorded."""

    graph: GraphValues
    operators: list[Operator] = field(default_factory=list)
    unknown: str | None = None

    def add(self, node: Any, macs: int = 0, nonzeros: int | None = None) -> None:
        """Record a node of the graph, if it is an operator that runs.

        `nonzeros` counts the non-zero elements of a weight that has zeros.
        """
        kind = node.kind()
        if not kind.startswith("aten::") or kind in _TRACE_ONLY or self._counts_sizes(node):
            return
        try:
            self.operators.append(self._operator(node, macs, nonzeros))
        except _UnknownArgumentError:
            self.unknown = self.unknown or kind

    def result(self) -> tuple[Operator, ...] | None:
        """Give the operators in the order of their calls, or None when one is unknown."""
        return None if self.unknown else tuple(self.operators)

    def _counts_sizes(self, node: Any) -> bool:
        """Say whether the node computes with sizes, which eager torch does in Python."""
        output = next(node.outputs())
        if output.type().kind() in ("IntType", "BoolType"):
            return True
        if output.type().kind() != "TensorType" or output.type().sizes() not in ([], ()):
            return False
        sources = [value.node().kind() for value in node.inputs()]
        return "prim::NumToTensor" in sources or (
            output.type().dtype() == torch.int64 and self.graph.plain(output) is not None
        )

    def _operator(self, node: Any, macs: int, nonzeros: int | None) -> Operator:
        arguments = tuple(self._argument(value) for value in node.inputs())
        return Operator(
            name=node.schema().partition("(")[0],
            arguments=arguments,
            output=_first_shape(node),
            macs=macs,
            nonzeros=nonzeros,
        )

    def _argument(self, value: Any) -> Argument:
        kind = value.node().kind()
        if kind == "prim::Constant":
            return _plain(value.toIValue())
        if kind == "prim::ListConstruct":
            return tuple(self._argument(each) for each in value.node().inputs())
        if value.type().kind() == "TensorType" and value.type().sizes() is not None:
            shape, strides = value.type().sizes(), value.type().strides()
            return _tensor(shape, strides, value.type().dtype())
        plain = self.graph.plain(value)
        if plain is None:
            raise _UnknownArgumentError
        return _plain(plain)


def _tensor(shape: Any, strides: Any, dtype: Any) -> TensorArgument:
    if dtype is None:
        raise _UnknownArgumentError
    shape = tuple(shape)
    dense = strides is None or tuple(strides) == _contiguous(shape)
    kept = None if dense else tuple(strides)
    return TensorArgument(shape, kept, str(dtype).removeprefix("torch."))


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * max(size, 1))
    return tuple(reversed(strides)) if shape else ()


def _plain(value: Any) -> Argument:
    if isinstance(value, (list, tuple)):
        return tuple(_plain(each) for each in value)
    if isinstance(value, torch.Tensor):
        return _tensor(value.shape, value.stride(), value.dtype)
    if isinstance(value, torch.device):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise _UnknownArgumentError


def _first_shape(node: Any) -> tuple[int, ...]:
    for output in node.outputs():
        sizes = output.type().sizes() if output.type().kind() == "TensorType" else None
        if sizes is not None:
            return tuple(sizes)
    return ()
