"""Channel groups of transformers: whole heads, hidden layers and normalised streams."""

import copy

import pytest
import torch
from small_transformers import (
    GPT2,
    IMAGE,
    TOKENS,
    FusedAttention,
    Llama,
    ReducedAttention,
    SeparateAttention,
    TiedAttention,
    VisionTransformer,
    Whisper,
    WindowAttention,
)
from torch import nn

from search_spaces import channel_groups, resize
from search_spaces.axes.size_attributes import SizeAttribute
from search_spaces.channel_groups import named_tensors
from search_spaces.trace_groups import declare_traced_groups, trace_groups
from search_spaces.tracing.channel_removal import keep_channels

SOUND = torch.zeros(2, 4, 12)

# How each is made with some heads a block, its inputs, and where its heads are.
FREE_HEADS = {
    "fused": (lambda h: VisionTransformer(FusedAttention, heads=h), (IMAGE,), "blocks.{}.attn"),
    "separate": (
        lambda h: VisionTransformer(SeparateAttention, heads=h),
        (IMAGE,),
        "blocks.{}.attn",
    ),
    "windows": (
        lambda h: VisionTransformer(WindowAttention, heads=h, token=False),
        (IMAGE,),
        "blocks.{}.attn",
    ),
    "reduced": (
        lambda h: VisionTransformer(ReducedAttention, heads=h, token=False),
        (IMAGE,),
        "blocks.{}.attn",
    ),
    "grouped": (lambda h: Llama(heads=h), (TOKENS,), "layers.{}.self_attn"),
    "normed": (lambda h: Llama(heads=h, norm=True), (TOKENS,), "layers.{}.self_attn"),
    "gpt2": (lambda h: GPT2(heads=h), (TOKENS,), "h.{}.attn"),
}


def numbers_of(module) -> dict:
    return {
        (path, name): value
        for path, layer in module.named_modules()
        for name, value in vars(layer).items()
        if type(value) in (int, tuple) and not name.startswith("_")
    }


@pytest.mark.parametrize("kind", FREE_HEADS)
def test_a_network_without_a_head_is_the_one_that_is_made_with_fewer_heads(kind):
    make, inputs, path = FREE_HEADS[kind]
    torch.manual_seed(0)
    network = make((3, 2))
    found = trace_groups(network, inputs)
    heads = {group.name: group for group in found.groups if group.role == "heads"}
    assert {n: g.size for n, g in heads.items()} == {
        f"{path.format(0)} heads": 3,
        f"{path.format(1)} heads": 2,
    }
    assert all((g.kept, g.gate) == ("", "readers") for g in heads.values())
    small = copy.deepcopy(network)
    keep_channels(small, found.groups, {f"{path.format(0)} heads": torch.tensor([0, 2])})
    # Its own constructor says which shapes and which attributes a network of two heads has.
    expected = make((2, 2))
    assert {n: t.shape for n, t in named_tensors(small).items()} == {
        n: t.shape for n, t in named_tensors(expected).items()
    }
    told, truth = numbers_of(small), numbers_of(expected)
    assert {each: told[each] for each in told if told[each] != truth[each]} == {}
    expected.load_state_dict(small.state_dict())
    given = tuple(torch.randn(i.shape) if i.is_floating_point() else i for i in inputs)
    assert torch.equal(small(*given), expected(*given))


@pytest.mark.parametrize("kind", ["fused", "grouped", "gpt2"])
def test_a_network_without_a_head_computes_what_the_full_one_does_that_is_deaf_to_it(kind):
    make, inputs, path = FREE_HEADS[kind]
    torch.manual_seed(0)
    network = make((3, 2)).eval()
    found = trace_groups(network, inputs)
    network = network.double()
    (group,) = (g for g in found.groups if g.name == f"{path.format(0)} heads")
    deaf, small = copy.deepcopy(network), copy.deepcopy(network)
    (reader,) = (member for member in group.members if member.reads)
    entries = reader.entries(torch.tensor([1]), 3)
    named_tensors(deaf)[reader.tensor].data.index_fill_(reader.axis, entries, 0.0)
    keep_channels(small, found.groups, {group.name: torch.tensor([0, 2])})
    given = tuple(torch.randn(i.shape).double() if i.is_floating_point() else i for i in inputs)
    torch.testing.assert_close(small(*given), deaf(*given), rtol=1e-6, atol=1e-9)


