"""Cost models of networks on devices: count the work, estimate a time, or measure it."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cost_models.cost import Cost, CostModel, Device, Phase
    from cost_models.counting.operator_call import Operator
    from cost_models.counting.sparsity_pattern import (
        DenseWeight,
        NOfMWeight,
        SparsityPattern,
        UnstructuredWeight,
    )
    from cost_models.counting.tracing import WeightWork, trace, trace_weights
    from cost_models.counting.training_work import rigl_step_macs, training_macs
    from cost_models.counting.transformer import TransformerShape, transformer_workload
    from cost_models.counting.workload import LayerWork, Workload
    from cost_models.errors import (
        CostModelError,
        NoisyMeasurementError,
        ProfileError,
        UnknownNameError,
        UnsupportedLayerError,
    )
    from cost_models.estimating import estimate
    from cost_models.executors.sparse import LayerChoice, SparseExecutor, SparseNetwork
    from cost_models.measurement import Measurement
    from cost_models.measuring.availability import available_devices, unavailable
    from cost_models.measuring.energy import RaplMeter, energy_meter
    from cost_models.measuring.layer_timing import layer_shares
    from cost_models.measuring.machine_lock import MachineLock
    from cost_models.measuring.machine_noise import HostNoise, host_noise
    from cost_models.measuring.measure import measure, measure_interleaved
    from cost_models.profiling.latency_profile import LatencyProfile
    from cost_models.profiling.profile_file import load_profile
    from cost_models.realisable import realisable_macs
    from cost_models.registry import COST_MODELS, DEVICES

# Name -> its module. Loaded on first use: `import cost_models` must not import torch.
_HOME = {
    "COST_MODELS": "registry",
    "Cost": "cost",
    "CostModel": "cost",
    "CostModelError": "errors",
    "DEVICES": "registry",
    "DenseWeight": "counting.sparsity_pattern",
    "Device": "cost",
    "HostNoise": "measuring.machine_noise",
    "LatencyProfile": "profiling.latency_profile",
    "LayerChoice": "executors.sparse",
    "LayerWork": "counting.workload",
    "MachineLock": "measuring.machine_lock",
    "Measurement": "measurement",
    "NOfMWeight": "counting.sparsity_pattern",
    "NoisyMeasurementError": "errors",
    "Operator": "counting.operator_call",
    "Phase": "cost",
    "ProfileError": "errors",
    "RaplMeter": "measuring.energy",
    "SparseExecutor": "executors.sparse",
    "SparseNetwork": "executors.sparse",
    "SparsityPattern": "counting.sparsity_pattern",
    "TransformerShape": "counting.transformer",
    "UnknownNameError": "errors",
    "UnstructuredWeight": "counting.sparsity_pattern",
    "UnsupportedLayerError": "errors",
    "WeightWork": "counting.tracing",
    "Workload": "counting.workload",
    "available_devices": "measuring.availability",
    "energy_meter": "measuring.energy",
    "estimate": "estimating",
    "host_noise": "measuring.machine_noise",
    "load_profile": "profiling.profile_file",
    "measure": "measuring.measure",
    "layer_shares": "measuring.layer_timing",
    "measure_interleaved": "measuring.measure",
    "realisable_macs": "realisable",
    "rigl_step_macs": "counting.training_work",
    "trace": "counting.tracing",
    "trace_weights": "counting.tracing",
    "training_macs": "counting.training_work",
    "transformer_workload": "counting.transformer",
    "unavailable": "measuring.availability",
}

__all__ = [
    "COST_MODELS",
    "DEVICES",
    "Cost",
    "CostModel",
    "CostModelError",
    "DenseWeight",
    "Device",
    "HostNoise",
    "LatencyProfile",
    "LayerChoice",
    "LayerWork",
    "MachineLock",
    "Measurement",
    "NOfMWeight",
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
    "UnstructuredWeight",
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
