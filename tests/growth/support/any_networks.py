"""Small networks of the kinds that people bring: with and without norms, of blocks of all sorts.

Each takes images (N, 1, 6, 6) and gives scores of three classes.
"""

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 3


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.num_heads, self.head_dim, self.causal = heads, width // heads, causal
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(out.transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x):
        return self.gamma * x


class RMSNorm(nn.Module):
    """As the language models write it themselves."""

    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(width)), eps

    def forward(self, hidden_states):
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states


class LayerNorm2d(nn.LayerNorm):
    """A norm over the channels of feature maps, as ConvNeXt's stem has it."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class TransformerBlock(nn.Module):
    norm = nn.LayerNorm

    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.norm1, self.norm2 = self.norm(width), self.norm(width)
        self.attn, self.mlp = Attention(width, heads, causal), Mlp(width, 2 * width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ScaledBlock(TransformerBlock):
    def __init__(self, width, heads, causal=False):
        super().__init__(width, heads, causal)
        self.ls1, self.ls2 = LayerScale(width), LayerScale(width)

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class RMSBlock(TransformerBlock):
    norm = RMSNorm


class PostBlock(TransformerBlock):
    """The norm behind the sum, as in the first transformers: nothing passes it by."""

    def forward(self, x):
        x = self.norm1(x + self.attn(x))
        return self.norm2(x + self.mlp(x))


class ViT(nn.Module):
    block, last = TransformerBlock, nn.LayerNorm

    def __init__(self, num_classes=CLASSES, width=16, depth=2):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 10, width))
        self.blocks = nn.ModuleList(self.block(width, 4) for _ in range(depth))
        self.norm, self.head = self.last(width), nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class ScaledViT(ViT):
    block = ScaledBlock


class PostViT(ViT):
    block = PostBlock


class Llama(ViT):
    block, last = RMSBlock, RMSNorm


class GPT(nn.Module):
    """Reads the rows of an image as words; its blocks see no later ones."""

    def __init__(self, num_classes=CLASSES, width=16, depth=2):
        super().__init__()
        self.embed = nn.Linear(6, width)
        self.positions = nn.Parameter(0.02 * torch.randn(6, width))
        self.h = nn.Sequential(*(TransformerBlock(width, 2, causal=True) for _ in range(depth)))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, num_classes, bias=False)

    def forward(self, x):
        x = self.h(self.embed(x[:, 0]) + self.positions)
        return self.lm_head(self.ln_f(x)[:, -1])


class ConvNeXtBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.pwconv1, self.pwconv2 = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x):
        shortcut = x
        x = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        x = self.gamma * self.pwconv2(F.gelu(self.pwconv1(x)))
        return shortcut + x.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 12, 2, 1), LayerNorm2d(12))
        self.stage1 = nn.Sequential(ConvNeXtBlock(12), ConvNeXtBlock(12))
        self.down = nn.Sequential(LayerNorm2d(12), nn.Conv2d(12, 16, 2, 2))
        self.stage2 = nn.Sequential(ConvNeXtBlock(16), ConvNeXtBlock(16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.stage2(self.down(self.stage1(self.stem(x))))
        return self.head(self.norm(x.mean((2, 3))))


class MixerBlock(nn.Module):
    def __init__(self, tokens, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens, self.channels = Mlp(tokens, 8), Mlp(width, 32)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, num_classes=CLASSES, width=16):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.blocks = nn.Sequential(MixerBlock(9, width), MixerBlock(9, width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, x):
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2))
        return self.head(self.norm(x).mean(1))


class Squeeze(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, 4, 1), nn.Conv2d(4, width, 1)

    def forward(self, x):
        s = torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(s))


def no_norm(width):
    return nn.Identity()


class BasicBlock(nn.Module):
    """Of a residual network; subclasses change norms and what comes last."""

    make_norm, last = nn.BatchNorm2d, nn.Identity

    def __init__(self, into, out, stride=1):
        super().__init__()
        norm = type(self).make_norm
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1)
        self.bn1, self.relu = norm(out), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1), norm(out)
        self.se = Squeeze(out) if self.last is Squeeze else nn.Identity()
        self.downsample = None
        if stride > 1 or into != out:
            self.downsample = nn.Sequential(nn.Conv2d(into, out, 1, stride), norm(out))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.se(self.bn2(self.conv2(out)))
        out += identity
        return self.relu(out)


class SEBlock(BasicBlock):
    last = Squeeze


class GroupNormBlock(BasicBlock):
    make_norm = staticmethod(lambda width: nn.GroupNorm(1, width))


class BareBlock(BasicBlock):
    make_norm = staticmethod(no_norm)


class ResNet(nn.Module):
    block = BasicBlock

    def __init__(self, num_classes=CLASSES):
        super().__init__()
        block = self.block
        self.conv1 = nn.Conv2d(1, 8, 3, 1, 1)
        self.bn1 = type(block(1, 8)).make_norm(8)
        self.layer1 = nn.Sequential(block(8, 8))
        self.layer2 = nn.Sequential(block(8, 12, 2), block(12, 12))
        self.fc = nn.Linear(12, num_classes)

    def forward(self, x):
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class SEResNet(ResNet):
    block = SEBlock


class GroupNormResNet(ResNet):
    block = GroupNormBlock


class BareResNet(ResNet):
    """Without any norm, as Fixup and NFNet train them."""

    block = BareBlock


class ScaledConv(nn.Conv2d):
    """A convolution that standardises its weights whenever it runs."""

    def forward(self, x):
        weight = self.weight
        mean, var = weight.mean((1, 2, 3), keepdim=True), weight.var((1, 2, 3), keepdim=True)
        return F.conv2d(
            x, (weight - mean) / (var + 1e-4).sqrt(), self.bias, self.stride, self.padding
        )


class NFBlock(nn.Module):
    def __init__(self, width, conv):
        super().__init__()
        self.conv1, self.conv2 = conv(width, width, 3, padding=1), conv(width, width, 3, padding=1)
        self.skip_gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        out = self.conv2(F.silu(self.conv1(F.silu(x))))
        return out * self.skip_gain + x


class NFNet(nn.Module):
    conv = nn.Conv2d

    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.stem = nn.Conv2d(1, 10, 3, padding=1)
        self.blocks = nn.Sequential(NFBlock(10, self.conv), NFBlock(10, self.conv))
        self.last, self.head = nn.Conv2d(10, 14, 1), nn.Linear(14, num_classes)

    def forward(self, x):
        x = F.silu(self.last(self.blocks(self.stem(x))))
        return self.head(x.mean((2, 3)))


class StandardisedNFNet(NFNet):
    conv = ScaledConv


class InvertedResidual(nn.Module):
    def __init__(self, width):
        super().__init__()
        hidden = 2 * width
        self.conv = nn.Sequential(
            *(nn.Conv2d(width, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()),
            nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden, bias=False),
            *(nn.BatchNorm2d(hidden), nn.ReLU6()),
            *(nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x):
        return x + self.conv(x)


class MobileNet(nn.Module):
    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU6()),
            *(InvertedResidual(8), InvertedResidual(8)),
            *(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU6()),
        )
        self.classifier = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class BiasOnly(nn.Module):
    """No norms: layers with a bias, and activations that let something through at 0."""

    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 12, 3)
        self.c, self.d = nn.Linear(48, 20), nn.Linear(20, num_classes)

    def forward(self, x):
        x = torch.sigmoid(self.b(F.softplus(self.a(x))))
        return self.d(torch.tanh(self.c(x.flatten(1))))


class Bare(nn.Module):
    """Layers without norm and bias."""

    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3, bias=False), nn.Conv2d(8, 12, 3, bias=False)
        self.d = nn.Linear(12, num_classes, bias=False)

    def forward(self, x):
        return self.d(torch.relu(self.b(torch.relu(self.a(x)))).mean((2, 3)))


NETWORKS = (
    *(ViT, ScaledViT, PostViT, Llama, GPT, ConvNeXt, Mixer, ResNet, SEResNet, GroupNormResNet),
    *(BareResNet, NFNet, StandardisedNFNet, MobileNet, BiasOnly, Bare),
)
