"""Graphs on which channel pruners are tried: each grouped, and proven by removal, or told why not.

The structures are those of the public tests of Torch-Pruning (github.com/VainF/Torch-Pruning,
tests/), written anew and narrow.
"""

import copy
import functools

import pytest
import torch
from real_networks_truth import without_channels
from torch import nn
from torch.nn import functional as F

from growsearch.growth.surgery.surgeon import Surgeon
from search_spaces.trace_groups import declare_groups, trace_groups
from search_spaces.tracing.channel_discovery import OUTPUTS

D = 4


def _conv(inputs, outputs, kernel=1, **more):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, **more), nn.BatchNorm2d(outputs))


def _two(inputs, middle, outputs):
    return nn.Sequential(_conv(inputs, middle), nn.GELU(), _conv(middle, outputs))


class CascadedConcat(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = _two(D, D, D), _two(D, 2 * D, 2 * D)
        self.c, self.d = _conv(D, 3 * D), _conv(D, 6 * D)
        self.last = nn.Conv2d(12 * D, 10, 1)

    def forward(self, x):
        ab = torch.cat([self.a(x), self.b(x)], dim=1)
        abc = torch.cat([ab, self.c(x)], dim=1)
        return self.last(torch.cat([abc, self.d(x)], dim=1))


class WideAndDeep(nn.Module):
    def __init__(self):
        super().__init__()
        layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        self.deep = nn.Sequential(*layers, nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
        self.wide, self.last = nn.Linear(6, 3), nn.Linear(4, 1)

    def forward(self, x):
        x = x.reshape(x.shape[0], -1)
        return torch.sigmoid(self.last(torch.concat([self.wide(x), self.deep(x)], dim=-1)))


class ConcatAndSplit(nn.Module):
    """A part of one stream is concatenated with another, the rest of it is added at the end."""

    def __init__(self):
        super().__init__()
        self.main, self.beside = _two(D, D, 2 * D), _two(D, D, D)
        self.join = _conv(2 * D, D)

    def forward(self, x):
        beside = self.beside(x)
        first = self.join[0].in_channels - self.beside[-1][1].num_features
        kept, added = torch.split(self.main(x), (first, self.main[-1][1].num_features - first), 1)
        return self.join(torch.cat([kept, beside], dim=1)) + added


class ScaledByItsLength(nn.Module):
    def __init__(self, unused=False):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.scale, self.shift = nn.Parameter(torch.rand(8) + 0.5), nn.Parameter(torch.rand(8))
        self.inner, self.last = nn.Linear(8, 8), nn.Linear(8, 3)
        self.unused = nn.Parameter(torch.zeros(10)) if unused else None

    def forward(self, x):
        x = F.relu(self.first(x))
        x = x / x.pow(2).sum(dim=1, keepdim=True).sqrt()
        return self.last(self.inner(x * self.scale + self.shift))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 8, 5)
        self.f1, self.f2, self.f3 = nn.Linear(128, 12), nn.Linear(12, 8), nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2).view(len(x), -1)
        return F.relu(self.f3(F.relu(self.f2(F.relu(self.f1(x))))))


class LinearShortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.f1, self.f2, self.f3 = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.f1(x))
        return self.f3(F.relu(self.f2(x)) + x)


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.ConvTranspose2d(6, 10, 2, stride=2)
        self.c, self.norm_c = nn.Conv2d(10, 4, 3, 1, 1), nn.BatchNorm2d(4)
        self.norm_a, self.norm_b = nn.BatchNorm2d(6), nn.BatchNorm2d(10)

    def forward(self, x):
        x = F.relu(self.norm_b(self.b(F.relu(self.norm_a(self.a(x))))))
        return F.relu(self.norm_c(self.c(x)))


class TwoInputs(nn.Module):
    """Both hidden layers are outputs, too, so that no width of it is free."""

    def __init__(self):
        super().__init__()
        self.f1, self.f2, self.f3 = nn.Linear(5, 4), nn.Linear(7, 6), nn.Linear(10, 8)

    def forward(self, x, y):
        x, y = F.relu(self.f1(x)), F.relu(self.f2(y))
        return x, y, F.relu(self.f3(torch.cat([x, y], dim=1)))


