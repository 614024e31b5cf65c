"""Building blocks that families share: convolution-BatchNorm pairs and residual blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """A bias-free convolution with "same" padding, then BatchNorm. (N, C, H, W) in and out.

    A 1 x 1 convolution with a stride reads every stride-th place and has a stride of 1, which is
    the same function: see `every`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
    ):
        super().__init__()
        self.step = stride if kernel == 1 else 1
        self.conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride=stride // self.step,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolution, then BatchNorm."""
        out: Tensor = self.norm(self.conv(every(x, self.step)))
        return out


def every(x: Tensor, step: int) -> Tensor:
    """Return every ``step``-th row and column of images (N, C, H, W).

    In front of a 1 x 1 convolution this is its stride. oneDNN's own strided one writes past its
    workspace in the backward pass where channels lie innermost and are fewer than a vector
    (https://github.com/uxlfoundation/oneDNN/issues/6035): a crash, or wrong gradients.
    """
    return x if step == 1 else x[:, :, ::step, ::step]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 5 left).

    The shortcut is a 1 x 1 convolution with BatchNorm (option B) where the resolution changes or
    the stream does, else the identity.
    """

    def __init__(
        self, channels_in: int, channels_mid: int, channels_out: int, *, stride: int, project: bool
    ):
        super().__init__()
        self.first = ConvNorm(channels_in, channels_mid, kernel=3, stride=stride)
        self.second = ConvNorm(channels_mid, channels_out, kernel=3)
        self.shortcut: nn.Module = (
            ConvNorm(channels_in, channels_out, kernel=1, stride=stride)
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(second(relu(first(x))) + shortcut(x))."""
        inner = self.second(F.relu(self.first(x)))
        return F.relu(inner + self.shortcut(x))


def initialise(module: nn.Module) -> None:
    """He initialisation (He et al. 2015, eq. 10; fan-out for convolutions), BatchNorm at one."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.reset_parameters()
