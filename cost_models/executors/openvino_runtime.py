"""Execution in OpenVINO, in float32 and in bfloat16."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cost_models.errors import CostModelError
from cost_models.executors.agreement import check_same, torch_outputs
from cost_models.executors.executor import Prepared
from cost_models.executors.onnx_export import float32_arrays, onnx_bytes
from cost_models.executors.openvino_core import openvino_core

Precision = Literal["f32", "bf16"]
# bfloat16 keeps 8 bits: 0.4 % a rounding, which add up over the layers of a deep network.
_TOLERANCES: dict[Precision, float] = {"f32": 1e-4, "bf16": 5e-2}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVino:
    """Reads the exported network and runs it in one stated precision.

    OpenVINO's own converter is not used: it reports its use over the network.
    """

    precision: Precision

    @property
    def accepts(self) -> tuple[str, ...]:
        """Tensors on the processor only."""
        return ("cpu",)

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Export, compile and check the network; refuses a processor without the precision."""
        import openvino

        core = openvino_core()
        self._check_precision(core)
        inputs = dict(enumerate(float32_arrays(module, example_inputs)))
        model = core.read_model(onnx_bytes(module, example_inputs))
        compiled = core.compile_model(model, "CPU", self._settings(threads))
        request = compiled.create_infer_request()
        results = request.infer(inputs)
        found = [torch.tensor(results[port]) for port in compiled.outputs]
        runtime = f"openvino {openvino.__version__.split('-')[0]} {self.precision}"
        expected = torch_outputs(module, example_inputs)
        check_same(expected, found, tolerance=_TOLERANCES[self.precision], runtime=runtime)
        return Prepared(call=lambda: request.infer(inputs, share_inputs=True), runtime=runtime)

    def _settings(self, threads: int) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
            "ENABLE_CPU_PINNING": False,
        }

    def _check_precision(self, core: Any) -> None:
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision == "bf16" and "BF16" not in able:
            raise CostModelError(
                "this processor has no bfloat16 arithmetic (OpenVINO reports "
                f"{', '.join(able)}); measure on device 'cpu-openvino', which is float32"
            )
