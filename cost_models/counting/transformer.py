"""Workload of a GPT-like transformer, without building it."""

import math
from dataclasses import dataclass

from cost_models.counting.sparsity_pattern import pattern_of
from cost_models.counting.workload import LayerWork, Workload
from cost_models.errors import CostModelError

_BYTES = 2  # 16-bit weights and activations, as such networks are trained


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerShape:
    """Sizes of a decoder-only transformer; `hidden` is the feed-forward width, `width` d_model.

    Example:
        >>> from cost_models import TransformerShape
        >>> shape = TransformerShape(layers=2, width=8, hidden=32, sequence=4, vocabulary=10)
        >>> shape.widened(sparsity=0.75).width
        16
    """

    layers: int
    width: int
    hidden: int
    sequence: int
    vocabulary: int

    def widened(self, sparsity: float) -> "TransformerShape":
        """Widen by Sparse Wide's k = sqrt(1 / (1 - s)) (arXiv 2303.11525, section 3)."""
        factor = math.sqrt(1.0 / (1.0 - _checked(sparsity)))
        return TransformerShape(
            layers=self.layers,
            width=round(self.width * factor),
            hidden=round(self.hidden * factor),
            sequence=self.sequence,
            vocabulary=self.vocabulary,
        )


def transformer_workload(shape: TransformerShape, *, sparsity: float = 0.0) -> Workload:
    """Count one sequence through the transformer, weights of its blocks `sparsity` sparse.

    Attention has no weights and stays dense; so do the embedding and the vocabulary layer, which
    share one matrix. Attention is counted over the whole square, a causal mask not taken off.

    Example:
        >>> from cost_models import TransformerShape, transformer_workload
        >>> shape = TransformerShape(layers=1, width=8, hidden=32, sequence=4, vocabulary=10)
        >>> transformer_workload(shape).dense_macs
        3648
        >>> transformer_workload(shape, sparsity=0.5).effective_macs
        2112
    """
    _checked(sparsity)
    layers = [work for index in range(shape.layers) for work in _block(shape, index, sparsity)]
    vocabulary = _linear("vocabulary", shape, (shape.vocabulary, shape.width), 0.0, bias=False)
    norms = shape.layers * 4 * shape.width + 2 * shape.width
    other = norms + shape.sequence * shape.width
    return Workload(
        layers=(*layers, vocabulary),
        parameters=other + sum(work.parameters for work in (*layers, vocabulary)),
        nonzero_parameters=other + sum(work.nonzero_parameters for work in (*layers, vocabulary)),
        uncounted={},
    )


def _block(shape: TransformerShape, index: int, sparsity: float) -> list[LayerWork]:
    d, f = shape.width, shape.hidden
    return [
        _linear(f"{index}.query_key_value", shape, (3 * d, d), sparsity),
        _attention(f"{index}.attention", shape),
        _linear(f"{index}.projection", shape, (d, d), sparsity),
        _linear(f"{index}.up", shape, (f, d), sparsity),
        _linear(f"{index}.down", shape, (d, f), sparsity),
    ]


def _linear(
    name: str, shape: TransformerShape, size: tuple[int, int], sparsity: float, bias: bool = True
) -> LayerWork:
    elements = size[0] * size[1]
    nonzeros = round(elements * (1.0 - sparsity))
    biases = size[0] if bias else 0
    return LayerWork(
        name=name,
        kind="linear",
        dense_macs=shape.sequence * elements,
        effective_macs=shape.sequence * nonzeros,
        input_shape=(1, shape.sequence, size[1]),
        output_shape=(1, shape.sequence, size[0]),
        weight_elements=elements,
        weight_nonzeros=nonzeros,
        parameters=elements + biases,
        nonzero_parameters=nonzeros + biases,
        weight_bytes=_BYTES * elements,
        activation_bytes=_BYTES * shape.sequence * size[0],
        pattern=pattern_of(elements, nonzeros),
    )


def _attention(name: str, shape: TransformerShape) -> LayerWork:
    macs = 2 * shape.sequence**2 * shape.width  # Q K^T, then the product with V
    size = (1, shape.sequence, shape.width)
    return LayerWork(
        name=name,
        kind="attention",
        dense_macs=macs,
        effective_macs=macs,
        input_shape=size,
        output_shape=size,
        activation_bytes=_BYTES * shape.sequence * shape.width,
    )


def _checked(sparsity: float) -> float:
    if not 0.0 <= sparsity < 1.0:
        raise CostModelError(f"sparsity = {sparsity}: must lie in [0, 1)")
    return sparsity
