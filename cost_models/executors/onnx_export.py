"""ONNX export of a torch module, with its inputs as arrays."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cost_models.errors import CostModelError


class OnnxExportError(CostModelError):
    """torch cannot export a module; ``reason`` is what torch says."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"torch.onnx cannot export the module: {reason}; measure it on device 'cpu'"
        )
        self.reason = reason


def onnx_bytes(
    module: nn.Module, example_inputs: tuple[Tensor, ...], *, any_batch: bool = False
) -> bytes:
    """Export a module in eval mode, for inputs of exactly these shapes.

    With ``any_batch`` their first axes may have any length, the same in all; inputs and outputs
    are then named "inputs" and "outputs".

    Raises:
        OnnxExportError: torch cannot export it.
    """
    copies = tuple(tensor.detach().clone() for tensor in example_inputs)
    try:
        with _quiet(), torch.no_grad():
            options = _any_batch(copies) if any_batch else {}
            program = torch.onnx.export(module, copies, dynamo=True, verbose=False, **options)
        assert program is not None
        return bytes(program.model_proto.SerializeToString())
    except Exception as error:  # the exporter raises errors of many kinds
        first = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise OnnxExportError(f"{type(error).__name__}: {first}") from error


def _any_batch(inputs: tuple[Tensor, ...]) -> dict[str, Any]:
    batch = torch.export.Dim("batch", min=1)
    return {
        "dynamic_shapes": tuple({0: batch} for _ in inputs),
        "input_names": ["inputs"],
        "output_names": ["outputs"],
    }


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
