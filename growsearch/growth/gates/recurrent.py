"""Gates of recurrent units and embeddings: an indicator scales the unit wherever it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growsearch.growth.gates.gate import AxisFactor, Gate, kept_aside, put_back
from search_spaces import ChannelGroup, Member
from search_spaces.channel_groups import (
    axes_by_tensor,
    channel_groups,
    is_consumed,
    is_plain_producer,
)

_RUN: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


class GatedRecurrent(nn.RNNBase):
    """An LSTM, GRU or RNN layer whose units are multiplied by their group's gate where they go.

    Eq. 9 of arXiv 2007.15353 masks input-to-hidden weights by e m^T and hidden-to-hidden weights by
    m m^T, with one m for all gates of a unit. Here m multiplies the unit's output, which the next
    layer reads, and its columns of the hidden-to-hidden weights, which all units read. At m in {0,
    1} both say the same: nothing hears of a unit at 0. In between, the rows (what the unit itself
    computes) are left as they are, so that the gate folds into the columns of all readers exactly.
    The state that is carried on is the one before the gate, with and without folding.
    """

    def __init__(self, layer: nn.RNNBase, gate: Gate) -> None:
        super().__init__(
            layer.mode,
            layer.input_size,
            layer.hidden_size,
            bias=layer.bias,
            batch_first=layer.batch_first,
            device="meta",
        )
        _take_over(self, layer)
        self._plain = kept_aside(layer)
        self.gate = gate

    def forward(
        self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        """Return gate * the layer's output (N, T, hidden), and its state before the gate."""
        gate = self.gate.value
        weights = [
            weight * gate if name == "weight_hh_l0" else weight
            for name, weight in self.named_parameters(recurse=False)
        ]
        if state is None:
            state = self._zeros(x)
        start = list(state) if isinstance(state, tuple) else state
        # Biases, one layer, no dropout between layers, training or not, one direction.
        settings = (self.bias, 1, 0.0, self.training, False, self.batch_first)
        out, *end = _RUN[self.mode](x, start, weights, *settings)
        return out * gate, (end[0] if len(end) == 1 else (end[0], end[1]))

    def _zeros(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        examples = x.shape[0 if self.batch_first else 1]
        zeros = x.new_zeros(1, examples, self.hidden_size)
        return (zeros, zeros) if self.mode == "LSTM" else zeros

    def plain(self) -> nn.RNNBase:
        """Return the layer that was gated, with the weights of this one."""
        return put_back(self._plain, self)


class GatedEmbedding(nn.Embedding):
    """An embedding whose entries are multiplied by their group's gate."""

    def __init__(self, layer: nn.Embedding, gate: Gate) -> None:
        super().__init__(layer.num_embeddings, layer.embedding_dim, device="meta")
        _take_over(self, layer)
        self._plain = kept_aside(layer)
        self.gate = gate

    def forward(self, tokens: Tensor) -> Tensor:
        """Return gate * the tokens' vectors (..., embedding)."""
        return F.embedding(tokens, self.weight) * self.gate.value

    def plain(self) -> nn.Embedding:
        """Return the embedding that was gated, with the weights of this one."""
        return put_back(self._plain, self)


def _take_over(layer: nn.Module, source: nn.Module) -> None:
    """Give ``layer`` the weights and mode of ``source``.

    It was made on the meta device: weights to be thrown away must not use up random numbers.
    """
    layer.load_state_dict(source.state_dict(), assign=True)
    layer.train(source.training)


GATED = (GatedRecurrent, GatedEmbedding)


def sole_producers(
    module: nn.Module, groups: tuple[ChannelGroup, ...]
) -> Iterator[tuple[str, nn.RNNBase | nn.Embedding, ChannelGroup]]:
    """Yield (name, layer, group) for every recurrent layer or embedding that alone makes a group.

    Its gate can then act on what the layer puts out. In a residual stream, others add to it. Layers
    with a computation of their own are not gated so.
    """
    for group in groups:
        makers = {
            member.tensor.rpartition(".")[0]
            for member in group.members
            if not is_consumed(module, member)
        }
        if len(makers) == 1:
            name = makers.pop()
            layer = module.get_submodule(name)
            if isinstance(layer, GATED) or is_plain_producer(layer):
                assert isinstance(layer, (nn.RNNBase, nn.Embedding))
                yield name, layer, group


def gated(layer: nn.RNNBase | nn.Embedding, gate: Gate) -> GatedRecurrent | GatedEmbedding:
    """Return ``layer`` with a gate on what it puts out."""
    if isinstance(layer, nn.RNNBase):
        return GatedRecurrent(layer, gate)
    return GatedEmbedding(layer, gate)


def reader_factors(module: nn.Module) -> dict[str, Tensor]:
    """Return, by parameter name, the factors that put the gates of `GATED` layers into weights.

    Each broadcasts over its weight: one factor a column, of the unit that the column reads.
    """
    if not any(isinstance(layer, GATED) for layer in module.modules()):
        return {}
    groups = channel_groups(module)
    gates = {
        group.name: layer.gate
        for _, layer, group in sole_producers(module, groups)
        if isinstance(layer, GATED)
    }
    factors: dict[str, Tensor] = {}
    for name, axes in axes_by_tensor(groups).items():
        owners: dict[int, list[tuple[ChannelGroup, Member]]] = {}
        for axis, group, member in axes:
            if group.name in gates and is_consumed(module, member):
                owners.setdefault(axis, []).append((group, member))
        for axis, of in owners.items():
            weight, factor = module.get_parameter(name), AxisFactor(of, gates)().detach()
            factors[name] = factor.view([-1 if a == axis else 1 for a in range(weight.ndim)])
    return factors
