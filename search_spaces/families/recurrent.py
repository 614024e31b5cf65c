"""Recurrent language models (Zaremba et al. 2014): embedding, LSTM, GRU or RNN layers, decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup
from search_spaces.errors import SearchSpaceError
from search_spaces.group_builder import GroupBuilder
from search_spaces.width_space import WidthSpace

Cell = Literal["gru", "lstm", "rnn"]

CELLS: dict[Cell, Callable[..., nn.RNNBase]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}

# Of every layer, what it hands on to the next token: (1, N, hidden) each; an LSTM has two.
State = tuple[tuple[Tensor, ...], ...]

_EMBEDDING = "embedding"
_BOUND = 0.1


class RecurrentLM(nn.Module):
    """Word embeddings, one layer of cells after another and a linear decoder.

    Dropout acts on the embeddings and behind every layer, never from one token to the next
    (Zaremba et al. 2014, arXiv 1409.2329, section 3.1).

    Args:
        widths: "hidden0", "hidden1", ... are the layers; "embedding", if it is there, is a group.
        embedding: entries of a word's embedding where ``widths`` does not say.
        cell: a name in `CELLS`.
        vocabulary: number of words, in and out.
        keep_probability: share of the activations that dropout keeps.
        embedding_bound: fresh embeddings lie between plus and minus this.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        *,
        embedding: int,
        cell: Cell,
        vocabulary: int,
        keep_probability: float = 1.0,
        embedding_bound: float = _BOUND,
    ) -> None:
        super().__init__()
        self._grows_embedding = _EMBEDDING in widths
        self._embedding_bound = embedding_bound
        width = widths.get(_EMBEDDING, embedding)
        self.embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(1 - keep_probability)
        self.layers = nn.ModuleList()
        for name, hidden in widths.items():
            if name != _EMBEDDING:
                self.layers.append(CELLS[cell](width, hidden, batch_first=True))
                width = hidden
        self.decoder = nn.Linear(width, vocabulary)
        self.initialise()

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T), integers, to logits (N, T, vocabulary), from a state of zeros."""
        return self.step(tokens, None)[0]

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Read on where ``state`` left off; return logits (N, T, vocabulary) and the new state."""
        x = self.dropout(self.embedding(tokens))
        after = []
        for index, layer in enumerate(self.layers):
            x, end = layer(x, None if state is None else _to_layer(state[index]))
            after.append(end if isinstance(end, tuple) else (end,))
            x = self.dropout(x)
        return self.decoder(x), tuple(after)

    def initialise(self) -> None:
        """Draw all from even distributions: the decoder +-0.1, cells +-1 / sqrt(hidden)."""
        for layer in self.layers:
            assert isinstance(layer, nn.RNNBase)
            layer.reset_parameters()
        nn.init.uniform_(self.embedding.weight, -self._embedding_bound, self._embedding_bound)
        nn.init.uniform_(self.decoder.weight, -_BOUND, _BOUND)
        nn.init.zeros_(self.decoder.bias)

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Return one group a layer, its gates together, and the embedding's if it is one."""
        builder = GroupBuilder(self)
        before = None
        if self._grows_embedding:
            before = _EMBEDDING
            builder.embedded(before, self.embedding)
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)
            if before is not None:
                builder.consumed_by(before, layer)
            before = f"hidden{index}"
            builder.recurrent(before, layer)
        assert before is not None
        builder.consumed_by(before, self.decoder)
        return builder.groups()


def _to_layer(state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """Return a layer's state as torch takes it: an LSTM's as a pair, any other's bare."""
    return state if len(state) > 1 else state[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentSpace(WidthSpace):
    """The hidden units of every layer, and the embedding's size if ``grow_embedding`` is set.

    ``input_shape`` is (T,), the tokens of one window, and ``num_classes`` the vocabulary.
    ``embedding_bound`` is the published 0.1. Growth does better with 1.0: at 0.1 fresh cells say
    next to nothing, and the weights of those who read a new unit, which start at zero, learn
    slowly.
    """

    cell: Cell = "lstm"
    embedding: int
    hidden: tuple[int, ...]
    grow_embedding: bool = False
    keep_probability: float = 1.0
    embedding_bound: float = _BOUND

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            known = ", ".join(CELLS)
            raise SearchSpaceError(f"{self.name}: unknown cell {self.cell!r}; valid: {known}")
        if not 0 < self.keep_probability <= 1:
            raise SearchSpaceError(
                f"{self.name}: keep_probability = {self.keep_probability} is not in (0, 1]"
            )
        if self.embedding_bound <= 0:
            raise SearchSpaceError(
                f"{self.name}: embedding_bound = {self.embedding_bound} is not above 0"
            )
        if not self.hidden:
            raise SearchSpaceError(f"{self.name}: hidden is empty; give at least one layer")

    def full_widths(self) -> dict[str, int]:
        """Return the full configuration's units by layer, after the embedding's if it grows."""
        embedding = {_EMBEDDING: self.embedding} if self.grow_embedding else {}
        return embedding | {f"hidden{index}": width for index, width in enumerate(self.hidden)}

    def network(self, widths: Mapping[str, int]) -> RecurrentLM:
        """Build the network with fresh weights from torch's default generator.

        Raises:
            SearchSpaceError: if the input is no sequence of tokens.
        """
        if len(self.input_shape) != 1:
            raise SearchSpaceError(
                f"{self.name} reads tokens of shape (T,), not {self.input_shape}"
            )
        return RecurrentLM(
            widths,
            embedding=self.embedding,
            cell=self.cell,
            vocabulary=self.num_classes,
            keep_probability=self.keep_probability,
            embedding_bound=self.embedding_bound,
        )

    def example_inputs(self, batch: int = 1) -> tuple[Tensor]:
        """Return tokens 0 of shape (batch, T)."""
        return (torch.zeros(batch, *self.input_shape, dtype=torch.long),)