class TwoInputsOneOutput(TwoInputs):
    def forward(self, x, y):
        return super().forward(x, y)[2]


class ConcatOfRows(nn.Module):
    """Concatenation along an axis of the picture, where all parts have the same channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b = _two(D, D, D), _two(D, D, D)
        self.c, self.d = nn.Conv2d(D, D, 1), nn.Conv2d(D, D, 1)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        both = self.c(torch.cat([a, b], dim=2))
        return self.d(torch.split(both, [a.shape[2], b.shape[2]], dim=2)[0])


class Reshaped(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(5, 64)
        self.up1 = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.last = nn.Linear(256, 3)

    def forward(self, x):
        x = F.relu(self.wide(x)).view(-1, self.up1.in_channels, 2, 2)
        return self.last(torch.flatten(F.relu(self.up2(F.relu(self.up1(x)))), 1))


class OneChannelOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = _conv(3, 6, 3, padding=1), _conv(6, 8, 2, stride=2)
        self.c = _conv(8, 1, 3, padding=1)

    def forward(self, x):
        return F.relu(self.c(F.relu(self.b(F.relu(self.a(x))))))


class Split(nn.Module):
    """Three readers of parts of one layer's output, two of them the same layer."""

    def __init__(self):
        super().__init__()
        self.main = _two(D, D, 4 * D)
        self.one, self.two = _conv(D, D), _conv(2 * D, D)

    def forward(self, x):
        c1, c2 = self.one[0].in_channels, self.two[0].in_channels
        x1, x2, x3 = torch.split(self.main(x), [c1, c1, c2], dim=1)
        return self.one(x1), self.one(x2), self.two(x3)


class ConvShortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.c, self.last = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = self.a(x)
        return self.last(self.c(self.b(x)) + x)


class LayerScaled(nn.Module):
    """A block of ConvNeXt: a parameter outside any layer scales the branch."""

    def __init__(self):
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 6, 2, 2), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm, self.up, self.down = nn.LayerNorm(6), nn.Linear(6, 12), nn.Linear(12, 6)
        self.gamma, self.last = nn.Parameter(torch.full((6, 1, 1), 0.1)), nn.Linear(6, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)
        return self.last((x + self.gamma * y).mean((2, 3)))


_PICTURE, _MAPS, _ROW = (2, 3, 8, 8), (2, D, 4, 4), (2, 6)
_GRAPHS = {
    "cascaded concat": (CascadedConcat, [_MAPS]),
    "wide and deep": (WideAndDeep, [_ROW]),
    "concat and split": (ConcatAndSplit, [_MAPS]),
    "scaled by its length": (ScaledByItsLength, [_ROW]),
    "unused parameter": (lambda: ScaledByItsLength(unused=True), [_ROW]),
    "lenet": (LeNet, [(2, 1, 28, 28)]),
    "linear shortcut": (LinearShortcut, [_ROW]),
    "transposed": (Transposed, [_PICTURE]),
    "two inputs": (TwoInputs, [(2, 5), (2, 7)]),
    "two inputs, one output": (TwoInputsOneOutput, [(2, 5), (2, 7)]),
    "concat of rows": (ConcatOfRows, [_MAPS]),
    "reshaped": (Reshaped, [(2, 5)]),
    "one channel out": (OneChannelOut, [_PICTURE]),
    "split": (Split, [_MAPS]),
    "conv shortcut": (ConvShortcut, [_PICTURE]),
    "layer scale": (LayerScaled, [_PICTURE]),
}


def _made(name):
    make, shapes = _GRAPHS[name]
    torch.manual_seed(0)
    module = make().eval().double()
    for name, tensor in module.named_buffers():
        if tensor.is_floating_point():
            # Means below 0: a ReLU that is closed everywhere hears nothing.
            low = 0.5 if name.endswith("var") else -1.5
            tensor.uniform_(low, low + 1.0)
    return module, tuple(torch.randn(shape, dtype=torch.double) for shape in shapes)


