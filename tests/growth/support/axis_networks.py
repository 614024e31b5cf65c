"""Networks whose axes hold channels of several groups: small ones, as published ones are built."""

import torch
from torch import nn
from torch.nn import functional as F

SIZE = 8


class ConvNorm(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, **changes):
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **changes)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Headed(nn.Module):
    """A body on images of two colours, and a linear layer on the means of what it puts out."""

    def __init__(self, width):
        super().__init__()
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 6, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, growth, 3, padding=1, bias=False)

    def forward(self, features):
        x = torch.cat(features, 1)
        return self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))


class DenseNet(Headed):
    """Two dense layers, a transition that halves, one more, and a norm over all of them."""

    def __init__(self):
        super().__init__(8)
        self.stem = ConvNorm(2, 4)
        self.one, self.two = DenseLayer(4, 3), DenseLayer(7, 3)
        self.norm, self.transition = nn.BatchNorm2d(10), nn.Conv2d(10, 5, 1, bias=False)
        self.three, self.last = DenseLayer(5, 3), nn.BatchNorm2d(8)

    def body(self, x):
        features = [self.stem(x)]
        for layer in (self.one, self.two):
            features.append(layer(features))
        x = self.transition(torch.relu(self.norm(torch.cat(features, 1))))
        x = F.avg_pool2d(x, 2)
        return torch.relu(self.last(torch.cat([x, self.three([x])], 1)))


class GoogLeNet(Headed):
    """Two modules of four branches, the first behind an image and its pooled copy."""

    def __init__(self):
        super().__init__(14)
        self.stem = ConvNorm(2, 4)
        self.first, self.second = self._branches(4), self._branches(14)

    def _branches(self, inputs):
        return nn.ModuleList(
            [
                ConvNorm(inputs, 3, 1),
                nn.Sequential(ConvNorm(inputs, 4, 1), ConvNorm(4, 5)),
                nn.Sequential(ConvNorm(inputs, 2, 1), ConvNorm(2, 4)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNorm(inputs, 2, 1)),
            ]
        )

    def body(self, x):
        x = self.stem(x)
        for branches in (self.first, self.second):
            x = torch.cat([branch(x) for branch in branches], 1)
        return x


class UNet(Headed):
    def __init__(self):
        super().__init__(4)
        self.down0, self.down1, self.down2 = ConvNorm(2, 4), ConvNorm(4, 6), ConvNorm(6, 7)
        self.up1, self.up0 = nn.ConvTranspose2d(7, 5, 2, 2), nn.ConvTranspose2d(6, 3, 2, 2)
        self.join1, self.join0 = ConvNorm(11, 6), ConvNorm(7, 4)

    def body(self, x):
        skip0 = self.down0(x)
        skip1 = self.down1(F.max_pool2d(skip0, 2))
        x = self.down2(F.max_pool2d(skip1, 2))
        x = self.join1(torch.cat([skip1, self.up1(x)], 1))
        return self.join0(torch.cat([self.up0(x), skip0], 1))


class DLA(Headed):
    """A root on two tensors of one residual stream, and on what went into the tree."""

    def __init__(self):
        super().__init__(5)
        self.stem, self.project = ConvNorm(2, 4), ConvNorm(4, 6, 1)
        self.one, self.two = ConvNorm(6, 6), ConvNorm(6, 6)
        self.root = ConvNorm(16, 5, 1)

    def body(self, x):
        x = self.stem(x)
        stream = self.project(x)
        x1 = torch.relu(self.one(stream) + stream)
        x2 = torch.relu(self.two(x1) + x1)
        return self.root(torch.cat([x2, x1, x], 1))


