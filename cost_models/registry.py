"""Devices and cost models by name: DEVICES and COST_MODELS."""

from cost_models.analytic.wafer import WaferCostModel
from cost_models.cost import CostModel, Device
from cost_models.devices.cpu import CPU
from cost_models.devices.cpu_onnxruntime import CPU_ONNXRUNTIME
from cost_models.devices.cpu_openvino import CPU_OPENVINO, CPU_OPENVINO_BF16
from cost_models.devices.cpu_sparse import CPU_SPARSE
from cost_models.devices.cuda import CUDA, CUDA_2_4, CUDA_FP16
from cost_models.devices.wafer_cs2 import WAFER_CS2
from cost_models.devices.wafer_cs3 import WAFER_CS3
from cost_models.errors import unknown_name

DEVICES: dict[str, Device] = {
    "cpu": CPU,
    "cpu-sparse": CPU_SPARSE,
    "cpu-onnxruntime": CPU_ONNXRUNTIME,
    "cpu-openvino": CPU_OPENVINO,
    "cpu-openvino-bf16": CPU_OPENVINO_BF16,
    "cuda": CUDA,
    "cuda-fp16": CUDA_FP16,
    "cuda-2:4": CUDA_2_4,
    "wafer-cs2": WAFER_CS2,
    "wafer-cs3": WAFER_CS3,
}

COST_MODELS: dict[str, CostModel] = {
    "wafer": WaferCostModel(),
}


def device_named(name: str) -> Device:
    """Give the device of that name; raises `UnknownNameError` that lists the valid ones."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    return DEVICES[name]
