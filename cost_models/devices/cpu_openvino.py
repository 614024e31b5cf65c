"""Devices of OpenVINO: float32 and bfloat16 are two, as their outputs differ."""

from cost_models.cost import Device, Needs

_PACKAGES = ("openvino", "onnx", "onnxscript")

CPU_OPENVINO = Device(
    name="cpu-openvino",
    kind="measured",
    description="this machine's processor, timed with OpenVINO in float32",
    executor="openvino",
    needs=Needs(packages=_PACKAGES, extra="openvino"),
)

CPU_OPENVINO_BF16 = Device(
    name="cpu-openvino-bf16",
    kind="measured",
    description="this machine's processor, timed with OpenVINO in bfloat16 (8 bits of precision)",
    executor="openvino-bf16",
    needs=Needs(packages=_PACKAGES, extra="openvino", arithmetic="bfloat16"),
)
