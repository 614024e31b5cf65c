"""Which devices and cost models are there, and what does a workload cost on one of them?"""

from typing import TYPE_CHECKING

from cost_models.cost import PHASES, Cost, CostModel, Device, Phase
from cost_models.devices.cpu import CPU
from cost_models.devices.cpu_onnxruntime import CPU_ONNXRUNTIME
from cost_models.devices.cpu_openvino import CPU_OPENVINO, CPU_OPENVINO_BF16
from cost_models.devices.cpu_sparse import CPU_SPARSE
from cost_models.devices.cuda import CUDA, CUDA_2_4, CUDA_FP16
from cost_models.devices.wafer_cs2 import WAFER_CS2
from cost_models.devices.wafer_cs3 import WAFER_CS3
from cost_models.errors import CostModelError, unknown_name
from cost_models.wafer import WaferCostModel
from cost_models.workload import Workload

if TYPE_CHECKING:
    from cost_models.profiling.latency_profile import LatencyProfile

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


def estimate(
    workload: Workload,
    device: "str | LatencyProfile" = "wafer-cs2",
    batch_size: int = 256,
    phase: Phase = "training",
) -> Cost:
    """Estimate what one step of `batch_size` examples costs on a device, without running it.

    `device` is a device's name, or the profile of one (`load_profile`). `phase` is "inference" (one
    forward pass) or "training" (forward and backward).

    Raises:
        UnknownNameError: no such device or phase.
        CostModelError: the device is measured rather than estimated, or the batch is empty.
        ProfileError: the profile was not measured for this phase or batch size.
        UnsupportedLayerError: the device's model cannot cost a layer.
    """
    if phase not in PHASES:
        raise unknown_name("phase", phase, PHASES)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise CostModelError(f"batch_size = {batch_size!r}: must be a whole number of at least 1")
    if not isinstance(device, str):
        return device.estimate(workload, device.device, batch_size=batch_size, phase=phase)
    target = device_named(device)
    if target.cost_model is None:
        raise CostModelError(
            f"device {device!r} is measured, not estimated: call cost_models.measure(module, "
            f"example_inputs, device={device!r}), or give cost_models.load_profile(path) as device"
        )
    if target.cost_model not in COST_MODELS:
        raise unknown_name("cost model", target.cost_model, COST_MODELS)
    model = COST_MODELS[target.cost_model]
    return model.estimate(workload, target, batch_size=batch_size, phase=phase)
