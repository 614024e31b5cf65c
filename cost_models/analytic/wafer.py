"""Analytic latency model of a wafer-scale machine that streams its weights in.

    T         = sum over layers of max(T_compute, T_stream) + layers * t0
    T_compute = FLOPs / (S(s) * efficiency * peak)      S = 1 for what has no sparse weight
    T_stream  = passes * nonzeros * (weight bytes + index bytes) / bandwidth    dense: no index

S(s) is fitted to published ratios (`wafer_calibration`); everything else is a public constant of
the device's data file. Ratios between networks are what this model is for, not absolute times.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from cost_models.analytic.wafer_calibration import NO_SPARSITY_SUPPORT, SpeedUp, fit_speed_up
from cost_models.cost import CalibrationPoint, Cost, Device, Phase
from cost_models.counting.transformer import TransformerShape, transformer_workload
from cost_models.counting.workload import LayerWork, Workload
from cost_models.errors import CostModelError, UnsupportedLayerError

NOTE = "analytic, ratio-calibrated; no such machine was measured"

# The network of the calibration points, with the paper's sequence and batch.
REFERENCE = TransformerShape(layers=44, width=6144, hidden=24576, sequence=256, vocabulary=50257)
REFERENCE_BATCH = 256
REFERENCE_ASSUMPTION = (
    "the paper names GPT-3 20B by its size, its sequence (256) and its batch (256) only. Its 44 "
    "layers of width 6144 with a feed-forward width of 24576 are those of GPT-NeoX-20B (arXiv "
    "2204.06745), its vocabulary of 50257 is GPT-3's; blocks are sparse, attention, embedding and "
    "vocabulary layer dense, and attention is counted over the whole square"
)

_COMPUTED = ("conv", "linear", "matmul", "attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaferCostModel:
    """The analytic model; `skips_zeros=False` is the same machine without sparsity support."""

    skips_zeros: bool = True

    def estimate(
        self, workload: Workload, device: Device, *, batch_size: int, phase: Phase
    ) -> Cost:
        """Estimate one step; `memory_bytes` holds the activations, as weights are not kept.

        Energy is not given: nothing was measured, and absolute times rest on an assumption.

        Raises `UnsupportedLayerError` for recurrent layers: their steps wait for each other, and
        no public figure says how long.
        """
        fit = fit_wafer(device.calibration)
        step = _Step(
            device=device,
            speed_up=fit.speed_up if self.skips_zeros else NO_SPARSITY_SUPPORT,
            batch_size=batch_size,
            training=phase == "training",
        )
        breakdown, layers_s = step.times(workload)
        latency = sum(breakdown.values())
        memory_bytes = step.memory_bytes(workload)
        return Cost(
            latency_s=latency,
            interval=(latency * (1 - fit.residual), latency * (1 + fit.residual)),
            method="analytic",
            note=_note(device, memory_bytes),
            device=device.name,
            batch_size=batch_size,
            phase=phase,
            memory_bytes=memory_bytes,
            dense_macs=step.passes * batch_size * workload.dense_macs,
            effective_macs=step.passes * batch_size * workload.effective_macs,
            realisable_macs=sum(step.realisable_macs(layer) for layer in workload.layers),
            breakdown_s=breakdown,
            layers_s=layers_s,
        )


def _note(device: Device, memory_bytes: int) -> str:
    there = device.constant("sram_bytes")
    if memory_bytes <= there:
        return NOTE
    return (
        f"{NOTE}; {memory_bytes / 1e9:.3g} GB of activations do not fit into the wafer's "
        f"{there / 1e9:.3g} GB: such a step would be split, which costs weight streaming that is "
        "not counted"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    device: Device
    speed_up: SpeedUp
    batch_size: int
    training: bool

    @property
    def passes(self) -> int:
        """Forward passes that the compute of a step is worth: F, or 3 F with the backward."""
        return 3 if self.training else 1

    def times(self, workload: Workload) -> tuple[dict[str, float], tuple[float, ...]]:
        """Seconds by what they are spent on, and those of every layer, its overhead included."""
        overhead = self.device.constant("layer_overhead_s")
        found = [self._layer_time(layer) for layer in workload.layers]
        breakdown: defaultdict[str, float] = defaultdict(float)
        for term, seconds in found:
            breakdown[term] += seconds
        breakdown["overhead"] = len(found) * overhead
        return dict(breakdown), tuple(seconds + overhead for _, seconds in found)

    def _layer_time(self, layer: LayerWork) -> tuple[str, float]:
        """Give the layer's time and what it is spent on: the link, or a kind of compute."""
        if layer.kind not in _COMPUTED:
            raise UnsupportedLayerError(
                f"layer {layer.name!r} of kind {layer.kind!r}: the wafer model knows "
                f"{', '.join(_COMPUTED)}; measure such a network instead"
            )
        peak = self.device.constant("efficiency") * self.device.constant("peak_flops")
        compute, stream = 2 * self.realisable_macs(layer) / peak, self._stream_time(layer)
        if stream > compute:
            return "weight streaming", stream
        if not layer.weight_elements:
            return "attention and other products of activations", compute
        return "dense weights" if layer.density == 1.0 else "sparse weights", compute

    def realisable_macs(self, layer: LayerWork) -> float:
        """MACs of the step that the machine really does for this layer."""
        speed_up = self.speed_up(1.0 - layer.density)
        return self.passes * self.batch_size * layer.dense_macs / speed_up

    def _stream_time(self, layer: LayerWork) -> float:
        """Weights cross the link dense or as (value, index) pairs, whichever is smaller."""
        passes = self.device.constant("training_stream_passes") if self.training else 1
        value, index = self.device.constant("weight_bytes"), self.device.constant("index_bytes")
        moved = layer.weight_elements * value
        if self.speed_up is not NO_SPARSITY_SUPPORT:
            moved = min(moved, layer.weight_nonzeros * (value + index))
        return passes * moved / self.device.constant("stream_bandwidth")

    def memory_bytes(self, workload: Workload) -> int:
        """Training keeps every activation for the backward pass, inference the largest."""
        sizes = [layer.activation_bytes for layer in workload.layers]
        return self.batch_size * (sum(sizes) if self.training else max(sizes, default=0))


