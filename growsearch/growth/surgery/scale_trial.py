"""Trial of rows: a network run with some of its filters scaled, in training and in evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import named_tensors
from search_spaces.own_networks.keyword_inputs import tensors_given
from search_spaces.own_networks.whole_networks import copied
from search_spaces.tracing.network_probe import computes_in_single
from search_spaces.tracing.operator_record import tensors_of

Norm = nn.modules.batchnorm._NormBase

# A norm divides by sqrt(variance + eps). The probe leaves so much of eps that rounding errors of a
# feature that is constant are not blown up, in double precision and in single.
_NO_EPS = {True: 1e-18, False: 1e-8}
# The factors of rows: none is near 1, so that it is seen whether a feature has one.
_LEAST, _MOST = 1.5, 4.5
# Added to the shifts of norms, so that a ReLU behind them is open for almost all that comes.
_OPEN = 2.5
# Relative errors that pass, in double precision and where a network computes in single anywhere.
_DOUBLE, _SINGLE = 1e-6, 1e-3
_FAULTS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingNorm:
    """A norm whose features ``positions`` (n,) scale with the ``rows`` (n,) of a layer.

    ``mean`` and ``variance`` are the names of its running statistics, empty where it keeps none;
    ``eps`` is what it adds to variances.
    """

    positions: Tensor
    rows: Tensor
    eps: float
    mean: str = ""
    variance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleFreeRows:
    """The rows of one layer whose scale does not matter to the network in training.

    Attributes:
        weight: its name; row r is entry r of its ``axis``.
        rows: mask (rows,) of those that were proven.
        bias: the name of the layer's own bias, which scales with the row; empty if it has none.
        norms: whose statistics scale along.
    """

    weight: str
    axis: int
    rows: Tensor
    bias: str = ""
    norms: tuple[FollowingNorm, ...] = ()


class CannotRunError(Exception):
    """The network's own code does not run as it was to be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer with rows; ``rows`` are those of which something is still believed."""

    weight: str
    bias: str
    axis: int
    rows: Tensor


