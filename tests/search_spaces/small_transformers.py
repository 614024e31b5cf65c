"""Transformers in small: the structures of published ones, with widths that their makers choose."""

import math

import torch
from torch import nn
from torch.nn import functional as F

TOKENS = torch.arange(10).view(2, 5)
IMAGE = torch.zeros(2, 3, 8, 8)


class FusedAttention(nn.Module):
    """Queries, keys and values of one layer, as in timm's vision transformer."""

    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, head_dim, heads * head_dim
        self.qkv = nn.Linear(width, 3 * self.attn_dim)
        self.proj = nn.Linear(self.attn_dim, width)

    def forward(self, x):
        batch, tokens, _ = x.shape
        packed = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, self.head_dim)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(query, key, value)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, self.attn_dim))


class TiedAttention(FusedAttention):
    """As before, but what the heads make together is viewed as the stream is."""

    def forward(self, x):
        batch, tokens, width = x.shape
        packed = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, width // self.num_heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(query, key, value)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, width))


class SeparateAttention(nn.Module):
    """Three layers and all heads' size, as in BERT; the head dimension is a name too many."""

    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size = heads, head_dim
        self.all_head_size = heads * head_dim
        self.query, self.key, self.value = (nn.Linear(width, heads * head_dim) for _ in range(3))
        self.dense = nn.Linear(heads * head_dim, width)

    def _split(self, x):
        shape = (*x.shape[:-1], self.num_attention_heads, self.attention_head_size)
        return x.view(shape).permute(0, 2, 1, 3)

    def forward(self, x):
        query, key, value = (self._split(f(x)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.attention_head_size)
        x = (scores.softmax(-1) @ value).permute(0, 2, 1, 3).contiguous()
        return self.dense(x.view(*x.shape[:-2], self.all_head_size))


class WindowAttention(nn.Module):
    """Windows that are rolled, cosine scores with a scale and positions by head, as in Swin."""

    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.num_heads, self.window_size = heads, (2, 2)
        self.qkv = nn.Linear(width, 3 * heads * head_dim)
        self.proj = nn.Linear(heads * head_dim, width)
        self.table = nn.Parameter(torch.randn(9, heads))
        self.logit_scale = nn.Parameter(torch.randn(heads, 1, 1))
        self.register_buffer("index", torch.tensor([[4, 3, 1, 0], [5, 4, 2, 1]] * 2))

    def forward(self, x):
        batch, tokens, width = x.shape
        side = math.isqrt(tokens)
        high, wide = self.window_size
        x = torch.roll(x.view(batch, side, side, width), (-1, -1), (1, 2))
        x = x.view(batch, side // high, high, side // wide, wide, width).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, high * wide, width)
        packed = self.qkv(x).reshape(len(x), high * wide, 3, self.num_heads, -1)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        scores = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-1, -2)
        positions = self.table[self.index.flatten()].view(high * wide, high * wide, -1)
        scores = scores * self.logit_scale.exp() + positions.permute(2, 0, 1)
        x = (scores.softmax(-1) @ value).transpose(1, 2).reshape(len(x), high * wide, -1)
        x = self.proj(x).view(batch, side // high, side // wide, high, wide, width)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, side, side, width)
        return torch.roll(x, (1, 1), (1, 2)).reshape(batch, tokens, width)


class ReducedAttention(SeparateAttention):
    """Keys and values of a smaller image, as in Segformer, which views that as the stream."""

    def __init__(self, width, heads, head_dim) -> None:
        super().__init__(width, heads, head_dim)
        self.sr, self.layer_norm = nn.Conv2d(width, width, 2, 2), nn.LayerNorm(width)

    def forward(self, x):
        batch, tokens, width = x.shape
        side = math.isqrt(tokens)
        small = self.sr(x.permute(0, 2, 1).reshape(batch, width, side, side))
        small = self.layer_norm(small.reshape(batch, width, -1).permute(0, 2, 1))
        query, key, value = map(self._split, (self.query(x), self.key(small), self.value(small)))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.attention_head_size)
        x = (scores.softmax(-1) @ value).permute(0, 2, 1, 3).contiguous()
        return self.dense(x.view(*x.shape[:-2], self.all_head_size))


class Block(nn.Module):
    """Attention and a perceptron, each behind a LayerNorm and with LayerScale."""

    def __init__(self, width, hidden, attention) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), attention, nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x):
        x = x + self.gamma * self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Patches of an image, with a class token or without, positions, blocks and a classifier."""

    def __init__(self, attention, width=8, heads=(3, 3), head_dim=4, token=True) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if token else None
        self.places = nn.Parameter(torch.randn(1, 16 + token, width))
        self.blocks = nn.ModuleList(
            Block(width, 7, attention(width, number, head_dim)) for number in heads
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = x + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class RMSNorm(nn.Module):
    """Llama's own."""

    def __init__(self, width) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(width)), 1e-6

    def forward(self, x):
        single = x.to(torch.float32)
        single = single * torch.rsqrt(single.pow(2).mean(-1, True) + self.variance_epsilon)
        return self.weight * single.to(x.dtype)


