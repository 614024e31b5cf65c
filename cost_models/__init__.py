"""What does this network cost on that device? Count it, estimate it, or measure it."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cost_models.cost import Cost, CostModel, Device, Phase
    from cost_models.errors import (
        CostModelError,
        NoisyMeasurementError,
        UnknownNameError,
        UnsupportedLayerError,
    )
    from cost_models.exclusive import MachineLock
    from cost_models.measurement import Measurement
    from cost_models.measuring import measure, measure_interleaved
    from cost_models.registry import COST_MODELS, DEVICES, estimate
    from cost_models.sparsity_pattern import Dense, SparsityPattern, Unstructured
    from cost_models.tracing import trace
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
    "LayerWork": "workload",
    "MachineLock": "exclusive",
    "Measurement": "measurement",
    "NoisyMeasurementError": "errors",
    "Phase": "cost",
    "SparsityPattern": "sparsity_pattern",
    "TransformerShape": "transformer",
    "UnknownNameError": "errors",
    "Unstructured": "sparsity_pattern",
    "UnsupportedLayerError": "errors",
    "Workload": "workload",
    "estimate": "registry",
    "measure": "measuring",
    "measure_interleaved": "measuring",
    "rigl_step_macs": "training_work",
    "trace": "tracing",
    "training_macs": "training_work",
    "transformer_workload": "transformer",
}

__all__ = [
    "COST_MODELS",
    "DEVICES",
    "Cost",
    "CostModel",
    "CostModelError",
    "Dense",
    "Device",
    "LayerWork",
    "MachineLock",
    "Measurement",
    "NoisyMeasurementError",
    "Phase",
    "SparsityPattern",
    "TransformerShape",
    "UnknownNameError",
    "Unstructured",
    "UnsupportedLayerError",
    "Workload",
    "estimate",
    "measure",
    "measure_interleaved",
    "rigl_step_macs",
    "trace",
    "training_macs",
    "transformer_workload",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'cost_models' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cost_models.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
