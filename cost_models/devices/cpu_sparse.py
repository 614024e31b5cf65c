"""Device "cpu-sparse": the processor, where layers skip their zeros if that is faster."""

from cost_models.cost import Device, SkippedZeros

CPU_SPARSE = Device(
    name="cpu-sparse",
    kind="measured",
    description="this machine's processor, each layer as dense or CSR kernels, whichever is faster",
    executor="sparse",
    skips=SkippedZeros(kinds=("linear", "conv"), timed=True),
)