def test_the_attributes_that_follow_are_those_that_the_code_reads():
    found = trace_groups(VisionTransformer(FusedAttention), (IMAGE,))
    (heads,) = (g for g in found.groups if g.name == "blocks.0.attn heads")
    assert heads.attributes == (
        SizeAttribute(module="blocks.0.attn", name="num_heads"),
        SizeAttribute(module="blocks.0.attn", name="attn_dim", factor=4),
    )


def test_numbers_that_only_happen_to_be_as_large_as_a_group_stay():
    class Misleading(FusedAttention):
        """Of two heads of two, on windows of two: every one of these numbers is 2."""

        def __init__(self, width, heads, head_dim) -> None:
            super().__init__(width, heads, head_dim)
            self.window, self.repeats, self.depth = (2, 2), 2, 2

        def forward(self, x):
            assert self.window == (2, 2)
            for _ in range(self.repeats):
                x = super().forward(x)
            return x

    network = VisionTransformer(Misleading, heads=(2,), head_dim=2)
    declare_traced_groups(network, (IMAGE,))
    resize(network, {"blocks.0.attn heads": 5})
    attention = network.blocks[0].attn
    assert (attention.num_heads, attention.attn_dim, attention.head_dim) == (5, 10, 2)
    assert (attention.window, attention.repeats, attention.depth) == ((2, 2), 2, 2)


def test_resizing_and_declared_groups_set_the_attributes_and_tell_the_present_number_of_heads():
    network = VisionTransformer(FusedAttention)
    declare_traced_groups(network, (IMAGE,))
    resize(network, {"blocks.0.attn heads": 1, "blocks.1.attn heads": 5, "patch": 6})
    assert [block.attn.num_heads for block in network.blocks] == [1, 5]
    assert [block.attn.attn_dim for block in network.blocks] == [4, 20]
    sizes = {group.name: group.size for group in channel_groups(network)}
    assert (sizes["blocks.0.attn heads"], sizes["blocks.1.attn heads"], sizes["patch"]) == (1, 5, 6)


def test_heads_that_the_code_views_as_the_stream_are_one_group_with_it():
    network = VisionTransformer(TiedAttention, width=12)
    found = trace_groups(network, (IMAGE,))
    stream = next(group for group in found.groups if group.name == "patch")
    assert (stream.size, stream.kept, stream.role) == (3, "", "embedding")
    names = {(each.module, each.name) for each in stream.attributes}
    assert names == {("blocks.0.attn", "num_heads"), ("blocks.1.attn", "num_heads")}
    small = copy.deepcopy(network)
    keep_channels(small, found.groups, {"patch": torch.tensor([0, 2])})
    expected = VisionTransformer(TiedAttention, width=8, heads=(2, 2))
    expected.load_state_dict(small.state_dict())
    image = torch.randn(IMAGE.shape)
    assert torch.equal(small(image), expected(image))


def test_one_norm_over_the_queries_of_all_heads_is_told_by_the_heads():
    found = trace_groups(Llama(norm=True), (TOKENS,))
    normalised = {g.name: g.normalised for g in found.groups if g.role == "heads"}
    assert normalised == {
        f"layers.{layer}.self_attn heads": (f"layers.{layer}.self_attn.q_norm",)
        for layer in range(2)
    }


def test_heads_and_streams_of_an_encoder_and_its_decoder_are_groups_of_their_own():
    found = trace_groups(Whisper(), (SOUND, TOKENS))
    assert not [group.name for group in found.groups if group.kept]
    sizes = {group.name: (group.size, group.role) for group in found.groups}
    assert sizes == {
        "conv1": (6, "channels"),
        "conv2": (8, "embedding"),
        "words": (8, "embedding"),
        "encoder heads": (3, "heads"),
        "decoder heads": (2, "heads"),
        "cross heads": (3, "heads"),
    }


