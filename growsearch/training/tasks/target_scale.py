"""Scale of regression targets: networks learn standardised numbers and give those in their unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetScale:
    """Mean and standard deviation of each column of the training targets.

    A column that is constant has deviation 1.

    Example:
        >>> import torch
        >>> from growsearch.training import TargetScale
        >>> TargetScale.of(torch.tensor([10.0, 30.0]))
        TargetScale(mean=(20.0,), deviation=(10.0,))
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, targets: Tensor) -> Self:
        """Return the scale of targets (N,) or (N, K); the deviation is that of the population."""
        # On the CPU, so that the scale is the same wherever the data is.
        columns = targets.cpu().double().reshape(len(targets), -1)
        deviation = columns.std(dim=0, correction=0)
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        return cls(mean=tuple(columns.mean(dim=0).tolist()), deviation=tuple(deviation.tolist()))

    def standardised(self, targets: Tensor) -> Tensor:
        """Return targets (N,) or (N, K) as (N, K) with mean 0 and deviation 1 where training is."""
        mean, deviation = self._tensors(targets)
        return (targets.reshape(len(targets), -1) - mean) / deviation

    def in_units(self, outputs: Tensor) -> Tensor:
        """Return standardised outputs (N, K) in the targets' unit."""
        mean, deviation = self._tensors(outputs)
        return outputs * deviation + mean

    def _tensors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32).to(like.device)
            for values in (self.mean, self.deviation)
        )
        return mean, deviation


class InUnits(nn.Module):
    """A trained network behind which its standardised outputs are put into the targets' unit.

    Example:
        >>> import torch
        >>> from growsearch.training import InUnits, TargetScale
        >>> scale = TargetScale(mean=(20.0,), deviation=(10.0,))
        >>> InUnits(torch.nn.Identity(), scale)(torch.tensor([[1.0]]))
        tensor([[30.]])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, scale: TargetScale) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(scale.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(scale.deviation, dtype=torch.float32))
        self.training = network.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (N, ...) to predictions (N, K)."""
        outputs: Tensor = self.network(inputs)
        return outputs * self.deviation + self.mean
