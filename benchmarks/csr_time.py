"""How long will a layer take over its non-zeros, before it is built?

    t = a nonzeros columns + b nonzeros blocks + c moved + d calls

The non-zeros meet every column (a) and are read again for each block of columns (b); inputs,
patches and outputs are moved (c); every product is a call (d). The four are fitted per kernel, all
at least 0, to the least relative error on layers that were timed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from cost_models.errors import CostModelError
from cost_models.executors.csr_layers import (
    BLOCK,
    TAP_BLOCK,
    CsrConv2d,
    CsrIm2colConv2d,
    CsrLinear,
    CsrPointwiseConv2d,
    CsrTapsConv2d,
)
from cost_models.profiling.nonnegative_least_squares import nonnegative_least_squares

# One column is a product with a vector, another kernel of the library's with another speed.
VECTOR = "csr-vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrWork:
    """What a sparse layer does on one input.

    `columns` are met by every non-zero, in `blocks`; `moved` counts the elements that are copied
    or written, and `calls` the products.
    """

    kernel: str
    nonzeros: int
    columns: int
    blocks: int
    moved: int
    calls: int

    @property
    def features(self) -> tuple[float, float, float, float]:
        """The four terms of the equation, without their coefficients."""
        return (
            float(self.nonzeros * self.columns),
            float(self.nonzeros * self.blocks),
            float(self.moved),
            float(self.calls),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWork:
    """A layer's work and the seconds that it took."""

    work: CsrWork
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrTimeModel:
    """Fitted coefficients (a, b, c, d) in seconds, by kernel."""

    coefficients: Mapping[str, tuple[float, ...]]

    def seconds(self, work: CsrWork) -> float:
        """Predict a layer's time; raises `CostModelError` for a kernel that was not fitted."""
        if work.kernel not in self.coefficients:
            raise CostModelError(
                f"kernel {work.kernel!r} was not fitted; there are: "
                f"{', '.join(sorted(self.coefficients)) or 'none'}"
            )
        pairs = zip(self.coefficients[work.kernel], work.features, strict=True)
        return sum(coefficient * feature for coefficient, feature in pairs)

    def mape(self, timed: Iterable[TimedWork]) -> float:
        """Mean absolute error of layers that were timed, relative to their times."""
        errors = [abs(self.seconds(each.work) / each.seconds - 1) for each in timed]
        if not errors:
            raise CostModelError("no timed layers: an error needs at least one")
        return sum(errors) / len(errors)


def fit_csr_time(timed: Sequence[TimedWork]) -> CsrTimeModel:
    """Fit each kernel that occurs; raises `CostModelError` with fewer than 4 layers of one."""
    kernels = sorted({each.work.kernel for each in timed})
    return CsrTimeModel(
        coefficients={
            kernel: _fit([each for each in timed if each.work.kernel == kernel])
            for kernel in kernels
        }
    )


def _fit(timed: Sequence[TimedWork]) -> tuple[float, ...]:
    if len(timed) < 4:
        raise CostModelError(
            f"kernel {timed[0].work.kernel!r}: {len(timed)} timed layers, four coefficients need 4"
        )
    work = np.array([each.work.features for each in timed])
    seconds = np.array([each.seconds for each in timed])
    return tuple(nonnegative_least_squares(work, seconds).tolist())


def csr_work(layer: nn.Module, input_shape: tuple[int, ...]) -> CsrWork:
    """Give the work of a CSR layer on an input of that shape, batch first.

    Raises `CostModelError` for another kind of layer.
    """
    if isinstance(layer, CsrLinear):
        return _linear_work(layer, math.prod(input_shape[:-1]))
    if isinstance(layer, CsrPointwiseConv2d):
        return _pointwise_work(layer, input_shape)
    if isinstance(layer, CsrIm2colConv2d):
        return _im2col_work(layer, input_shape)
    if isinstance(layer, CsrTapsConv2d):
        return _taps_work(layer, input_shape)
    raise CostModelError(f"{type(layer).__name__} is no CSR layer")


def _linear_work(layer: CsrLinear, columns: int) -> CsrWork:
    blocks = -(-columns // BLOCK) if columns > 2 * BLOCK else 1
    return CsrWork(
        kernel=VECTOR if columns == 1 else "csr",
        nonzeros=layer.weight.values().numel(),
        columns=columns,
        blocks=blocks,
        moved=columns * (layer.in_features + layer.out_features),
        calls=blocks,
    )


def _pointwise_work(layer: CsrPointwiseConv2d, shape: tuple[int, ...]) -> CsrWork:
    positions = math.prod(layer.output_size(shape[2:]))
    blocks = shape[0] * -(-positions // TAP_BLOCK)
    return CsrWork(
        kernel="csr-pointwise",
        nonzeros=layer.weight.values().numel(),
        columns=shape[0] * positions,
        blocks=blocks,
        moved=shape[0] * positions * (layer.weight.shape[1] + 2 * layer.out_channels),
        calls=blocks,
    )


def _im2col_work(layer: CsrIm2colConv2d, shape: tuple[int, ...]) -> CsrWork:
    columns = shape[0] * math.prod(layer.output_size(shape[2:]))
    blocks = -(-columns // BLOCK) if columns > 2 * BLOCK else 1
    return CsrWork(
        kernel="csr-im2col",
        nonzeros=layer.weight.values().numel(),
        columns=columns,
        blocks=blocks,
        moved=math.prod(shape) + columns * (layer.weight.shape[1] + 2 * layer.out_channels),
        calls=blocks,
    )


def _taps_work(layer: CsrTapsConv2d, shape: tuple[int, ...]) -> CsrWork:
    columns = shape[0] * math.prod(_phase_size(layer, shape[2:]))
    blocks = -(-columns // TAP_BLOCK)
    taps = len(layer.taps)
    return CsrWork(
        kernel="csr-taps",
        nonzeros=sum(tap.values().numel() for _, __, tap in layer.taps),
        columns=columns,
        blocks=blocks,
        # Every tap reads and writes the running sum of the outputs.
        moved=math.prod(shape)
        + columns * (shape[1] * len(layer.phases) + (taps + 2) * layer.out_channels),
        calls=taps * blocks,
    )


def _phase_size(layer: CsrConv2d, size: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = (
        -(-(length + 2 * pad) // stride)
        for length, pad, stride in zip(size, layer.padding, layer.stride, strict=True)
    )
    return rows, columns
