"""Multi-head self-attention on sequences and on images, and the transformer block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.group_builder import GroupBuilder


class SelfAttention(nn.Module):
    """Multi-head attention; heads and their size do not change with the width of the stream."""

    def __init__(self, width: int, *, heads: int, head_size: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.head_size, self.causal = heads, head_size, causal
        self.query_key_value = nn.Linear(width, 3 * heads * head_size)
        self.project = nn.Linear(heads * head_size, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to (N, T, width); a causal place sees no later one."""
        batch, length, _ = x.shape
        packed = self.query_key_value(x).view(batch, length, 3, self.heads, self.head_size)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        out: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, length, -1))
        return out


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each after LayerNorm and added to the stream."""

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        heads: int,
        head_size: int,
        causal: bool,
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads=heads, head_size=head_size, causal=causal)
        self.hidden_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.activation = activation
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to (N, T, width)."""
        x = x + self.attention(self.attention_norm(x))
        out: Tensor = x + self.contract(self.activation(self.expand(self.hidden_norm(x))))
        return out


def declare_transformer_block(
    builder: GroupBuilder, block: TransformerBlock, stream: str, hidden: str
) -> None:
    """Say that ``block`` reads and adds to ``stream``; the inside of attention is no group."""
    builder.produced_by(stream, block.attention_norm, block.hidden_norm)
    builder.consumed_by(stream, block.attention.query_key_value)
    builder.produced_by(stream, block.attention.project)
    builder.consumed_by(stream, block.expand)
    builder.produced_by(hidden, block.expand)
    builder.consumed_by(hidden, block.contract)
    builder.produced_by(stream, block.contract)


class ImageAttention(nn.Module):
    """Attention between all places of an image, with relative positions (Srinivas et al. 2021).

    The score of two places is q k^T + q r^T, where r adds one vector for the distance in height
    and one for the distance in width. Heads, their size and the image's size are fixed.
    """

    def __init__(
        self, channels_in: int, *, heads: int, head_size: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.heads, self.head_size, self.size = heads, head_size, size
        self.query_key_value = nn.Conv2d(channels_in, 3 * heads * head_size, 1, bias=False)
        self.heights = nn.Parameter(torch.empty(2 * size[0] - 1, head_size))
        self.widths = nn.Parameter(torch.empty(2 * size[1] - 1, head_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the relative positions from a normal distribution of deviation head_size^-1/2."""
        nn.init.normal_(self.heights, std=self.head_size**-0.5)
        nn.init.normal_(self.widths, std=self.head_size**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, heads x head_size, H, W)."""
        batch, _, height, width = x.shape
        packed = self.query_key_value(x).view(batch, 3, self.heads, self.head_size, -1)
        query, key, value = packed.transpose(-1, -2).unbind(1)
        scale = self.head_size**-0.5
        scores = scale * (query @ key.transpose(-1, -2) + self._positions(query))
        mixed = scores.softmax(dim=-1) @ value
        out: Tensor = mixed.transpose(-1, -2).reshape(batch, -1, height, width)
        return out

    def _positions(self, query: Tensor) -> Tensor:
        """Return q r^T for all pairs of places: (N, heads, H W, H W)."""
        height, width = self.size
        vectors = (
            self.heights[_distances(height, query.device)][:, None, :, None]
            + self.widths[_distances(width, query.device)][None, :, None, :]
        )
        relative = vectors.reshape(height * width, height * width, self.head_size)
        return torch.einsum("nhqd,qkd->nhqk", query, relative)


def _distances(length: int, device: torch.device) -> Tensor:
    """Return j - i + length - 1, which is 0 and up: (length, length)."""
    places = torch.arange(length, device=device)
    return places[None, :] - places[:, None] + length - 1
