"""Gated statistics: norms over channels hear of a channel as far as its gate is open.

LayerNorm, RMSNorm and a GroupNorm of one group take means over the channels of a stream. A factor
of 0 on what comes out of a channel, or on what reads it, would leave it in these means. With
mean = sum(g x) / sum(g) and var = sum(g (x - mean)^2) / sum(g), a channel at 0 is as good as
removed, and the full network is what gates of 1 make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from growsearch.growth.gates.gate import AxisFactor, Gate
from search_spaces import ChannelGroup, Member


class StatisticsGate:
    """Weights the statistics of one norm by the gates of its channels, whenever it runs.

    The norm's own code runs; what it asks torch for (`torch.nn.functional.layer_norm`, a mean or a
    variance over the channels) is answered with weighted statistics. ``caught`` counts the answers.
    """

    def __init__(self, norm: nn.Module, axis: int, weights: AxisFactor) -> None:
        self.caught = 0
        self._axis, self._weights = axis, weights
        self._heard: Mapping[str, Tensor] = {}
        self._modes: list[TorchFunctionMode] = []
        self._handles = (
            norm.register_forward_pre_hook(self.enter),
            norm.register_forward_hook(self.leave, always_call=True),
        )

    def enter(self, norm: nn.Module, inputs: Any) -> None:  # noqa: ARG002
        """Let the statistics of what follows be weighted."""
        mode = _Weighted(self._weights(self._heard), self._axis, self)
        mode.__enter__()  # type: ignore[no-untyped-call]
        self._modes.append(mode)

    def leave(self, norm: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002
        """Let torch answer again."""
        if self._modes:
            self._modes.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def hear_only(self, live: Mapping[str, Tensor]) -> None:
        """Leave out of the statistics all but the ``live`` channels, masks by the names of groups.

        Their gates stay as they are: what reads a channel may be asked before it is heard.
        """
        self._heard = live

    def remove(self) -> None:
        """Take the gate off the norm, whose channels then all weigh the same."""
        for handle in self._handles:
            handle.remove()


def statistics_gates(module: nn.Module) -> Iterator[StatisticsGate]:
    """Yield what weights the statistics of norms of ``module``."""
    for layer in module.modules():
        for hook in list(layer._forward_pre_hooks.values()):
            owner = getattr(hook, "__self__", None)
            if isinstance(owner, StatisticsGate):
                yield owner


def gate_statistics(
    module: nn.Module, groups: Sequence[ChannelGroup], gates: Mapping[str, Gate]
) -> None:
    """Put a `StatisticsGate` on every norm over the channels of ``groups``."""
    owners: dict[str, list[tuple[ChannelGroup, Member]]] = {}
    for group in groups:
        for path in group.normalised:
            owners.setdefault(path, []).append((group, _member(group, path)))
    for path, of in owners.items():
        StatisticsGate(module.get_submodule(path), of[0][1].axis, AxisFactor(of, gates))


def _member(group: ChannelGroup, path: str) -> Member:
    """Return how the group's channels lie in the norm: as in its weight; plainly if it has none."""
    prefix = f"{path}." if path else ""
    for member in group.members:
        if member.tensor.startswith(prefix) and "." not in member.tensor.removeprefix(prefix):
            return member
    return Member(tensor="", axis=0)


