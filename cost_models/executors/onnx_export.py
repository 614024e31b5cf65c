"""ONNX export of a torch module, with its inputs as arrays."""

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cost_models.counting.plain_signature import ExampleInputs, batch_shapes
from cost_models.errors import CostModelError


class OnnxExportError(CostModelError):
    """torch cannot export a module; ``reason`` is what torch says."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"torch.onnx cannot export the module: {reason}; measure it on device 'cpu'"
        )
        self.reason = reason


def onnx_bytes(
    module: nn.Module, example_inputs: ExampleInputs, *, any_batch: bool = False
) -> bytes:
    """Export a module in eval mode, for inputs of exactly these shapes.

    With ``any_batch`` their first axes may have any length, the same in all; one input and one
    output are then named "inputs" and "outputs". Several are named by the module's arguments.

    Raises:
        OnnxExportError: torch cannot export it.
    """
    named = isinstance(example_inputs, Mapping)
    given = (
        dict(example_inputs)
        if isinstance(example_inputs, Mapping)
        else dict(zip(_argument_names(module, len(example_inputs)), example_inputs, strict=True))
    )
    copies = {name: tensor.detach().clone() for name, tensor in given.items()}
    positional = () if named else tuple(copies.values())
    try:
        with _quiet(), torch.no_grad():
            options = _any_batch(module, example_inputs, list(copies)) if any_batch else {}
            program = torch.onnx.export(
                module,
                positional,
                kwargs=copies if named else None,
                dynamo=True,
                verbose=False,
                **options,
            )
        assert program is not None
        return bytes(program.model_proto.SerializeToString())
    except Exception as error:  # the exporter raises errors of many kinds
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise OnnxExportError(f"{type(error).__name__}: {first}") from error


def _any_batch(module: nn.Module, inputs: ExampleInputs, names: list[str]) -> dict[str, Any]:
    batch = torch.export.Dim("batch", min=1)
    options: dict[str, Any] = {"dynamic_shapes": batch_shapes(module, inputs, batch)}
    if len(names) == 1 and not isinstance(inputs, Mapping):
        return {**options, "input_names": ["inputs"], "output_names": ["outputs"]}
    return {**options, "input_names": names}


def _argument_names(module: nn.Module, count: int) -> list[str]:
    """Return names for positional inputs: those of the forward's arguments, where it has names."""
    names = [
        name
        for name, each in inspect.signature(module.forward).parameters.items()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return [*names[:count], *(f"input{place}" for place in range(len(names), count))]


def float32_arrays(
    module: nn.Module, example_inputs: tuple[Tensor, ...]
) -> list[NDArray[np.generic]]:
    """Give the inputs as arrays; whole numbers stay what they are.

    Raises:
        CostModelError: a tensor is of another floating type, which would be timed as float32.
    """
    for tensor in [*example_inputs, *module.parameters()]:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise CostModelError(
                f"a tensor is {tensor.dtype}: this device runs networks in float32; call "
                "module.float() and give inputs in float32"
            )
    return [tensor.detach().numpy() for tensor in example_inputs]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on packages that nobody asked for away."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
