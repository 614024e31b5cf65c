"""MAC counts of operators: how many MACs does one do in a traced graph, and with which weights?

One entry of `COUNTED` an operator: from its graph inputs and outputs to a `Work`. MACs are for the
whole traced batch; one fused multiply-add is one. Activation functions and biases count 0.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from cost_models.counting.counter import conv_flop_count, get_shape, linear_flop_jit
from cost_models.counting.einsum import contraction
from cost_models.counting.graph_values import GraphValues
from cost_models.errors import UnsupportedLayerError

Values = list[Any]  # of torch._C.Value, which has no public type


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an operator does: its MACs, and the graph values that may be weights or biases.

    `rows_are_outputs` says that the weight is laid out (out, in, ...), as N:M patterns need it.
    """

    kind: str
    macs: int
    data: Any
    weights: tuple[Any, ...] = ()
    biases: tuple[Any, ...] = ()
    stride: tuple[int, ...] | None = None
    groups: int | None = None
    rows_are_outputs: bool = False


Reader = Callable[[Values, Values, GraphValues], Work]


def shape_of(value: Any) -> tuple[int, ...]:
    """Give the shape of a graph value; `UnsupportedLayerError` when the trace did not record it."""
    shape = get_shape(value)
    if shape is None:
        raise UnsupportedLayerError(
            f"the trace has no shape for value {value.debugName()!r} of {value.node().kind()}; "
            "give the module only tensors of fixed shape"
        )
    return tuple(shape)


def _convolution(inputs: Values, outputs: Values, graph: GraphValues) -> Work:
    transposed = bool(graph.plain(inputs[6]))
    return _conv_work(inputs, outputs, graph, transposed=transposed, groups_at=8)


def _convolution_by_mode(inputs: Values, outputs: Values, graph: GraphValues) -> Work:
    return _conv_work(inputs, outputs, graph, transposed=False, groups_at=6)


def _conv_work(
    inputs: Values, outputs: Values, graph: GraphValues, *, transposed: bool, groups_at: int
) -> Work:
    shapes = (shape_of(inputs[0]), shape_of(inputs[1]), shape_of(outputs[0]))
    return Work(
        kind="conv",
        macs=int(conv_flop_count(*(list(shape) for shape in shapes), transposed=transposed)),
        data=inputs[0],
        weights=(inputs[1],),
        biases=(inputs[2],),
        stride=tuple(graph.plain(inputs[3])),
        groups=graph.plain(inputs[groups_at]),
        rows_are_outputs=not transposed,
    )


def _linear(inputs: Values, outputs: Values, _: GraphValues) -> Work:
    macs = int(linear_flop_jit(inputs, outputs))
    biases = tuple(inputs[2:3])
    return Work(
        kind="linear",
        macs=macs,
        data=inputs[0],
        weights=(inputs[1],),
        biases=biases,
        rows_are_outputs=True,
    )


def _product(first: int, second: int, bias: int | None = None) -> Reader:
    """Make the reader of a matrix product whose factors are those two inputs, any rank."""

    def read(inputs: Values, outputs: Values, graph: GraphValues) -> Work:
        left, right = inputs[first], inputs[second]
        # Every output element is a dot product as long as the left factor's last axis.
        macs = math.prod(shape_of(outputs[0])) * shape_of(left)[-1]
        weight, data = (right, left) if graph.tensor(right) is not None else (left, right)
        known = graph.tensor(weight) is not None
        return Work(
            kind="linear" if known else "matmul",
            macs=macs,
            data=data,
            weights=(weight,) if known else (),
            biases=() if bias is None else (inputs[bias],),
        )

    return read


def _vector_product(inputs: Values, outputs: Values, graph: GraphValues) -> Work:
    """A product with a vector; of parameters alone it is a weight's norm, no work of an example.

    `torch.nn.utils.spectral_norm` takes one in every forward pass, which goes once it is removed.
    """
    work = _product(0, 1)(inputs, outputs, graph)
    if all(graph.tensor(value) is not None for value in inputs[:2]):
        return replace(work, macs=0)
    return work


def _attention(inputs: Values, _: Values, graph: GraphValues) -> Work:
    query, key, value = (shape_of(each) for each in inputs[:3])
    if len(inputs) > 7 and graph.plain(inputs[7]):
        # enable_gqa: several heads of the query share one of the key and the value.
        key, value = ((*each[:-3], query[-3], *each[-2:]) for each in (key, value))
    leading = (each[:-2] for each in (query, key, value))
    pairs = torch.broadcast_shapes(*leading)  # type: ignore[no-untyped-call]
    # Q K^T and then the product with V; a causal mask is not taken off.
    macs = math.prod(pairs) * query[-2] * key[-2] * (query[-1] + value[-1])
    return Work(kind="attention", macs=macs, data=inputs[0])


