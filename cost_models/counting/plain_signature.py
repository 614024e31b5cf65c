"""Plain signature of a module: tensors in by position, tensors out, as a tracer takes them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

# Positional inputs, or inputs by the names of the forward's arguments; batch first.
ExampleInputs = tuple[Tensor, ...] | Mapping[str, Tensor]


def call_by_position(module: nn.Module, example_inputs: ExampleInputs) -> tuple[Tensor, ...]:
    """Let ``module`` take the inputs by position and return nothing but tensors.

    It writes to the module's attributes: use it inside `untouched`, which puts them back. Outputs
    may be dataclasses, mappings and sequences, also within each other, with whatever else in them:
    their tensors are returned in order.

    Returns:
        The inputs in the order in which it takes them.
    """
    run = module.forward
    names = tuple(example_inputs) if isinstance(example_inputs, Mapping) else ()

    def forward(*inputs: Any) -> Any:
        named = dict(zip(names, inputs, strict=False))
        outputs = run(*inputs[len(names) :], **named)
        return outputs if _is_plain(outputs) else tuple(tensors_of(outputs))

    vars(module)["forward"] = forward
    return tuple(example_inputs.values()) if isinstance(example_inputs, Mapping) else example_inputs


def _is_plain(outputs: object) -> bool:
    if isinstance(outputs, tuple | list):
        return type(outputs) in (tuple, list) and all(isinstance(each, Tensor) for each in outputs)
    return isinstance(outputs, Tensor)


def tensors_of(value: object) -> Iterator[Tensor]:
    """Yield the tensors of nested sequences, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_of(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_of(each)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from tensors_of([getattr(value, f.name) for f in dataclasses.fields(value)])


def batch_shapes(module: nn.Module, example_inputs: ExampleInputs, batch: Any) -> dict[str, Any]:
    """Return, by the forward's arguments, that axis 0 of every input is ``batch``, for an export.

    Inputs that go to ``*args`` are told under its name, as `torch.export` wants it.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    shape = {0: batch}
    if isinstance(example_inputs, Mapping):
        return dict.fromkeys(example_inputs, shape)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    found: dict[str, Any] = dict.fromkeys(names[: len(example_inputs)], shape)
    left = len(example_inputs) - len(found)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    return {**found, rest: (shape,) * left} if left else found
