"""Realisable MACs: what a device really does, when only some zeros can be skipped."""

from cost_models.cost import Device
from cost_models.counting.sparsity_pattern import NOfMWeight
from cost_models.counting.workload import LayerWork, Workload
from cost_models.errors import CostModelError
from cost_models.estimating import estimate
from cost_models.measurement import Measurement
from cost_models.registry import device_named

_DENSE = "dense"


def realisable_macs(
    workload: Workload, device: str, measurement: Measurement | None = None
) -> float:
    """MACs of one forward pass of one example that the device really does.

    Between effective MACs (all zeros skipped) and dense ones (none). "cpu" and the other dense
    runtimes skip nothing; "cuda-2:4" half of a linear layer that is 2:4; the wafers as their
    calibrated speed-up says. "cpu-sparse" skips the zeros of the layers that a `measurement` of
    this network on it found faster so.

    Raises:
        UnknownNameError: no such device.
        CostModelError: the device needs a measurement, or was given another's.

    Example:
        >>> import torch
        >>> from cost_models import realisable_macs, trace
        >>> layer = torch.nn.Linear(4, 2, bias=False)
        >>> _ = layer.weight.data.copy_(torch.tensor([1.0, 0.0, 2.0, 0.0]))
        >>> work = trace(layer, (torch.zeros(1, 4),))
        >>> [realisable_macs(work, device) for device in ("cpu", "cuda-2:4")]
        [8.0, 4.0]
    """
    target = device_named(device)
    if target.cost_model is not None:
        found = estimate(workload, device, batch_size=1, phase="inference").realisable_macs
        assert found is not None
        return found
    skipping = _skipping_layers(target, measurement)
    return float(sum(_layer_macs(layer, target, skipping) for layer in workload.layers))


def _skipping_layers(device: Device, measurement: Measurement | None) -> frozenset[str]:
    if not device.skips.timed:
        return frozenset()
    if measurement is None or measurement.device != device.name:
        raise CostModelError(
            f"device {device.name!r} chooses by timing which layers skip zeros: pass "
            f"cost_models.measure(module, example_inputs, device={device.name!r})"
        )
    return frozenset(name for name, form in measurement.choices.items() if form != _DENSE)


def _layer_macs(layer: LayerWork, device: Device, skipping: frozenset[str]) -> float:
    skips = device.skips
    if layer.kind not in skips.kinds:
        return layer.dense_macs
    if skips.timed:
        return layer.effective_macs if layer.name in skipping else layer.dense_macs
    pattern = layer.pattern
    fits = (
        skips.pattern is not None
        and isinstance(pattern, NOfMWeight)
        and pattern.implies(skips.pattern)
    )
    return (
        layer.dense_macs * (1 - skips.pattern.sparsity)
        if fits and skips.pattern
        else layer.dense_macs
    )
