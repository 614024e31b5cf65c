"""What does this network cost on that device? Count it, estimate it, or measure it."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cost_models.availability import available_devices, unavailable
    from cost_models.cost import Cost, CostModel, Device, Phase
    from cost_models.energy import RaplMeter, energy_meter
    from cost_models.errors import (
        CostModelError,
        NoisyMeasurementError,
        ProfileError,
        UnknownNameError,
        UnsupportedLayerError,
    )
    from cost_models.exclusive import MachineLock
    from cost_models.executors.sparse import LayerChoice, SparseExecutor, SparseNetwork
    from cost_models.layer_timing import layer_shares
    from cost_models.machine_noise import HostNoise, host_noise
    from cost_models.measurement import Measurement
    from cost_models.measuring import measure, measure_interleaved
    from cost_models.operator_call import Operator
    from cost_models.profiling.latency_profile import LatencyProfile
    from cost_models.profiling.profile_file import load_profile
    from cost_models.realisable import realisable_macs
    from cost_models.registry import COST_MODELS, DEVICES, estimate
    from cost_models.sparsity_pattern import Dense, NOfM, SparsityPattern, Unstructured
    from cost_models.tracing import WeightWork, trace, trace_weights
    from cost_models.training_work import rigl_step_macs, training_macs
    from cost_models.transformer import TransformerShape, transformer_workload
    from cost_models.workload import LayerWork, Workload

# Name -> its module. Loaded on first use: `import cost_models` must not import torch.
_HOME = {
    "COST_MODELS": "registry",
    "Cost": "cost",
    "CostModel": "cost",
    "CostModelError": "errors",
    "DEVICES": "registry",
    "Dense": "sparsity_pattern",
    "Device": "cost",
    "HostNoise": "machine_noise",
    "LatencyProfile": "profiling.latency_profile",
    "LayerChoice": "executors.sparse",
    "LayerWork": "workload",
    "MachineLock": "exclusive",
    "Measurement": "measurement",
    "NOfM": "sparsity_pattern",
    "NoisyMeasurementError": "errors",
    "Operator": "operator_call",
    "Phase": "cost",
    "ProfileError": "errors",
    "RaplMeter": "energy",
    "SparseExecutor": "executors.sparse",
    "SparseNetwork": "executors.sparse",
    "SparsityPattern": "sparsity_pattern",
    "TransformerShape": "transformer",
    "UnknownNameError": "errors",
    "Unstructured": "sparsity_pattern",
    "UnsupportedLayerError": "errors",
    "WeightWork": "tracing",
    "Workload": "workload",
    "available_devices": "availability",
    "energy_meter": "energy",
    "estimate": "registry",
    "host_noise": "machine_noise",
    "load_profile": "profiling.profile_file",
    "measure": "measuring",
    "layer_shares": "layer_timing",
    "measure_interleaved": "measuring",
    "realisable_macs": "realisable",
    "rigl_step_macs": "training_work",
    "trace": "tracing",
    "trace_weights": "tracing",
    "training_macs": "training_work",
    "transformer_workload": "transformer",
    "unavailable": "availability",
}

__all__ = [
    "COST_MODELS",
    "DEVICES",
    "Cost",
    "CostModel",
    "CostModelError",
    "Dense",
    "Device",
    "HostNoise",
    "LatencyProfile",
    "LayerChoice",
    "LayerWork",
    "MachineLock",
    "Measurement",
    "NOfM",
    "NoisyMeasurementError",
    "Operator",
    "Phase",
    "ProfileError",
    "RaplMeter",
    "SparseExecutor",
    "SparseNetwork",
    "SparsityPattern",
    "TransformerShape",
    "UnknownNameError",
    "Unstructured",
    "UnsupportedLayerError",
    "WeightWork",
    "Workload",
    "available_devices",
    "energy_meter",
    "estimate",
    "host_noise",
    "layer_shares",
    "load_profile",
    "measure",
    "measure_interleaved",
    "realisable_macs",
    "rigl_step_macs",
    "trace",
    "trace_weights",
    "training_macs",
    "transformer_workload",
    "unavailable",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'cost_models' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cost_models.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