def test_the_stream_of_words_that_classify_as_well_can_be_removed_with_the_widths_of_its_layers():
    network = GPT2()
    groups = {group.name: group for group in trace_groups(network, (TOKENS,)).groups}
    stream = groups["wte"]
    assert (stream.size, stream.kept, len(stream.normalised)) == (12, "", 5)
    assert {(each.module, each.name, each.factor) for each in stream.attributes} == {
        (f"h.{block}.{layer}c_proj", "nf", 1) for block in range(2) for layer in ("attn.", "")
    }
    (words,) = (member for member in stream.members if member.tensor == "wte.weight")
    assert words.reads


def test_what_a_channel_is_is_told_of_every_group_of_a_transformer():
    found = trace_groups(VisionTransformer(FusedAttention), (IMAGE,))
    assert {group.name: group.role for group in found.groups} == {
        "patch": "embedding",
        "blocks.0.attn heads": "heads",
        "blocks.1.attn heads": "heads",
        "blocks.0.fc1": "mlp",
        "blocks.1.fc1": "mlp",
    }


def test_tokens_positions_and_layer_scale_follow_the_stream_and_not_the_heads():
    network = VisionTransformer(WindowAttention, token=False)
    groups = {group.name: group for group in trace_groups(network, (IMAGE,)).groups}
    stream = {(m.tensor, m.axis) for m in groups["patch"].members}
    heads = {(m.tensor, m.axis) for m in groups["blocks.0.attn heads"].members}
    assert {("places", 2), ("blocks.0.gamma", 0), ("blocks.0.norm1.weight", 0)} <= stream
    assert heads == {
        ("blocks.0.attn.qkv.weight", 0),
        ("blocks.0.attn.qkv.bias", 0),
        ("blocks.0.attn.proj.weight", 1),
        ("blocks.0.attn.table", 1),
        ("blocks.0.attn.logit_scale", 0),
    }
    token = trace_groups(VisionTransformer(FusedAttention), (IMAGE,)).groups[0]
    assert {("token", 2), ("places", 2)} <= {(m.tensor, m.axis) for m in token.members}


def test_heads_whose_number_no_attribute_says_keep_it_and_the_reason_is_told():
    class Written(FusedAttention):
        def forward(self, x):
            packed = self.qkv(x).reshape(len(x), -1, 3, 3, 4).permute(2, 0, 3, 1, 4)
            x = nn.functional.scaled_dot_product_attention(*packed.unbind(0))
            return self.proj(x.transpose(1, 2).reshape(len(x), -1, 12))

    found = trace_groups(VisionTransformer(Written, heads=(3,)), (IMAGE,))
    assert not any(group.role == "heads" for group in found.groups)
    assert "let it read that from one (num_heads)" in found.reasons["blocks.0.attn heads"]


def test_heads_that_are_mixed_behind_the_scores_are_not_taken_apart():
    class Talking(FusedAttention):
        """Scores of all heads are mixed before the softmax, as in CaiT."""

        def __init__(self, width, heads, head_dim) -> None:
            super().__init__(width, heads, head_dim)
            self.mix = nn.Linear(heads, heads)

        def forward(self, x):
            packed = self.qkv(x).reshape(*x.shape[:2], 3, self.num_heads, self.head_dim)
            query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
            scores = self.mix((query @ key.transpose(-1, -2)).permute(0, 2, 3, 1))
            x = scores.permute(0, 3, 1, 2).softmax(-1) @ value
            return self.proj(x.transpose(1, 2).reshape(*x.shape[:1], -1, self.attn_dim))

    found = trace_groups(VisionTransformer(Talking, heads=(3,)), (IMAGE,))
    whole = {m.tensor for g in found.groups if g.role == "heads" for m in g.members}
    assert not {"blocks.0.attn.qkv.weight"} & whole or "blocks.0.attn.mix.weight" in whole