class CSP(Headed):
    """Cross-stage partial as in YOLO: halves of one layer, and all that a chain puts out."""

    def __init__(self):
        super().__init__(6)
        self.enter = ConvNorm(2, 8, 1)
        self.one, self.two = ConvNorm(4, 4), ConvNorm(4, 5)
        self.leave = ConvNorm(17, 6, 1)

    def body(self, x):
        parts = list(self.enter(x).chunk(2, 1))
        parts.append(self.one(parts[-1]) + parts[-1])
        parts.append(self.two(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Squeeze(Headed):
    """SqueezeNet's fire: no norms; what expands is read by two layers of the next."""

    def __init__(self):
        super().__init__(7)
        self.squeeze, self.small, self.large = (
            nn.Conv2d(2, 4, 1),
            nn.Conv2d(4, 5, 1),
            nn.Conv2d(4, 3, 3, padding=1),
        )
        self.next = nn.Conv2d(8, 7, 1)

    def body(self, x):
        x = torch.relu(self.squeeze(x))
        x = torch.cat([self.small(x), self.large(x)], 1).relu()
        return torch.relu(self.next(x))


class WithImage(Headed):
    """Feature maps between the colours of the image, behind one norm, depthwise, and again."""

    def __init__(self):
        super().__init__(6)
        self.stem, self.norm = ConvNorm(2, 5), nn.BatchNorm2d(9)
        self.each = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.join = ConvNorm(9, 6, 1)

    def body(self, x):
        x = torch.cat([x, self.stem(x), x.flip(2)], 1)
        return self.join(torch.relu(self.each(torch.relu(self.norm(x)))))


class Flattened(nn.Module):
    """Concatenated maps are flattened, channels first or last, and read by a linear layer."""

    def __init__(self, last):
        super().__init__()
        self.left, self.right = ConvNorm(2, 3, stride=4), ConvNorm(2, 2, stride=4)
        self.head, self.last = nn.Linear(20, 3), last

    def forward(self, x):
        x = torch.cat([self.left(x), self.right(x)], 1)
        return self.head((x.permute(0, 2, 3, 1) if self.last else x).flatten(1))


class Cats(Headed):
    """One way to concatenate what three layers of 4, 3 and 5 channels put out."""

    def __init__(self, cat, width):
        super().__init__(6)
        self.one, self.two, self.three = ConvNorm(2, 4), ConvNorm(2, 3), ConvNorm(2, 5)
        self.cat, self.join = cat, ConvNorm(width, 6, 1)

    def body(self, x):
        return self.join(self.cat(self.one(x), self.two(x), self.three(x)))


class Two(Headed):
    """One way to bring together two layers of 4 channels each."""

    def __init__(self, both, width):
        super().__init__(6)
        self.one, self.two, self.both = ConvNorm(2, 4), ConvNorm(2, 4), both
        self.join = ConvNorm(width, 6, 1)

    def body(self, x):
        return self.join(self.both(self.one(x), self.two(x)))


def group_norm(channels):
    return nn.GroupNorm(channels // 2, channels)


class ResNeXt(Headed):
    """A block whose convolution in four groups puts out fewer channels than it takes in."""

    def __init__(self):
        super().__init__(6)
        self.stem, self.enter = ConvNorm(2, 6), ConvNorm(6, 12, 1)
        self.grouped = ConvNorm(12, 8, groups=4)
        self.leave = nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6))

    def body(self, x):
        x = self.stem(x)
        return torch.relu(self.leave(self.grouped(self.enter(x))) + x)


class GroupNorms(Headed):
    """A stream behind norms of two channels each, one of them behind a grouped convolution."""

    def __init__(self):
        super().__init__(8)
        self.stem, self.norm = nn.Conv2d(2, 8, 3, padding=1), group_norm(8)
        self.enter, self.norm1 = nn.Conv2d(8, 12, 3, padding=1), group_norm(12)
        self.grouped, self.norm2 = nn.Conv2d(12, 12, 3, padding=1, groups=3), group_norm(12)
        self.leave, self.norm3 = nn.Conv2d(12, 8, 1), group_norm(8)

    def body(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        y = torch.relu(self.norm1(self.enter(x)))
        y = torch.relu(self.norm2(self.grouped(y)))
        return torch.relu(self.norm3(self.leave(y)) + x)


class GroupsOfTwo(Headed):
    """A grouped convolution, a transposed one and a norm in groups behind a concatenation."""

    def __init__(self):
        super().__init__(6)
        self.left, self.right = ConvNorm(2, 8), ConvNorm(2, 4)
        self.norm, self.grouped = nn.GroupNorm(6, 12), ConvNorm(12, 6, groups=6)
        self.up, self.join = nn.ConvTranspose2d(6, 9, 2, 2, groups=3), ConvNorm(9, 6, 1)

    def body(self, x):
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        return self.join(torch.relu(self.up(self.grouped(x))))


NETWORKS = {
    "ResNeXt": ResNeXt,
    "GroupNorm": GroupNorms,
    "concatenated groups": GroupsOfTwo,
    "DenseNet": DenseNet,
    "GoogLeNet": GoogLeNet,
    "U-Net": UNet,
    "DLA": DLA,
    "CSP": CSP,
    "SqueezeNet": Squeeze,
    "image": WithImage,
    "flattened": lambda: Flattened(last=False),
    "flattened, channels last": lambda: Flattened(last=True),
    "three": lambda: Cats(lambda a, b, c: torch.cat([a, b, c], 1), 12),
    "nested": lambda: Cats(lambda a, b, c: torch.cat([c, torch.cat([b, a], 1)], 1), 12),
    "one of them twice": lambda: Cats(lambda a, b, c: torch.cat([a, b, a, c], 1), 16),
    "all of them twice": lambda: Cats(lambda a, b, c: torch.cat([a, b, c] * 2, 1), 24),
    "side by side": lambda: Two(lambda a, b: torch.cat([a, b], 3), 4),
    "interleaved": lambda: Two(lambda a, b: torch.stack([a, b], 2).flatten(1, 2), 8),
    "stacked": lambda: Two(lambda a, b: torch.stack([a, b], 1).flatten(1, 2), 8),
    "shuffled": lambda: Two(lambda a, b: F.channel_shuffle(torch.cat([a, b], 1), 2), 8),
    "gated by the other": lambda: Two(lambda a, b: F.glu(torch.cat([a, b], 1), 1), 4),
}
