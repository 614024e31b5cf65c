"""MobileViT-S (Mehta & Rastegari 2022, figure 1b) with one width a channel group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.attention import TransformerBlock, declare_transformer_block
from search_spaces.blocks import ConvNorm
from search_spaces.channel_groups import ChannelGroup
from search_spaces.errors import SearchSpaceError
from search_spaces.families.mobilenet_v2 import InvertedResidual, declare_inverted_residual
from search_spaces.fresh_weights import initialise_network
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

# (channels, inverted residuals, transformer width, transformer layers) of each stage.
_STAGES = ((32, 1, 0, 0), (64, 3, 0, 0), (96, 1, 144, 2), (128, 1, 192, 4), (160, 1, 240, 3))
_STEM, _HEAD, _HEADS, _EXPANSION, _PATCH = 16, 640, 4, 4, 2
# Of the stem, then of the first block of each stage.
IMAGENET_STRIDES = (2, 1, 2, 2, 2, 2)
CIFAR_STRIDES = (1, 1, 1, 2, 2, 2)


class MobileViTBlock(nn.Module):
    """Local convolutions, transformers over the places of 2 x 2 patches, and a fusion.

    The published fusion is one 3 x 3 convolution of the concatenated input and result. Here it is
    the sum of two, which is the same function with the same weights, and leaves every channel axis
    whole.
    """

    def __init__(self, channels: int, widths: Mapping[str, int], name: str, head_size: int) -> None:
        super().__init__()
        local, tokens = widths[f"{name}.local"], widths[f"{name}.tokens"]
        folded, fused = widths[f"{name}.folded"], widths[f"{name}.fused"]
        self.local = ConvNorm(channels, local, kernel=3)
        self.embed = nn.Conv2d(local, tokens, 1, bias=False)
        self.layers = nn.ModuleList(
            TransformerBlock(
                tokens,
                hidden,
                heads=_HEADS,
                head_size=head_size,
                causal=False,
                activation=nn.SiLU(),
            )
            for key, hidden in widths.items()
            if key.startswith(f"{name}.layer")
        )
        self.norm = nn.LayerNorm(tokens)
        self.fold = ConvNorm(tokens, folded, kernel=1)
        self.fuse_input = nn.Conv2d(channels, fused, 3, padding=1, bias=False)
        self.fuse_folded = nn.Conv2d(folded, fused, 3, padding=1, bias=False)
        self.fuse_norm = nn.BatchNorm2d(fused)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, fused, H, W); H and W are even."""
        inner = self.embed(F.silu(self.local(x)))
        tokens = _to_sequences(inner)
        for layer in self.layers:
            tokens = layer(tokens)
        folded = F.silu(self.fold(_to_images(self.norm(tokens), inner.shape)))
        return F.silu(self.fuse_norm(self.fuse_input(x) + self.fuse_folded(folded)))


def _to_sequences(x: Tensor) -> Tensor:
    """Return the pixels at each of a patch's 4 places as sequences: (4 N, H W / 4, C)."""
    n, channels, height, width = x.shape
    rows, columns = height // _PATCH, width // _PATCH
    patches = x.view(n, channels, rows, _PATCH, columns, _PATCH).permute(0, 3, 5, 2, 4, 1)
    return patches.reshape(n * _PATCH**2, rows * columns, channels)


