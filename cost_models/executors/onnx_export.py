"""How does a torch module become an ONNX model, and its inputs arrays?"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cost_models.errors import CostModelError


def onnx_bytes(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> bytes:
    """Export a module in eval mode, for inputs of exactly these shapes.

    Raises:
        CostModelError: torch cannot export it; the message gives torch's reason.
    """
    copies = tuple(tensor.detach().clone() for tensor in example_inputs)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(module, copies, dynamo=True, verbose=False)
        assert program is not None
        return bytes(program.model_proto.SerializeToString())
    except Exception as error:  # the exporter raises errors of many kinds
        reason = str(error).strip().splitlines()
        raise CostModelError(
            f"torch.onnx cannot export the module: {type(error).__name__}: "
            f"{reason[0] if reason else 'no reason given'}; measure it on device 'cpu'"
        ) from error


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