@dataclass(frozen=True, slots=True)
class WaferFit:
    """A fitted S(s) and the worst relative miss seen, points it was not fitted on included."""

    speed_up: SpeedUp
    residual: float


@lru_cache
def fit_wafer(
    points: tuple[CalibrationPoint, ...], reference: TransformerShape = REFERENCE
) -> WaferFit:
    """Fit S(s) on published relative times of a dense `reference` and its Sparse Wide forms.

    The miss is the worst over all points and over each inner point when it is held out: a fit is
    flattered by its own points, and one held out at either end would be an extrapolation.
    """
    if not points:
        raise CostModelError("no calibration points: the wafer model needs at least one")
    speed_up = _fit(points, reference)
    misses = [_miss(point, speed_up, reference) for point in points]
    for held_out in sorted(points, key=lambda point: point.sparsity)[1:-1]:
        others = tuple(point for point in points if point != held_out)
        misses.append(_miss(held_out, _fit(others, reference), reference))
    return WaferFit(speed_up, max(misses))


def _fit(points: tuple[CalibrationPoint, ...], reference: TransformerShape) -> SpeedUp:
    return fit_speed_up([(point.sparsity, _needed(point, reference)) for point in points])


def _miss(point: CalibrationPoint, speed_up: SpeedUp, reference: TransformerShape) -> float:
    return abs(relative_time(point.sparsity, speed_up, reference) / point.relative_time - 1)


def _needed(point: CalibrationPoint, reference: TransformerShape) -> float:
    """Give the speed-up of the sparse layers that makes the reference network's ratio true."""
    dense = transformer_workload(reference).dense_macs
    wide = transformer_workload(reference.widened(point.sparsity), sparsity=point.sparsity)
    sparse = sum(layer.dense_macs for layer in wide.layers if layer.density < 1.0)
    return sparse / (point.relative_time * dense - (wide.dense_macs - sparse))


def relative_time(
    sparsity: float, speed_up: SpeedUp, reference: TransformerShape = REFERENCE
) -> float:
    """Compute time of a network, Sparse Wide at `sparsity`, against the dense one."""
    dense = transformer_workload(reference).dense_macs
    wide = transformer_workload(reference.widened(sparsity), sparsity=sparsity)
    work = sum(layer.dense_macs / speed_up(1.0 - layer.density) for layer in wide.layers)
    return work / dense