class GroupedAttention(nn.Module):
    """Two heads of queries for one of keys and values, rotated by their places, as in Llama.

    With ``norm`` one RMSNorm is taken over the queries of all heads, as in OLMo.
    """

    def __init__(self, width, heads, head_dim, *, norm=False) -> None:
        super().__init__()
        self.head_dim, self.num_key_value_groups = head_dim, 2
        self.q_proj = nn.Linear(width, 2 * heads * head_dim, bias=False)
        self.k_proj, self.v_proj = (
            nn.Linear(width, heads * head_dim, bias=False) for _ in range(2)
        )
        self.o_proj = nn.Linear(2 * heads * head_dim, width, bias=False)
        self.q_norm = RMSNorm(2 * heads * head_dim) if norm else nn.Identity()

    def forward(self, x, cosine, sine):
        shape = (*x.shape[:-1], -1, self.head_dim)
        query = self.q_norm(self.q_proj(x)).view(shape).transpose(1, 2)
        key = self.k_proj(x).view(shape).transpose(1, 2)
        value = self.v_proj(x).view(shape).transpose(1, 2)
        query, key = (each * cosine + _rotated(each) * sine for each in (query, key))
        key, value = (e.repeat_interleave(self.num_key_value_groups, 1) for e in (key, value))
        x = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(x.transpose(1, 2).reshape(*shape[:-2], -1)), None


def _rotated(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, head_dim, *, norm) -> None:
        super().__init__()
        self.before, self.between = RMSNorm(width), RMSNorm(width)
        self.self_attn = GroupedAttention(width, heads, head_dim, norm=norm)
        self.gate, self.up = nn.Linear(width, 7, bias=False), nn.Linear(width, 7, bias=False)
        self.down = nn.Linear(7, width, bias=False)

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.before(x), cosine, sine)[0]
        inner = self.between(x)
        return x + self.down(F.silu(self.gate(inner)) * self.up(inner))


class Llama(nn.Module):
    def __init__(self, width=8, heads=(2, 3), head_dim=4, *, norm=False) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.layers = nn.ModuleList(
            LlamaLayer(width, number, head_dim, norm=norm) for number in heads
        )
        self.norm, self.head = RMSNorm(width), nn.Linear(width, 11, bias=False)
        frequencies = 100.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, tokens):
        x = self.embed(tokens)
        angles = torch.arange(tokens.shape[1])[:, None] * self.frequencies.repeat(2)
        for layer in self.layers:
            x = layer(x, angles.cos().to(x), angles.sin().to(x))
        return self.head(self.norm(x))


class Conv1D(nn.Module):
    """A linear layer with its weight the other way round and its width in an attribute."""

    def __init__(self, nf, nx) -> None:
        super().__init__()
        self.nf = nf
        self.weight, self.bias = (
            nn.Parameter(torch.randn(nx, nf) / 4),
            nn.Parameter(torch.zeros(nf)),
        )

    def forward(self, x):
        out = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return out.view((*x.size()[:-1], self.nf))


class GPT2Attention(nn.Module):
    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.head_dim, self.split_size = head_dim, heads * head_dim
        self.c_attn = Conv1D(3 * self.split_size, width)
        self.c_proj = Conv1D(width, self.split_size)

    def forward(self, x):
        parts = self.c_attn(x).split(self.split_size, dim=2)
        shape = (*x.shape[:-1], -1, self.head_dim)
        query, key, value = (part.view(shape).transpose(1, 2) for part in parts)
        x = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
        return self.c_proj(x.reshape(*x.shape[:-2], -1).contiguous())


class GPT2Block(nn.Module):
    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = GPT2Attention(width, heads, head_dim)
        self.c_fc, self.c_proj = Conv1D(7, width), Conv1D(width, 7)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT2(nn.Module):
    """Words and places, blocks, and the words' own weights as classifier."""

    def __init__(self, width=12, heads=(3, 3), head_dim=4) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(11, width), nn.Embedding(8, width)
        self.h = nn.ModuleList(GPT2Block(width, number, head_dim) for number in heads)
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, 11, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class CrossAttention(nn.Module):
    """Attention to itself or to another sequence, as in Whisper."""

    def __init__(self, width, heads, head_dim) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.scaling = heads, head_dim, head_dim**-0.5
        self.q_proj, self.k_proj, self.v_proj = (
            nn.Linear(width, heads * head_dim, bias=bias) for bias in (True, False, True)
        )
        self.out_proj = nn.Linear(heads * head_dim, width)

    def forward(self, x, other=None):
        batch, length, _ = x.shape
        other = x if other is None else other
        query = (self.q_proj(x) * self.scaling).view(batch, length, self.num_heads, self.head_dim)
        key, value = (
            layer(other).view(batch, -1, self.num_heads, self.head_dim).transpose(1, 2)
            for layer in (self.k_proj, self.v_proj)
        )
        scores = query.transpose(1, 2) @ key.transpose(2, 3)
        x = (scores.softmax(-1) @ value).transpose(1, 2)
        return self.out_proj(x.reshape(batch, length, -1)), scores


class Whisper(nn.Module):
    """A sound's encoder, and a decoder of words that attends to it."""

    def __init__(self, width=8, heads=(3, 2, 3), head_dim=4) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(4, 6, 3, 1, 1), nn.Conv1d(6, width, 3, 2, 1)
        self.sounds, self.words = nn.Embedding(6, width), nn.Embedding(11, width)
        self.places = nn.Embedding(5, width)
        self.encoder, self.decoder, self.cross = (
            CrossAttention(width, number, head_dim) for number in heads
        )
        self.norm1, self.norm2, self.norm3, self.last = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, sound, tokens):
        heard = F.gelu(self.conv2(F.gelu(self.conv1(sound)))).permute(0, 2, 1)
        heard = heard + self.sounds.weight
        heard = heard + self.encoder(self.norm1(heard))[0]
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        x = x + self.decoder(self.norm2(x))[0]
        x = x + self.cross(self.norm3(x), heard)[0]
        return self.last(x) @ self.words.weight.T