def _einsum(inputs: Values, _: Values, graph: GraphValues) -> Work:
    equation, operands = str(graph.plain(inputs[0])), list(inputs[1].node().inputs())
    path = graph.plain(inputs[2]) if len(inputs) > 2 else None
    found = contraction(equation, [shape_of(each) for each in operands], path)
    known = [place for place, each in enumerate(operands) if graph.tensor(each) is not None]
    # A zero that is summed over beforehand saves no product.
    weight = next((place for place in known if found.whole[place]), None)
    data = next((place for place in range(len(operands)) if place not in known), 0)
    return Work(
        kind="linear" if known else "matmul",
        macs=found.macs,
        data=operands[data],
        weights=() if weight is None else (operands[weight],),
        biases=tuple(operands[place] for place in known if place != weight),
    )


def _recurrent(inputs: Values, _: Values, __: GraphValues) -> Work:
    # Packed sequences give (data, batch sizes, hidden, parameters, ...), others (data, hidden,
    # parameters, ...), and an LSTM's hidden state is a list too: the parameters are the last list.
    lists = [value for value in inputs[:4] if value.node().kind() == "prim::ListConstruct"]
    parameters = list(lists[-1].node().inputs()) if lists else []
    return _steps(inputs[0], parameters)


def _cell(inputs: Values, _: Values, __: GraphValues) -> Work:
    return _steps(inputs[0], inputs[2:])


def _steps(data: Any, parameters: Values) -> Work:
    """Each step of each sequence meets every element of every weight matrix once."""
    shaped = [(value, get_shape(value)) for value in parameters]
    weights = tuple(value for value, shape in shaped if shape is not None and len(shape) == 2)
    biases = tuple(value for value, shape in shaped if shape is not None and len(shape) == 1)
    if not weights:
        raise UnsupportedLayerError(f"{data.node().kind()}: a recurrent layer without weights")
    elements = sum(math.prod(shape_of(weight)) for weight in weights)
    macs = math.prod(shape_of(data)[:-1]) * elements
    return Work(kind="recurrent", macs=macs, data=data, weights=weights, biases=biases)


COUNTED: Mapping[str, Reader] = {
    "aten::_convolution": _convolution,
    "aten::_convolution_mode": _convolution_by_mode,
    "aten::linear": _linear,
    "aten::addmm": _product(1, 2, bias=0),
    "aten::addmv": _product(1, 2, bias=0),
    "aten::baddbmm": _product(1, 2),
    "aten::bmm": _product(0, 1),
    "aten::dot": _vector_product,
    "aten::einsum": _einsum,
    "aten::gru": _recurrent,
    "aten::gru_cell": _cell,
    "aten::lstm": _recurrent,
    "aten::lstm_cell": _cell,
    "aten::matmul": _product(0, 1),
    "aten::mm": _product(0, 1),
    "aten::mv": _vector_product,
    "aten::rnn_relu": _recurrent,
    "aten::rnn_relu_cell": _cell,
    "aten::rnn_tanh": _recurrent,
    "aten::rnn_tanh_cell": _cell,
    "aten::scaled_dot_product_attention": _attention,
    "aten::vdot": _vector_product,
}

# fvcore gives these a few FLOPs an element; they do no MACs here. The profiler's are marks in time.
FREE = (
    "aten::adaptive_avg_pool2d",
    "aten::batch_norm",
    "aten::grid_sampler",
    "aten::group_norm",
    "aten::instance_norm",
    "aten::layer_norm",
    "aten::upsample_bilinear2d",
    "aten::upsample_nearest2d",
    "profiler::_record_function_enter",
    "profiler::_record_function_enter_new",
    "profiler::_record_function_exit",
)

# Operators that do MACs by their name, but for interpolation and sums of squares.
_DOES_MACS = re.compile(
    r"(?!.*upsample|.*vector_norm)"
    r".*(conv|mm$|mm_|matmul|linear|linalg|fft|stft|cdist|_dist|pdist|lstm|gru|rnn|attention|einsum"
    r"|dot|addr|addbmm|mv_?$|tensordot|inner|kron|trilinear|bilinear|multi_head|encoder_"
    r"|sparse|chain_|matrix_|cholesky|inverse|\bqr|geqrf|orgqr|ormqr|svd|nuclear_norm|\beig|det$"
    r"|solve|\blu_|_lu_with|lstsq|cov|corrcoef|cosine_sim|affine_grid)"
)


def may_hide_macs(operator: str) -> bool:
    """Say whether an operator without a reader may do MACs: known ones and any custom one."""
    namespace, _, name = operator.partition("::")
    return namespace != "aten" or bool(_DOES_MACS.match(name))
