"""The processor through OpenVINO: float32 and bfloat16 are two devices, as their outputs differ."""

from cost_models.cost import Device, Needs

_NEEDS = Needs(packages=("openvino", "onnx", "onnxscript"), extra="openvino")

CPU_OPENVINO = Device(
    name="cpu-openvino",
    kind="measured",
    description="this machine's processor, timed with OpenVINO in float32",
    executor="openvino",
    needs=_NEEDS,
)

CPU_OPENVINO_BF16 = Device(
    name="cpu-openvino-bf16",
    kind="measured",
    description="this machine's processor, timed with OpenVINO in bfloat16 (8 bits of precision)",
    executor="openvino-bf16",
    needs=_NEEDS,
)