class _Weighted(TorchFunctionMode):
    """Answers what a norm asks of its input with statistics weighted along one axis."""

    def __init__(self, weights: Tensor, axis: int, owner: StatisticsGate) -> None:
        super().__init__()
        self._weights, self._axis, self._owner = weights, axis, owner

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = _ANSWERS.get(func)
        found = None if answer is None else answer(self, *args, **(kwargs or {}))
        if found is None:
            return func(*args, **(kwargs or {}))
        self._owner.caught += 1
        return found

    def spread(self, x: Tensor, axis: int) -> Tensor:
        """Return the weights in the shape in which they broadcast over ``x``."""
        return self._weights.to(x.dtype).view([-1 if a == axis else 1 for a in range(x.ndim)])

    def axis_of(self, x: Tensor, dims: tuple[int, ...]) -> int | None:
        """Return which of the axes ``dims`` has the channels, None if none or several could."""
        found = [dim for dim in dims if x.shape[dim] == len(self._weights)]
        return found[0] if len(found) == 1 else None

    def layer_norm(
        self,
        x: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor | None:
        dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        axis = dims[self._axis]
        if x.shape[axis] != len(self._weights):
            return None
        return _normalised(_wide(x), self.spread(_wide(x), axis), dims, eps, x, weight, bias)

    def rms_norm(
        self,
        x: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        eps: float | None = None,
    ) -> Tensor | None:
        dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
        axis = dims[self._axis]
        if x.shape[axis] != len(self._weights):
            return None
        values = _wide(x)
        square = _mean(values.square(), self.spread(values, axis), dims)
        least = torch.finfo(x.dtype).eps if eps is None else eps
        out = values * torch.rsqrt(square + least)
        return _narrow(out if weight is None else out * weight, x)

    def group_norm(
        self,
        x: Tensor,
        num_groups: int,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor | None:
        if num_groups != 1 or x.shape[1] != len(self._weights):
            return None
        values, trailing = _wide(x), [1] * (x.ndim - 2)
        scale = None if weight is None else weight.view(-1, *trailing)
        shift = None if bias is None else bias.view(-1, *trailing)
        dims = tuple(range(1, x.ndim))
        return _normalised(values, self.spread(values, 1), dims, eps, x, scale, shift)

    def mean(self, x: Tensor, dim: Any = None, keepdim: bool = False, **rest: Any) -> Tensor | None:
        found = self._along(x, dim)
        if found is None or rest.get("out") is not None:
            return None
        dims, axis = found
        out = _mean(x, self.spread(x, axis), dims)
        out = out if keepdim else out.squeeze(dims)
        return out if rest.get("dtype") is None else out.to(rest["dtype"])

    def var(self, x: Tensor, dim: Any = None, *flags: Any, **rest: Any) -> Tensor | None:
        found = self._moments(x, dim, *flags, **rest)
        return None if found is None else found[0]

    def std(self, x: Tensor, dim: Any = None, *flags: Any, **rest: Any) -> Tensor | None:
        found = self._moments(x, dim, *flags, **rest)
        return None if found is None else found[0].sqrt()

    def var_mean(
        self, x: Tensor, dim: Any = None, *flags: Any, **rest: Any
    ) -> tuple[Tensor, Tensor] | None:
        return self._moments(x, dim, *flags, **rest)

    def _moments(
        self,
        x: Tensor,
        dim: Any,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor] | None:
        if isinstance(dim, bool) or (found := self._along(x, dim)) is None:
            return None
        dims, axis = found
        weights = self.spread(x, axis)
        mean = _mean(x, weights, dims)
        lost = float(unbiased) if correction is None else float(correction)
        total = _total(x, weights, dims)
        var = (weights * (x - mean).square()).sum(dims, keepdim=True) / (total - lost)
        return (var, mean) if keepdim else (var.squeeze(dims), mean.squeeze(dims))

    def _along(self, x: Any, dim: Any) -> tuple[tuple[int, ...], int] | None:
        if not isinstance(x, Tensor) or dim is None:
            return None
        dims = tuple(d % x.ndim for d in ((dim,) if isinstance(dim, int) else dim))
        axis = self.axis_of(x, dims)
        return None if axis is None else (dims, axis)


_ANSWERS: dict[Any, Callable[..., Any]] = {
    F.layer_norm: _Weighted.layer_norm,
    torch.layer_norm: _Weighted.layer_norm,
    F.rms_norm: _Weighted.rms_norm,
    torch.rms_norm: _Weighted.rms_norm,
    F.group_norm: _Weighted.group_norm,
    torch.mean: _Weighted.mean,
    Tensor.mean: _Weighted.mean,
    torch.var: _Weighted.var,
    Tensor.var: _Weighted.var,
    torch.std: _Weighted.std,
    Tensor.std: _Weighted.std,
    torch.var_mean: _Weighted.var_mean,
}


def _total(x: Tensor, weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    positions = 1
    for dim in dims:
        positions *= 1 if weights.shape[dim] > 1 else x.shape[dim]
    return weights.sum() * positions


def _mean(x: Tensor, weights: Tensor, dims: tuple[int, ...]) -> Tensor:
    return (weights * x).sum(dims, keepdim=True) / _total(x, weights, dims)


def _normalised(
    values: Tensor,
    weights: Tensor,
    dims: tuple[int, ...],
    eps: float,
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
) -> Tensor:
    centred = values - _mean(values, weights, dims)
    out = centred * torch.rsqrt(_mean(centred.square(), weights, dims) + eps)
    out = out if scale is None else out * scale
    return _narrow(out if shift is None else out + shift, x)


def _wide(x: Tensor) -> Tensor:
    """Return half-precision values in single precision: sums over channels need it."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _narrow(out: Tensor, x: Tensor) -> Tensor:
    """Return ``out`` in the precision of torch's norms: that of ``x``, but single under autocast.

    Autocast of a processor leaves norms in half precision.
    """
    kind = x.device.type
    return out if kind != "cpu" and torch.is_autocast_enabled(kind) else out.to(x.dtype)
