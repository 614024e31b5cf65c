"""Execution in ONNX Runtime."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cost_models.executors.agreement import check_same, torch_outputs
from cost_models.executors.executor import Prepared
from cost_models.executors.onnx_export import float32_arrays, onnx_bytes

_TOLERANCE = 1e-4  # float32 in another order, convolutions by Winograd among it


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Exports the module and runs it in float32 with ONNX Runtime's processor kernels."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """Tensors on the processor only."""
        return ("cpu",)

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Export, optimise and check the network."""
        import onnxruntime

        arrays = float32_arrays(module, example_inputs)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A thread that spins while it waits spends CPU time on nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            onnx_bytes(module, example_inputs), options, providers=["CPUExecutionProvider"]
        )
        names = [each.name for each in session.get_inputs()]
        feeds = dict(zip(names, arrays, strict=True))
        runtime = f"onnxruntime {onnxruntime.__version__} float32"
        found = [torch.as_tensor(each) for each in session.run(None, feeds)]
        expected = torch_outputs(module, example_inputs)
        check_same(expected, found, tolerance=_TOLERANCE, runtime=runtime)
        return Prepared(call=lambda: session.run(None, feeds), runtime=runtime)