class Trial:
    """A probe of a network, run in training and in evaluation with rows of other scales.

    Args:
        probe: a network in which every channel matters. It is changed.
        inputs: batch first.
    """

    def __init__(self, probe: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._probe, self._inputs = probe.requires_grad_(True).train(), inputs
        norms = {name: m for name, m in probe.named_modules() if isinstance(m, Norm)}
        # Those that the network keeps in evaluation mode, as frozen ones are, do not learn.
        self._learning = [name for name, norm in norms.items() if norm.training]
        probe.eval()
        self._eps = {name: norm.eps for name, norm in norms.items()}
        double = next(probe.parameters()).dtype == torch.float64
        with torch.no_grad():
            double = double and not computes_in_single(probe, inputs)
        for norm in norms.values():
            norm.eps = _NO_EPS[double]
        self._error = _DOUBLE if double else _SINGLE
        self._tensors = named_tensors(probe)

    def opened(self) -> Trial:
        """Return the same with norms that add more to what they put out."""
        other = copied(self)
        for name in other._eps:
            shift = other._tensors.get(f"{name}.bias")
            if shift is not None:
                shift.detach().add_(_OPEN)
        return other

    def derivatives(self, layers: Sequence[Layer]) -> list[tuple[Tensor, Tensor]]:
        """Return which rows of each layer are heard of, and which of them by their scale."""
        outputs, _ = self._training(gradients=True)
        generator = torch.Generator().manual_seed(1)
        drawn = [torch.randn(each.shape, generator=generator).to(each) for each in outputs]
        try:
            torch.autograd.backward(outputs, drawn)
        except RuntimeError as error:
            raise CannotRunError from error
        found = [self._products(layer) for layer in layers]
        self._probe.zero_grad()
        # Of a row behind which all is closed nothing can be said: its derivatives are rounding.
        least = self._error * max((float(size.max()) for _, size in found), default=0.0)
        return [
            (size > least, (size > least) & ~(along <= self._error * size)) for along, size in found
        ]

    @torch.no_grad()
    def _products(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Return |<w, dL/dw> + b dL/db| of every row (rows,), and |w| |dL/dw|."""
        weight, bias = self._tensors[layer.weight], self._tensors.get(layer.bias)
        if weight.grad is None:
            return torch.zeros(len(layer.rows)), torch.zeros(len(layer.rows))
        own, gradient = _rows(weight, layer.axis), _rows(weight.grad, layer.axis)
        along = (own * gradient).sum(dim=1)
        if bias is not None and bias.grad is not None:
            along = along + bias * bias.grad
        return along.abs(), own.norm(dim=1) * gradient.norm(dim=1)

    @torch.no_grad()
    def proven(
        self,
        layers: Sequence[Layer],
        factors: Sequence[Tensor],
        known: tuple[ScaleFreeRows, ...] | None,
    ) -> tuple[ScaleFreeRows, ...] | None:
        """Scale the rows of ``layers``, then statistics; return None if an output changes.

        Args:
            layers: all at once.
            factors: (rows,) of each layer.
            known: what follows them, if another trial has told.
        """
        expected, before = self._training()
        evaluated = self._outputs()
        kept = {name: self._tensors[name].detach().clone() for name in self._scaled(layers)}
        try:
            for layer, factor in zip(layers, factors, strict=True):
                self._scale(layer.weight, factor, layer.axis)
                if layer.bias:
                    self._scale(layer.bias, factor, 0)
            outputs, after = self._training()
            if not self._same(expected, outputs):
                return None
            found = known or self._followed(layers, factors, before, after)
            if found is None:
                return None
            self._scale_statistics(found, factors)
            return found if self._same(evaluated, self._outputs()) else None
        finally:
            for name, tensor in kept.items():
                self._tensors[name].copy_(tensor)

    def _scaled(self, layers: Sequence[Layer]) -> Iterator[str]:
        """Yield the names of all that a proof may scale."""
        for layer in layers:
            yield from (name for name in (layer.weight, layer.bias) if name)
        for path in self._eps:
            names = (f"{path}.running_mean", f"{path}.running_var")
            yield from (name for name in names if name in self._tensors)

    def _scale(self, name: str, factor: Tensor, axis: int) -> None:
        tensor = self._tensors[name]
        tensor.mul_(factor.to(tensor).view([-1 if a == axis else 1 for a in range(tensor.ndim)]))

    def _scale_statistics(self, found: Sequence[ScaleFreeRows], factors: Sequence[Tensor]) -> None:
        for free, factor in zip(found, factors, strict=True):
            for norm in free.norms:
                if norm.mean:
                    mean, variance = self._tensors[norm.mean], self._tensors[norm.variance]
                    along = factor[norm.rows].to(mean)
                    mean[norm.positions] *= along
                    variance[norm.positions] *= along.square()

    def _followed(
        self,
        layers: Sequence[Layer],
        factors: Sequence[Tensor],
        before: Mapping[str, Sequence[Tensor]],
        after: Mapping[str, Sequence[Tensor]],
    ) -> tuple[ScaleFreeRows, ...] | None:
        """Tell by its factor which row every feature of a norm follows.

        None where one follows no row as a whole.
        """
        # Sorted, so that the nearest of ten thousands is found at once.
        every, order = torch.cat([factor.log() for factor in factors]).sort()
        owner = torch.cat([torch.full((len(f),), i) for i, f in enumerate(factors)])[order]
        place = torch.cat([torch.arange(len(f)) for f in factors])[order]
        steps = every.diff()
        apart = float(steps[steps > 0].min()) if bool((steps > 0).any()) else 1.0
        follows: list[dict[str, tuple[Tensor, Tensor]]] = [{} for _ in layers]
        for path, calls in after.items():
            logs = _agreed(before[path], calls)
            if logs is None:
                return None
            moved = (logs > math.log(_LEAST) / 2).nonzero().flatten()
            which = torch.searchsorted(every, logs[moved] - apart / 2).clamp(max=len(every) - 1)
            if bool(((every[which] - logs[moved]).abs() > apart / 4).any()):
                return None
            for i in sorted(set(owner[which].tolist())):
                own = owner[which] == i
                follows[i][path] = (moved[own], place[which[own]])
        return tuple(
            self._free(layer, followed) for layer, followed in zip(layers, follows, strict=True)
        )

    def _free(self, layer: Layer, followed: Mapping[str, tuple[Tensor, Tensor]]) -> ScaleFreeRows:
        """Return the rows that a norm follows; of others the scale is taken out elsewhere."""
        seen = torch.zeros_like(layer.rows)
        norms = []
        for path, (positions, rows) in followed.items():
            seen[rows] = True
            mean, variance = f"{path}.running_mean", f"{path}.running_var"
            tracked = mean in self._tensors
            norms.append(
                FollowingNorm(
                    positions=positions,
                    rows=rows,
                    eps=self._eps[path],
                    mean=mean if tracked else "",
                    variance=variance if tracked else "",
                )
            )
        return ScaleFreeRows(
            weight=layer.weight,
            bias=layer.bias,
            axis=layer.axis,
            rows=layer.rows & seen,
            norms=tuple(norms),
        )

    def _training(self, *, gradients: bool = False) -> tuple[list[Tensor], dict[str, list[Tensor]]]:
        """Run with norms in training; return outputs, and deviations at every call of a norm."""
        learning = [self._probe.get_submodule(name) for name in self._learning]
        kept = [(norm, dict(norm._buffers)) for norm in learning]
        for norm, buffers in kept:
            norm.train()
            # What the pass makes of them is of no use, and they are not to be written on.
            norm._buffers.update({k: None if b is None else b.clone() for k, b in buffers.items()})
        try:
            with _deviations(self._probe) as seen, torch.set_grad_enabled(gradients):
                return self._outputs(), seen
        finally:
            self._probe.eval()
            for norm, buffers in kept:
                norm._buffers.update(buffers)

    def _outputs(self) -> list[Tensor]:
        try:
            found = tensors_of(self._probe(*self._inputs))
        except _FAULTS as error:
            raise CannotRunError from error
        return [each for each in found if each.is_floating_point()]

    def _same(self, expected: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
        return all(
            bool((one - other).abs().max() <= self._error * one.abs().max())
            for one, other in zip(expected, outputs, strict=True)
        )


def _rows(tensor: Tensor, axis: int) -> Tensor:
    return tensor.transpose(0, axis).flatten(1)


@contextmanager
def _deviations(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Note the deviation of every feature (features,) whenever a norm is called."""
    seen: dict[str, list[Tensor]] = {}

    def noting(path: str) -> Any:
        def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = tensors_given(args, kwargs)[0].detach()
            axes = [axis for axis in range(x.ndim) if axis != 1]
            seen.setdefault(path, []).append(x.double().std(dim=axes, correction=0))

        return note

    with ExitStack() as stack:
        for path, layer in module.named_modules():
            if isinstance(layer, Norm):
                handle = layer.register_forward_pre_hook(noting(path), with_kwargs=True)
                stack.callback(handle.remove)
        yield seen


def _agreed(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor | None:
    """Return by how much each feature was scaled (features,), in logarithms.

    None if a norm that is called several times does not see the same each time.
    """
    logs = [
        torch.where((one > 0) & (other > 0), other / one, torch.ones_like(one)).log()
        for one, other in zip(before, after, strict=True)
    ]
    same = all(bool(((each - logs[0]).abs() <= _SINGLE).all()) for each in logs)
    return logs[0] if same else None


def row_factors(layers: Sequence[Layer], generator: torch.Generator) -> list[Tensor]:
    """Return factors (rows,) of each layer: no two alike, and 1 where nothing is believed."""
    total = sum(int(layer.rows.sum()) for layer in layers)
    logs = torch.linspace(math.log(_LEAST), math.log(_MOST), max(total, 1), dtype=torch.float64)
    drawn, found = logs[torch.randperm(len(logs), generator=generator)].exp(), []
    for layer in layers:
        factor = torch.ones(len(layer.rows), dtype=torch.float64)
        count = int(layer.rows.sum())
        factor[layer.rows], drawn = drawn[:count], drawn[count:]
        found.append(factor)
    return found
