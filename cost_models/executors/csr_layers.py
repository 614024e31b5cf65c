"""CSR layers: linear layers and convolutions that touch their non-zero weights only.

All multiply a CSR matrix by columns, `weight @ columns`. The other order, which
`F.linear` takes for a CSR weight, is several times slower. Indices are 32-bit: MKL takes them as
they are, 64-bit ones are converted at every call.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Columns multiplied at once. A product walks a block's columns once a non-zero, so the block must
# stay in the cache: 64 columns of a large im2col matrix, more of the smaller input of one tap.
BLOCK = 64
TAP_BLOCK = 512


def csr_matrix(weight: Tensor) -> Tensor:
    """Give a matrix (rows, columns) in CSR form with 32-bit indices."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|invariant)", category=UserWarning)
        csr = weight.detach().to_sparse_csr()
        return torch.sparse_csr_tensor(
            csr.crow_indices().int(), csr.col_indices().int(), csr.values(), csr.shape
        )


class CsrLinear(nn.Module):
    """`nn.Linear` over the non-zeros of its weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight = csr_matrix(layer.weight)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        rows = x.reshape(-1, self.in_features)
        if rows.shape[0] == 1:
            y = (self.weight @ rows[0])[None]
        elif rows.shape[0] <= 2 * BLOCK:
            y = (self.weight @ rows.T).T
        else:
            y = torch.cat([(self.weight @ block.T).T for block in torch.split(rows, BLOCK)])
        if self.bias is not None:
            y += self.bias
        return y.reshape(*x.shape[:-1], self.out_features)


class CsrConv2d(nn.Module):
    """What the two kinds of sparse convolution share: sizes, zero padding and bias."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels = layer.out_channels
        self.kernel, self.stride, self.dilation = layer.kernel_size, layer.stride, layer.dilation
        self.padding: Any = (0, 0) if layer.padding == "valid" else layer.padding
        self.bias = None if layer.bias is None else layer.bias.detach()[:, None, None]

    def output_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Give the (height, width) of the output for those of the input."""
        height, width = (
            (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for length, pad, dilation, kernel, stride in zip(
                size, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return height, width

    def _finished(self, y: Tensor) -> Tensor:
        """Turn (out, n, height, width) into contiguous (n, out, height, width), plus bias."""
        y = y.transpose(0, 1).contiguous()
        return y if self.bias is None else y.add_(self.bias)


class CsrPointwiseConv2d(CsrConv2d):
    """A 1 x 1 convolution without padding: a product for each image, which is its own columns."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.weight = csr_matrix(layer.weight.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, height, width) to (n, out, height, width)."""
        x = x[:, :, :: self.stride[0], :: self.stride[1]]
        columns = x.flatten(2)
        y = x.new_empty(x.shape[0], self.out_channels, columns.shape[2])
        for image, out in zip(columns, y, strict=True):
            for start, stop in column_blocks(image.shape[1], TAP_BLOCK):
                out[:, start:stop] = self.weight @ image[:, start:stop]
        y = y.view(*y.shape[:2], *x.shape[2:])
        return y if self.bias is None else y.add_(self.bias)


class CsrIm2colConv2d(CsrConv2d):
    """A convolution as one product: (out, in kh kw) non-zeros by unfolded patches."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.weight = csr_matrix(layer.weight.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, height, width) to (n, out, height, width)."""
        height, width = self.output_size(x.shape[2:])
        patches = self._patches(x, height, width)
        width_of_block = BLOCK if patches.shape[1] > 2 * BLOCK else max(1, patches.shape[1])
        blocks = torch.split(patches, width_of_block, dim=1)
        y = torch.cat([self.weight @ block for block in blocks], dim=1)
        return self._finished(y.view(self.out_channels, x.shape[0], height, width))

    def _patches(self, x: Tensor, height: int, width: int) -> Tensor:
        """Copy each output position's inputs into a column: (in kh kw, n height width)."""
        down, across = self.padding
        x = _padded(x, (across, across, down, down)).contiguous()
        (n, channels, _, __), (each, plane, row, step) = x.shape, x.stride()
        taps = (row * self.dilation[0], step * self.dilation[1])
        steps = (row * self.stride[0], step * self.stride[1])
        windows = x.as_strided(
            (channels, *self.kernel, n, height, width), (plane, *taps, each, *steps)
        )
        return windows.reshape(-1, n * height * width)


class CsrTapsConv2d(CsrConv2d):
    """A convolution as a sum over the kernel's taps, which copies no patches.

    In the padded input, laid out (in, n height width), a tap is a shift by so many columns. Each
    tap's (out, in) non-zeros meet the shifted columns; those at the rim of an image are computed
    and dropped. A stride splits the input into one image for each phase first.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        weight = layer.weight.detach()
        self.taps = [
            (down * self.dilation[0], across * self.dilation[1], csr_matrix(tap))
            for down in range(self.kernel[0])
            for across in range(self.kernel[1])
            if bool((tap := weight[:, :, down, across]).any())
        ]
        self.phases = {
            (down % self.stride[0], across % self.stride[1]) for down, across, _ in self.taps
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in, height, width) to (n, out, height, width)."""
        height, width = self.output_size(x.shape[2:])
        phases, rows, columns = self._phases(x)
        y = x.new_empty(self.out_channels, x.shape[0] * rows * columns)
        shifted = [
            (phases[down % self.stride[0], across % self.stride[1]], shift, tap)
            for down, across, tap in self.taps
            for shift in [down // self.stride[0] * columns + across // self.stride[1]]
        ]
        # Columns past `last` belong to no output position.
        last = y.shape[1] - max((shift for _, shift, _ in shifted), default=0)
        for start, stop in column_blocks(last, TAP_BLOCK):
            y[:, start:stop] = self._sum_of_taps(shifted, start, stop, y)
        y = y.view(self.out_channels, x.shape[0], rows, columns)
        return self._finished(y[:, :, :height, :width])

    def _sum_of_taps(
        self, shifted: list[tuple[Tensor, int, Tensor]], start: int, stop: int, y: Tensor
    ) -> Tensor:
        total = None
        for phase, shift, tap in shifted:
            columns = phase[:, start + shift : stop + shift]
            if total is None:
                total = tap @ columns
            else:
                torch.addmm(total, tap, columns, out=total)
        return y.new_zeros(()) if total is None else total

    def _phases(self, x: Tensor) -> tuple[dict[tuple[int, int], Tensor], int, int]:
        """Lay out the input as (in, n rows columns), one matrix for each phase of the stride."""
        (down, across), (stride_down, stride_across) = self.padding, self.stride
        rows = -(-(x.shape[2] + 2 * down) // stride_down)
        columns = -(-(x.shape[3] + 2 * across) // stride_across)
        right = columns * stride_across - x.shape[3] - across
        below = rows * stride_down - x.shape[2] - down
        x = _padded(x, (across, right, down, below)).transpose(0, 1)
        phases = {
            (a, b): x[:, :, a::stride_down, b::stride_across].reshape(x.shape[0], -1)
            for a, b in self.phases
        }
        return phases, rows, columns


def column_blocks(total: int, width: int) -> Iterator[tuple[int, int]]:
    """Give (start, stop) of consecutive blocks, the last of which may be narrower."""
    for start in range(0, total, width):
        yield start, min(total, start + width)


def _padded(x: Tensor, amounts: tuple[int, int, int, int]) -> Tensor:
    # Padding by nothing copies all the same; negative amounts cut off what no window reaches.
    return F.pad(x, amounts) if any(amounts) else x
