"""ONNX file of a network, written only if it computes the same in ONNX Runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cost_models.executors.onnx_export import OnnxExportError, onnx_bytes
from growsearch.errors import UsageError
from growsearch.kinds.checking.program import NoProgramError, in_one_line, quiet_exporter

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_onnx() -> None:
    """Refuse where a package is missing.

    Raises:
        UsageError: with the extra that installs it.
    """
    missing = missing_packages()
    if missing:
        raise UsageError(f"--onnx needs {missing[0]}: pip install 'growsearch[onnx]'")


def missing_packages() -> tuple[str, ...]:
    """Return the packages that a checked ONNX file takes and that are not installed."""
    return tuple(name for name in _PACKAGES if importlib.util.find_spec(name) is None)


def onnx_program(module: nn.Module, example: Tensor) -> bytes:
    """Return the ONNX model of ``module``, with a batch of any size.

    Raises:
        NoProgramError: if torch cannot export it; with torch's reason.
    """
    try:
        with quiet_exporter():
            return onnx_bytes(module, (example,), any_batch=True)
    except OnnxExportError as error:
        reason = in_one_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise NoProgramError(f"torch.onnx cannot export the network ({reason})") from error


def with_texts(content: bytes, texts: Mapping[str, str]) -> bytes:
    """Return an ONNX model with texts by name in its metadata (``metadata_props``)."""
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, dict(texts))
    return bytes(model.SerializeToString())


def onnx_runner(content: bytes) -> Any:
    """Return what runs an ONNX model on a tensor, in ONNX Runtime on this processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(inputs: Tensor) -> Tensor:
        (found,) = session.run(None, {name: inputs.numpy()})
        return torch.from_numpy(found)

    return run
