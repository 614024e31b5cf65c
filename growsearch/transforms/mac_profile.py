"""MACs of a network by weight, so that masks can be costed without a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

import cost_models
from growsearch.metrics.placement import beside
from growsearch.sparsity.layers import prunable_layers
from search_spaces.own_networks.keyword_inputs import ExampleInputs, by_position


@dataclass(frozen=True, slots=True, kw_only=True)
class MacProfile:
    """MACs of one example, split by the weight that does them.

    ``weights`` and ``per_weight`` give each prunable parameter's size and the MACs of one of its
    weights (the output positions); ``other`` are MACs without a prunable weight (attention).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.transforms import MacProfile
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> profile = MacProfile.of(module, (torch.zeros(1, 8),))
        >>> profile.dense_macs, profile.macs({"0.weight": 30})
        (40, 10)
    """

    weights: Mapping[str, int]
    per_weight: Mapping[str, int]
    other: int

    @classmethod
    def of(cls, module: nn.Module, example_inputs: ExampleInputs) -> MacProfile:
        """Run ``module`` on the example and take the profile; its mode and values stay."""
        weights = {layer.name: layer.weights for layer in prunable_layers(module)}
        called, inputs = by_position(module, example_inputs)
        found = cost_models.trace_weights(called, beside(called, *inputs))
        per_weight = {name: found.macs_per_element[name] for name in weights}
        prunable = sum(per_weight[name] * count for name, count in weights.items())
        return cls(
            weights=weights, per_weight=per_weight, other=found.workload.dense_macs - prunable
        )

    @property
    def dense_macs(self) -> int:
        """MACs with every weight active."""
        return self.macs({})

    def macs(self, zeros: Mapping[str, int]) -> int:
        """Return the MACs left when ``zeros`` weights of each parameter are masked."""
        return self.other + sum(
            self.per_weight[name] * (count - zeros.get(name, 0))
            for name, count in self.weights.items()
        )


def macs_at_computed_zeros(module: nn.Module, example_inputs: ExampleInputs) -> int:
    """Return the MACs of one example with zeros of weights that are computed, not stored.

    A trace leaves them out of the effective MACs: they last (`torch.nn.utils.prune`) or come of
    other weights, and no mask of ours holds them. Zeros of stored weights are not among them.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from torch.nn.utils import prune
        >>> from growsearch.transforms.mac_profile import macs_at_computed_zeros
        >>> module = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> pruned = prune.random_structured(module[0], "weight", amount=3, dim=0)
        >>> macs_at_computed_zeros(module, (torch.zeros(1, 8),))
        24
    """
    called, inputs = by_position(module, example_inputs)
    found = cost_models.trace_weights(called, beside(called, *inputs))
    work, stored = found.workload, dict(module.named_parameters())
    at_stored = sum(
        macs * int((stored[name].detach() == 0).sum())
        for name, macs in found.macs_per_element.items()
        if macs and name in stored
    )
    return max(0, work.dense_macs - work.effective_macs - at_stored)
