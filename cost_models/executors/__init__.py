"""Executors: the ways in which a network can be run to be timed, one file each."""

from cost_models.executors.cuda_graph import CudaGraph
from cost_models.executors.eager import TorchEager
from cost_models.executors.executor import Executor
from cost_models.executors.onnx_runtime import OnnxRuntime
from cost_models.executors.openvino_runtime import OpenVino
from cost_models.executors.sparse import SparseExecutor

EXECUTORS: dict[str, Executor] = {
    "eager": TorchEager(),
    "sparse": SparseExecutor(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(precision="f32"),
    "openvino-bf16": OpenVino(precision="bf16"),
    "cuda": CudaGraph(precision="float32"),
    "cuda-fp16": CudaGraph(precision="float16"),
    "cuda-2:4": CudaGraph(precision="float16", semi_structured=True),
}
