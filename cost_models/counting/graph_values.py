"""Constant folding in traced graphs: the tensor of a value that no input plays a part in.

A weight is not always a bare parameter: it may be transposed, sliced or multiplied by a mask
first. Folding such expressions shows the zeros that the operator really meets.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

# Weights sit a few operators above a parameter. The bound keeps a look at an activation short.
_DEPTH = 16


class _UnknownValueError(Exception):
    """The value depends on the network's input, or on something that cannot be folded."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A tensor computed from parameters and constants alone, and those parameters."""

    tensor: Tensor
    parameters: tuple[nn.Parameter, ...]


@dataclass(slots=True)
class GraphValues:
    """Folds values of one graph, whose inputs are the examples and then the module's state."""

    module: nn.Module
    inputs: int
    _memo: dict[str, Any] = field(default_factory=dict)
    _roots: dict[str, tuple[nn.Parameter, ...]] = field(default_factory=dict)
    _state: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        # torch.jit hands every distinct tensor of the state to the graph, in this order.
        state = self.module.state_dict(keep_vars=True).values()
        self._state = list({id(v): v for v in state if isinstance(v, Tensor)}.values())

    def plain(self, value: Any) -> Any:
        """Give the Python value (int, list, tensor, None), or None when it cannot be known."""
        try:
            return self._fold(value, 0)[0]
        except _UnknownValueError:
            return None

    def tensor(self, value: Any) -> Folded | None:
        """Give the tensor and the parameters it comes from, or None for an activation."""
        try:
            folded, roots = self._fold(value, 0)
        except _UnknownValueError:
            return None
        return Folded(folded, roots) if isinstance(folded, Tensor) else None

    def _fold(self, value: Any, depth: int) -> tuple[Any, tuple[nn.Parameter, ...]]:
        name = value.debugName()
        if name not in self._memo:
            self._memo[name], self._roots[name] = self._fold_node(value, depth)
        if self._memo[name] is _UnknownValueError:
            raise _UnknownValueError
        return self._memo[name], self._roots[name]

    def _fold_node(self, value: Any, depth: int) -> tuple[Any, tuple[nn.Parameter, ...]]:
        try:
            if depth > _DEPTH:
                raise _UnknownValueError
            kind = value.node().kind()
            if kind == "prim::Param":
                return self._graph_input(value)
            if kind == "prim::Constant":
                return value.toIValue(), ()
            if kind == "aten::size":
                return self._size(value, depth), ()
            return self._compute(value, depth)
        except _UnknownValueError:
            return _UnknownValueError, ()

    def _graph_input(self, value: Any) -> tuple[Tensor, tuple[nn.Parameter, ...]]:
        names = [output.debugName() for output in value.node().outputs()]
        index = names.index(value.debugName()) - self.inputs
        if not 0 <= index < len(self._state):
            raise _UnknownValueError
        tensor = self._state[index]
        return tensor.detach(), (tensor,) if isinstance(tensor, nn.Parameter) else ()

    def _size(self, value: Any, depth: int) -> Any:
        """Give the traced sizes, or one of them: known though the tensor itself is not."""
        tensor, *axis = value.node().inputs()
        sizes = tensor.type().sizes() if tensor.type().kind() == "TensorType" else None
        if sizes is None:
            raise _UnknownValueError
        return sizes[self._fold(axis[0], depth + 1)[0]] if axis else list(sizes)

    def _compute(self, value: Any, depth: int) -> tuple[Any, tuple[nn.Parameter, ...]]:
        node = value.node()
        folded = [self._fold(source, depth + 1) for source in node.inputs()]
        roots = tuple({id(root): root for _, found in folded for root in found}.values())
        result = _apply(node, [argument for argument, _ in folded])
        if node.outputsSize() > 1:
            names = [output.debugName() for output in node.outputs()]
            result = result[names.index(value.debugName())]
        return result, roots


def _apply(node: Any, arguments: list[Any]) -> Any:
    kind = node.kind()
    if kind in ("prim::ListConstruct", "prim::TupleConstruct"):
        return arguments
    if kind in ("prim::ListUnpack", "prim::TupleUnpack"):
        return arguments[0]
    if kind == "prim::NumToTensor":
        return torch.tensor(arguments[0])
    namespace, _, name = kind.partition("::")
    # An in-place operator would write to the module's own weights.
    if namespace != "aten" or name.endswith("_"):
        raise _UnknownValueError
    if name in ("Int", "ScalarImplicit"):
        return arguments[0].item()
    try:
        schema = torch._C.parse_schema(node.schema()).arguments
        pairs = list(zip(schema, arguments, strict=True))
        positional = [value for argument, value in pairs if not argument.kwarg_only]
        named = {argument.name: value for argument, value in pairs if argument.kwarg_only}
        with torch.no_grad():
            return getattr(torch.ops.aten, name)(*positional, **named)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise _UnknownValueError from error
