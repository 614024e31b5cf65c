"""Devices of an NVIDIA GPU: dense in float32 and float16, and 2:4 sparse in float16."""

from cost_models.cost import Device, Needs, SkippedZeros
from cost_models.counting.sparsity_pattern import NOfMWeight

_NEEDS = Needs(accelerator="cuda")
# Said until somebody has run it on a GPU: the tests stop where one is needed.
_UNTRIED = "; not measured by this project yet"

CUDA = Device(
    name="cuda",
    kind="measured",
    description="the first NVIDIA GPU, a CUDA graph in float32 (convolutions in TF32)" + _UNTRIED,
    executor="cuda",
    needs=_NEEDS,
)

CUDA_FP16 = Device(
    name="cuda-fp16",
    kind="measured",
    description="the first NVIDIA GPU, a CUDA graph in float16" + _UNTRIED,
    executor="cuda-fp16",
    needs=_NEEDS,
)

CUDA_2_4 = Device(
    name="cuda-2:4",
    kind="measured",
    description="the first NVIDIA GPU in float16, 2:4 linear layers on its sparse tensor cores"
    + _UNTRIED,
    executor="cuda-2:4",
    needs=_NEEDS,
    skips=SkippedZeros(kinds=("linear",), pattern=NOfMWeight(2, 4)),
)
