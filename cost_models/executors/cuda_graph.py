"""CUDA graphs: a network on an NVIDIA GPU, free of the time that Python takes to launch it.

The forward pass is captured once in a CUDA graph; replays are timed by events on the device.
"""

import copy
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cost_models.errors import CostModelError
from cost_models.executors.agreement import check_same, flat_tensors, torch_outputs
from cost_models.executors.executor import Call, Prepared
from cost_models.executors.semi_structured import compress

Precision = Literal["float32", "float16"]
_DTYPES = {"float32": torch.float32, "float16": torch.float16}
# float32 convolutions may use TF32 (10 bits), as torch's default is.
_TOLERANCES: dict[Precision, float] = {"float32": 5e-3, "float16": 5e-2}
_WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaGraph:
    """Copies the module to the GPU in one precision and captures its forward pass.

    With `semi_structured`, linear layers whose weights are 2:4 run on the sparse tensor cores;
    all others stay dense.
    """

    precision: Precision
    semi_structured: bool = False

    @property
    def accepts(self) -> tuple[str, ...]:
        """Tensors of the processor are copied; those on a GPU too."""
        return ("cpu", "cuda")

    def prepare(
        self, module: nn.Module, example_inputs: tuple[Tensor, ...], threads: int
    ) -> Prepared:
        """Copy, compress, capture and check the network."""
        del threads
        expected = [each.cpu() for each in torch_outputs(module, example_inputs)]
        inputs = tuple(self._moved(tensor) for tensor in example_inputs)
        network = self._network(module)
        choices = compress(network) if self.semi_structured else {}
        graph, outputs = _captured(network, inputs)
        graph.replay()
        torch.cuda.synchronize()
        runtime = f"torch {torch.__version__} CUDA graph {self.precision}"
        found = [each.cpu() for each in flat_tensors(outputs)]
        check_same(expected, found, tolerance=_TOLERANCES[self.precision], runtime=runtime)
        return Prepared(call=graph.replay, runtime=runtime, choices=choices, clock=event_clock)

    def _network(self, module: nn.Module) -> nn.Module:
        try:
            return copy.deepcopy(module).to("cuda", _DTYPES[self.precision])
        except (RuntimeError, TypeError) as error:
            raise CostModelError(f"the module cannot be copied to the GPU: {error}") from error

    def _moved(self, tensor: Tensor) -> Tensor:
        dtype = _DTYPES[self.precision] if tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to("cuda", dtype, copy=True)


def _captured(
    network: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[torch.cuda.CUDAGraph, object]:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.inference_mode():
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP_RUNS):
                    network(*inputs)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph):
                outputs = network(*inputs)
    except RuntimeError as error:
        raise CostModelError(
            f"the forward pass cannot be captured in a CUDA graph: {error}. It must not copy to "
            "the processor or branch on values"
        ) from error
    return graph, outputs


def event_clock(call: Call, repeats: int) -> tuple[float, float]:
    """Seconds on the GPU between two events, and CPU seconds of this process, for one call."""
    start, stop = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    before = time.process_time()
    start.record()
    for _ in range(repeats):
        call()
    stop.record()
    stop.synchronize()
    elapsed_s = start.elapsed_time(stop) / 1e3
    return elapsed_s / repeats, (time.process_time() - before) / repeats