@functools.cache
def _traced(name):
    module, inputs = _made(name)
    found = trace_groups(copy.deepcopy(module).float(), tuple(x.float() for x in inputs))
    declare_groups(module, found.groups)
    return module, inputs, found


def _outputs(module, inputs):
    found = module(*inputs)
    return found if isinstance(found, tuple) else (found,)


def _half(group):
    gone = torch.rand(group.size // group.multiple) < 0.5
    gone[-1], gone[0] = len(gone) > 1, False
    return gone.repeat_interleave(group.multiple)


# By graph: the groups that may go, with their widths.
_MAY_GO = {
    "cascaded concat": {"a.0.0": 4, "a.2.0": 4, "b.0.0": 8, "b.2.0": 8, "c.0": 12, "d.0": 24},
    "wide and deep": {"deep.0": 8, "deep.3": 4, "deep.6": 1, "wide": 3},
    # The rest of its main stream is added to an output.
    "concat and split": {"main.0.0": 4, "beside.0.0": 4, "beside.2.0": 4},
    "scaled by its length": {"inner": 8},
    "unused parameter": {"inner": 8},
    "lenet": {"c1": 6, "c2": 8, "f1": 12, "f2": 8},
    "linear shortcut": {"f1": 8},
    "transposed": {"a": 6, "b": 10},
    "two inputs": {},
    "two inputs, one output": {"f1": 4, "f2": 6},
    "concat of rows": {"a.0.0": 4, "a.2.0": 4, "c": 4},
    "reshaped": {"wide": 16, "up1": 8, "up2": 4},
    "one channel out": {"a.0": 6, "b.0": 8},
    "split": {"main.0.0": 4, "main.2.0": 4, "main.2.0#2": 8},
    "conv shortcut": {"a": 6, "b": 4},
    "layer scale": {"stem": 6, "up": 12},
}

# By graph: layers that keep their width, and a word of the reason.
_STAY = {
    "scaled by its length": {"first": "a norm or a scale over channels"},
    "unused parameter": {"first": "a norm or a scale over channels"},
    # Its rows are cut off before they are put out.
    "concat of rows": {"b.0.0": "no effect of its channels on the outputs was seen"},
}


@pytest.mark.parametrize("name", _GRAPHS)
def test_what_is_grouped_may_go_without_a_change_of_the_rest(name):
    module, inputs, found = _traced(name)
    groups = tuple(group for group in found.groups if not group.kept)
    assert {group.name: group.size for group in groups} == _MAY_GO[name]
    gone = {group.name: _half(group) for group in groups}
    narrow = copy.deepcopy(module)
    if groups:
        Surgeon(narrow, groups).seed(torch.cat([~gone[group.name] for group in groups]))
        assert sum(p.numel() for p in narrow.parameters()) < sum(
            p.numel() for p in module.parameters()
        )
    with torch.no_grad():
        live = {name: (~mask).nonzero().flatten() for name, mask in gone.items()}
        deaf = without_channels(module, narrow, groups, live)
        ours, theirs = _outputs(narrow, inputs), _outputs(deaf, inputs)
        full = _outputs(module, inputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    # The proof is none of channels that nobody hears.
    assert bool(groups) is any(not torch.allclose(a, b) for a, b in zip(ours, full, strict=True))


@pytest.mark.parametrize("name", _GRAPHS)
def test_what_keeps_its_width_is_named_with_the_reason(name):
    _, _, found = _traced(name)
    told = {n: why for n, why in found.reasons.items() if why != OUTPUTS}
    told |= {group.name: group.kept for group in found.groups if group.kept}
    assert told.keys() == _STAY.get(name, {}).keys()
    assert all(word in told[layer] for layer, word in _STAY.get(name, {}).items())


def test_layers_that_are_outputs_are_named_as_such():
    _, _, found = _traced("two inputs")
    assert dict(found.reasons) == dict.fromkeys(("f1", "f2", "f3"), OUTPUTS)
