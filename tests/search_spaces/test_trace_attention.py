"""Channel groups of attention: heads, queries and keys, tokens and their stream."""

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import channel_groups
from search_spaces.families.gpt import GPT
from search_spaces.trace_groups import trace_groups


def as_sets(groups) -> set[frozenset]:
    return {frozenset((m.tensor, m.axis, m.repeat) for m in group.members) for group in groups}


def test_a_trace_finds_the_stream_the_hidden_layers_and_the_heads_of_gpt():
    torch.manual_seed(0)
    gpt = GPT({"model": 20, "block0": 16}, heads=2, head_size=10, context=6, vocabulary=11)
    found = trace_groups(gpt, (torch.zeros(1, 6, dtype=torch.long),))
    heads = {group for group in found.groups if group.role == "heads"}
    assert as_sets(set(found.groups) - heads) == as_sets(channel_groups(gpt))
    assert {(group.name, group.size) for group in heads} == {("blocks.0.attention heads", 2)}
    assert found.fixed == ("head",)


def test_heads_of_torchs_attention_are_a_group_by_whole_heads():
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = nn.Linear(5, 12), nn.LayerNorm(12)
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
            self.head = nn.Linear(12, 2)

        def forward(self, x):
            x = self.inner(x)
            return self.head(x + self.attention(x, x, x, need_weights=False)[0]).mean(1)

    (group,) = trace_groups(Attends(), (torch.zeros(2, 4, 5),)).groups
    assert (group.size, group.gate, group.kept) == (3, "readers", "")
    layouts = {(m.tensor, m.axis): (m.repeat, m.blocks) for m in group.members}
    assert layouts["attention.in_proj_weight", 0] == (4, 3)
    assert layouts["attention.in_proj_weight", 1] == (4, 1)
    assert layouts["attention.out_proj.weight", 1] == (4, 1)


def test_queries_and_keys_are_a_group_that_only_their_product_reads():
    class NonLocal(nn.Module):
        def __init__(self, scaled) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(5, 4) for _ in range(3))
            self.head, self.scaled = nn.Linear(4, 2), scaled

        def forward(self, x):
            query, key = self.query(x), self.key(x)
            scores = query @ key.transpose(1, 2)
            scores = scores * query.shape[-1] ** -0.5 if self.scaled else scores
            return self.head(scores.softmax(-1) @ self.value(x)).mean(1)

    for scaled in (False, True):
        found = trace_groups(NonLocal(scaled), (torch.zeros(2, 4, 5),))
        groups = {group.name: group for group in found.groups}
        assert set(groups) == {"query", "value"}
        assert {m.tensor for m in groups["query"].members if m.reads} == {"key.weight", "key.bias"}
        assert groups["query"].gate == "readers"
        # With scaled scores a narrower product has another scale.
        assert bool(groups["query"].kept) is scaled


def test_tokens_positions_and_a_class_token_follow_the_channels_of_their_stream():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(1, 6, 2, 2)
            self.token = nn.Parameter(torch.zeros(1, 1, 6))
            self.places = nn.Parameter(torch.zeros(1, 5, 6))
            self.expand, self.contract = nn.Linear(6, 7), nn.Linear(7, 6)
            self.scale, self.head = nn.Parameter(torch.full((6,), 1e-6)), nn.Linear(6, 2)

        def forward(self, x):
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
            return self.head((x + self.scale * self.contract(F.gelu(self.expand(x))))[:, 0])

    found = trace_groups(Tokens(), (torch.zeros(2, 1, 4, 4),))
    stream = next(group for group in found.groups if group.size == 6)
    axes = {(member.tensor, member.axis) for member in stream.members}
    assert {("token", 2), ("places", 2), ("scale", 0), ("patch.weight", 0)} <= axes
