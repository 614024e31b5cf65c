"""Cost estimates: what does a workload cost on a device, without running it?"""

from cost_models.cost import PHASES, Cost, Phase
from cost_models.counting.workload import Workload
from cost_models.errors import CostModelError, unknown_name
from cost_models.profiling.latency_profile import LatencyProfile
from cost_models.registry import COST_MODELS, device_named


def estimate(
    workload: Workload,
    device: str | LatencyProfile = "wafer-cs2",
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

    Example:
        >>> import torch
        >>> from cost_models import estimate, trace
        >>> work = trace(torch.nn.Linear(8, 4), (torch.zeros(1, 8),))
        >>> cost = estimate(work, device="wafer-cs2", batch_size=256, phase="inference")
        >>> cost.method, cost.dense_macs
        ('analytic', 8192)
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
