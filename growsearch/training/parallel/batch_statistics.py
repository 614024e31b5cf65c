"""Batch normalisation over all workers: mean and variance are of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class WholeBatchStatistics(TorchFunctionMode):
    """Inside, every batch normalisation in training sees the batch of all workers.

    Any layer that calls `torch.nn.functional.batch_norm` is meant, so that modules stay what they
    are and surgery finds them (torch's SyncBatchNorm is another module, and not for CPUs).
    Gradients go through the statistics to the examples of all workers, as on one.
    """

    def __init__(self, group: dist.ProcessGroup, rank: int, size: int) -> None:
        super().__init__()
        self._place = (group, rank, size)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace `batch_norm` in training; let all else be."""
        if func is F.batch_norm:
            found = _Arguments(*args, **(kwargs or {}))
            if found.training:
                return _normalised(found, self._place)
        return func(*args, **(kwargs or {}))


class _Arguments:
    """The arguments of `torch.nn.functional.batch_norm`, by name."""

    def __init__(
        self,
        input: Tensor,  # noqa: A002
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        self.input, self.weight, self.bias = input, weight, bias
        self.running_mean, self.running_var = running_mean, running_var
        self.training, self.momentum, self.eps = training, momentum, eps


class _Sum(torch.autograd.Function):
    """The sum over all workers; so is its gradient, for every worker's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        total = value.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


def _normalised(found: _Arguments, place: tuple[dist.ProcessGroup, int, int]) -> Tensor:
    """Return the input (N, C, ...), normalised by the moments of all workers' examples."""
    x = found.input.float()
    mean, variance, count = _moments(x, place)
    if found.running_mean is not None and found.running_var is not None:
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            found.running_mean.lerp_(mean.to(found.running_mean.dtype), found.momentum)
            found.running_var.lerp_(unbiased.to(found.running_var.dtype), found.momentum)
    scale = torch.rsqrt(variance + found.eps)
    if found.weight is not None:
        scale = scale * found.weight
    shift = -mean * scale
    if found.bias is not None:
        shift = shift + found.bias
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return (x * scale.view(shape) + shift.view(shape)).to(found.input.dtype)


def _moments(x: Tensor, place: tuple[dist.ProcessGroup, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,), biased variance (C,) and count () over all workers.

    Each worker puts its own moments into its row of a table, which one sum completes; moments are
    then put together without the cancellation of mean squares (Chan et al. 1979).
    """
    group, rank, size = place
    axes = [axis for axis in range(x.ndim) if axis != 1]
    own_variance, own_mean = torch.var_mean(x, dim=axes, correction=0)
    count = x.new_full((1,), x.numel() / x.shape[1])
    row = torch.cat([count, own_mean, own_variance])
    table = torch.cat([row if r == rank else torch.zeros_like(row) for r in range(size)])
    total: Tensor = _Sum.apply(table, group)  # type: ignore[no-untyped-call]
    counts, means, variances = torch.split(total.view(size, -1), [1, x.shape[1], x.shape[1]], dim=1)
    shares = counts / counts.sum()
    mean = (shares * means).sum(dim=0)
    variance = (shares * (variances + (means - mean) ** 2)).sum(dim=0)
    return mean, variance, counts.sum().detach()