def _to_images(tokens: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo `_to_sequences`."""
    n, channels, height, width = shape
    rows, columns = height // _PATCH, width // _PATCH
    patches = tokens.view(n, _PATCH, _PATCH, rows, columns, channels).permute(0, 5, 3, 1, 4, 2)
    return patches.reshape(n, channels, height, width)


class MobileViT(nn.Module):
    """A 3 x 3 stem, inverted residuals, MobileViT blocks, a 1 x 1 head and a classifier.

    Args:
        widths: channels by group: "stem", "head", "stage{s}" for what the inverted residuals of a
            stage put out, "stage{s}.block{b}" for their insides, and in stages 2 to 4 the block's
            ".local", ".tokens", ".layer{l}" (hidden layers), ".folded" and ".fused".
        strides: of the stem, then of the first block of each stage.
        input_shape: (channels, height, width) of one example.
        num_classes: outputs of the classifier.

    Raises:
        SearchSpaceError: if a transformer's feature maps would not be whole 2 x 2 patches.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        strides: tuple[int, ...],
        input_shape: tuple[int, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        _check_patches(input_shape, strides)
        channels = widths["stem"]
        self.stem = ConvNorm(input_shape[0], channels, kernel=3, stride=strides[0])
        self.residuals, self.transformers = nn.ModuleList(), nn.ModuleDict()
        for s, (_, repeats, full_tokens, _) in enumerate(_STAGES):
            stage, out = nn.ModuleList(), widths[f"stage{s}"]
            for b in range(repeats):
                stage.append(
                    InvertedResidual(
                        channels,
                        widths[f"stage{s}.block{b}"],
                        out,
                        stride=strides[s + 1] if b == 0 else 1,
                        residual=b > 0,
                        activation=F.silu,
                    )
                )
                channels = out
            self.residuals.append(stage)
            if full_tokens:
                name = f"stage{s}"
                self.transformers[name] = MobileViTBlock(
                    channels, widths, name, full_tokens // _HEADS
                )
                channels = widths[f"{name}.fused"]
        self.head = ConvNorm(channels, widths["head"], kernel=1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(widths["head"], num_classes)
        initialise_network(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = F.silu(self.stem(x))
        for s, stage in enumerate(self.residuals):
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
            if f"stage{s}" in self.transformers:
                x = self.transformers[f"stage{s}"](x)
        x = F.silu(self.head(x)).mean(dim=(2, 3))
        logits: Tensor = self.classifier(self.dropout(x))
        return logits

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return every group of the convolutions and of the tokens; attention heads are fixed."""
        builder = GroupBuilder(self)
        stream = "stem"
        builder.produced_by(stream, self.stem.conv, self.stem.norm)
        for s, stage in enumerate(self.residuals):
            assert isinstance(stage, nn.ModuleList)
            name = f"stage{s}"
            for b, block in enumerate(stage):
                assert isinstance(block, InvertedResidual)
                declare_inverted_residual(builder, block, stream, f"{name}.block{b}", name)
                stream = name
            if name in self.transformers:
                transformer = self.transformers[name]
                assert isinstance(transformer, MobileViTBlock)
                _declare(builder, transformer, name)
                stream = f"{name}.fused"
        builder.consumed_by(stream, self.head.conv)
        builder.produced_by("head", self.head.conv, self.head.norm)
        builder.consumed_by("head", self.classifier)
        return builder.groups()


def _declare(builder: GroupBuilder, block: MobileViTBlock, name: str) -> None:
    builder.consumed_by(name, block.local.conv)
    builder.produced_by(f"{name}.local", block.local.conv, block.local.norm)
    builder.consumed_by(f"{name}.local", block.embed)
    builder.produced_by(f"{name}.tokens", block.embed)
    for index, layer in enumerate(block.layers):
        assert isinstance(layer, TransformerBlock)
        declare_transformer_block(builder, layer, f"{name}.tokens", f"{name}.layer{index}")
    builder.produced_by(f"{name}.tokens", block.norm)
    builder.consumed_by(f"{name}.tokens", block.fold.conv)
    builder.produced_by(f"{name}.folded", block.fold.conv, block.fold.norm)
    builder.consumed_by(name, block.fuse_input)
    builder.consumed_by(f"{name}.folded", block.fuse_folded)
    builder.produced_by(f"{name}.fused", block.fuse_input, block.fuse_folded, block.fuse_norm)


def _check_patches(input_shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    size = list(input_shape[1:])
    for index, stride in enumerate(strides):
        size = [-(-length // stride) for length in size]
        # Index 0 is the stem: stage s comes after stride s + 1.
        if index > 0 and _STAGES[index - 1][2] and any(length % _PATCH for length in size):
            raise SearchSpaceError(
                f"MobileViT needs feature maps of whole 2 x 2 patches: {input_shape[1]} x "
                f"{input_shape[2]} pixels give {size[0]} x {size[1]} in stage {index - 1}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileViTSpace(WidthSpace):
    """All widths, from one channel a group to the full configuration, of MobileViT-S."""

    strides: tuple[int, ...] = IMAGENET_STRIDES

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's channels by group."""
        widths, channels = {"stem": _STEM}, _STEM
        for s, (out, repeats, tokens, layers) in enumerate(_STAGES):
            name = f"stage{s}"
            for b in range(repeats):
                widths[f"{name}.block{b}"] = channels * _EXPANSION
                channels = out
            widths[name] = out
            if tokens:
                parts = {"local": out, "tokens": tokens, "folded": out, "fused": out}
                widths |= {f"{name}.{part}": width for part, width in parts.items()}
                widths |= {f"{name}.layer{index}": 2 * tokens for index in range(layers)}
        return widths | {"head": _HEAD}

    def network(self, widths: Mapping[str, int]) -> MobileViT:
        """Build the network with fresh weights from torch's default generator."""
        return MobileViT(
            widths,
            strides=self.strides,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
        )
