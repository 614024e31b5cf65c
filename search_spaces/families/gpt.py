"""GPT-2 and GPT-3 decoders (Radford et al. 2019, Brown et al. 2020) with chosen widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.attention import TransformerBlock, declare_transformer_block
from search_spaces.channel_groups import ChannelGroup
from search_spaces.errors import SearchSpaceError
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

_STREAM = "model"
_DEVIATION = 0.02


class GPT(nn.Module):
    """Token and position embeddings, decoder blocks, LayerNorm and the embedding's transpose.

    Args:
        widths: "model" is the residual stream, "block{b}" the hidden layer of a block.
        heads: of every block.
        head_size: channels a head.
        context: longest sequence, in tokens.
        vocabulary: number of tokens, in and out.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        heads: int,
        head_size: int,
        context: int,
        vocabulary: int,
    ) -> None:
        super().__init__()
        width = widths[_STREAM]
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width,
                hidden,
                heads=heads,
                head_size=head_size,
                causal=True,
                activation=nn.GELU(approximate="tanh"),
            )
            for name, hidden in widths.items()
            if name != _STREAM
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        self.heads = heads
        self.initialise()

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T), integers, to logits (N, T, vocabulary)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def initialise(self) -> None:
        """Draw normal weights of deviation 0.02 (GPT-2, section 2.3); LayerNorm at one.

        Each block adds two branches to the stream: their last layers get 0.02 / sqrt(2 blocks).
        """
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Embedding)):
                nn.init.normal_(layer.weight, std=_DEVIATION)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if isinstance(layer, nn.LayerNorm):
                layer.reset_parameters()
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            for last in (block.attention.project, block.contract):
                nn.init.normal_(last.weight, std=_DEVIATION / (2 * len(self.blocks)) ** 0.5)

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return the stream, in whole channels a head, and every block's hidden layer.

        Heads and their size are fixed: the inside of attention is no group.
        """
        builder = GroupBuilder(self)
        # An embedding holds its channels on axis 1, where linear layers take theirs in.
        builder.consumed_by(_STREAM, self.tokens)
        builder.consumed_by(_STREAM, self.positions)
        for b, block in enumerate(self.blocks):
            assert isinstance(block, TransformerBlock)
            declare_transformer_block(builder, block, _STREAM, f"block{b}")
        builder.produced_by(_STREAM, self.norm)
        return tuple(
            dataclasses.replace(group, multiple=self.heads) if group.name == _STREAM else group
            for group in builder.groups()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTSpace(WidthSpace):
    """The stream's width and every block's hidden width; heads and depth are fixed.

    ``input_shape`` is (context,) in tokens and ``num_classes`` the vocabulary.
    """

    blocks: int
    heads: int
    head_size: int

    def full_widths(self) -> dict[str, int]:
        """Return the stream's width, heads x head_size, and hidden layers four times as wide."""
        width = self.heads * self.head_size
        return {_STREAM: width} | {f"block{b}": 4 * width for b in range(self.blocks)}

    def network(self, widths: Mapping[str, int]) -> GPT:
        """Build the network with fresh weights from torch's default generator.

        Raises:
            SearchSpaceError: if the input is no sequence of tokens.
        """
        if len(self.input_shape) != 1:
            raise SearchSpaceError(
                f"{self.name} reads tokens of shape (T,), not {self.input_shape}"
            )
        return GPT(
            widths,
            heads=self.heads,
            head_size=self.head_size,
            context=self.input_shape[0],
            vocabulary=self.num_classes,
        )

    def example_inputs(self, batch: int = 1) -> tuple[Tensor]:
        """Return tokens 0 of shape (batch, context)."""
        return (torch.zeros(batch, *self.input_shape, dtype=torch.long),)
