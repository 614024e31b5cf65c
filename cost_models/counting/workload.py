"""Workload: what has to be computed to run a network on one example, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from cost_models.counting.operator_call import Operator
from cost_models.counting.sparsity_pattern import (
    DenseWeight,
    SparsityPattern,
    pattern_from_json,
    pattern_to_json,
)
from cost_models.errors import CostModelError

FORMAT = 1
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWork:
    """The work of one multiply-accumulate operator, per example.

    `kind` is conv, linear, recurrent, matmul or attention. Shapes are as they were traced, batch
    included. `dense_macs` counts every product; `effective_macs` leaves out those with a zero
    weight. A parameter that several layers use is charged to the first of them only, so
    `parameters` may be 0 where `weight_elements` is not.

    Example:
        >>> from cost_models import LayerWork
        >>> LayerWork(
        ...     name="fc",
        ...     kind="linear",
        ...     dense_macs=8,
        ...     effective_macs=2,
        ...     weight_elements=8,
        ...     weight_nonzeros=2,
        ... ).density
        0.25
    """

    name: str
    kind: str
    dense_macs: int
    effective_macs: int
    input_shape: Shape = ()
    output_shape: Shape = ()
    kernel: Shape | None = None
    stride: Shape | None = None
    groups: int | None = None
    weight_elements: int = 0
    weight_nonzeros: int = 0
    parameters: int = 0
    nonzero_parameters: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    pattern: SparsityPattern = DenseWeight()  # noqa: RUF009 - frozen and without state

    def __post_init__(self) -> None:
        if not 0 <= self.effective_macs <= self.dense_macs:
            raise CostModelError(
                f"layer {self.name!r}: effective_macs = {self.effective_macs} must lie between 0 "
                f"and dense_macs = {self.dense_macs}"
            )
        if not 0 <= self.weight_nonzeros <= self.weight_elements:
            raise CostModelError(
                f"layer {self.name!r}: weight_nonzeros = {self.weight_nonzeros} must lie between "
                f"0 and weight_elements = {self.weight_elements}"
            )

    @property
    def density(self) -> float:
        """Fraction of the weight that is not zero; 1 for a layer without a weight."""
        return self.weight_nonzeros / self.weight_elements if self.weight_elements else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """All the work of a network on one example, in the order of its forward pass.

    `parameters` counts each parameter of the module once, those outside `layers` (BatchNorm,
    embeddings) included; `nonzero_parameters` counts those whose value is not zero. `batch` is the
    batch size it was traced with. `uncounted` maps an operator that does no MACs to its calls.
    `operators` are all calls in order, those without MACs included, of the whole traced batch; None
    where the work was not traced, or an operator could not be written down.

    Example:
        >>> import torch
        >>> from cost_models import Workload, trace
        >>> work = trace(torch.nn.Linear(8, 4), (torch.zeros(1, 8),))
        >>> Workload.from_json(work.to_json()) == work
        True
    """

    layers: tuple[LayerWork, ...]
    parameters: int
    nonzero_parameters: int
    batch: int = 1
    uncounted: Mapping[str, int]
    operators: tuple[Operator, ...] | None = None

    @property
    def dense_macs(self) -> int:
        """MACs of one forward pass of one example, zero weights included."""
        return sum(layer.dense_macs for layer in self.layers)

    @property
    def effective_macs(self) -> int:
        """MACs of one forward pass of one example, zero weights left out."""
        return sum(layer.effective_macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes that the layers write for one example, as traced."""
        return sum(layer.activation_bytes for layer in self.layers)

    def to_json(self) -> str:
        """Write the workload as JSON text; `from_json` gives back an equal one."""
        layers = [_layer_to_data(layer) for layer in self.layers]
        data = {
            "format": FORMAT,
            "batch": self.batch,
            "parameters": self.parameters,
            "nonzero_parameters": self.nonzero_parameters,
            "uncounted": dict(self.uncounted),
            "layers": layers,
            "operators": None
            if self.operators is None
            else [operator.to_data() for operator in self.operators],
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> "Workload":
        """Read a workload; raises `CostModelError` when the text is not one of this format."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise CostModelError(
                    f"workload format {data['format']!r}: this version reads {FORMAT}; trace again"
                )
            return cls(
                layers=tuple(_layer_from_data(layer) for layer in data["layers"]),
                parameters=data["parameters"],
                nonzero_parameters=data["nonzero_parameters"],
                batch=data["batch"],
                uncounted=data["uncounted"],
                operators=_operators(data.get("operators")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CostModelError(f"not a workload ({error!r}); trace the module again") from error


def _operators(data: Any) -> tuple[Operator, ...] | None:
    return None if data is None else tuple(Operator.from_data(each) for each in data)


_SHAPES = ("input_shape", "output_shape", "kernel", "stride")


def _layer_to_data(layer: LayerWork) -> dict[str, Any]:
    return asdict(layer) | {"pattern": pattern_to_json(layer.pattern)}


def _layer_from_data(data: Mapping[str, Any]) -> LayerWork:
    values = {field.name: data[field.name] for field in fields(LayerWork)}
    for name in _SHAPES:
        values[name] = None if values[name] is None else tuple(values[name])
    return LayerWork(**values | {"pattern": pattern_from_json(data["pattern"])})
