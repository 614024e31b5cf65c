"""Device "cpu-onnxruntime": the processor through ONNX Runtime."""

from cost_models.cost import Device, Needs

CPU_ONNXRUNTIME = Device(
    name="cpu-onnxruntime",
    kind="measured",
    description="this machine's processor, timed with ONNX Runtime in float32",
    executor="onnxruntime",
    needs=Needs(packages=("onnxruntime", "onnx", "onnxscript"), extra="onnx"),
)
