"""Device "cpu": the processor that this process runs on, timed and never estimated."""

from cost_models.cost import Device

CPU = Device(
    name="cpu",
    kind="measured",
    description="this machine's processor, timed with torch eager in float32, one thread",
    executor="eager",
)
