"""Channel groups found by tracing, against those that networks declare themselves."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import SEARCH_SPACES, SearchSpaceError, channel_groups, resize
from search_spaces.fresh_weights import initialise_network
from search_spaces.group_builder import GroupBuilder
from search_spaces.trace_groups import declare_traced_groups, prove_groups, trace_groups


def as_sets(groups) -> set[frozenset]:
    return {frozenset((m.tensor, m.axis, m.repeat) for m in group.members) for group in groups}


@pytest.mark.parametrize(
    "name",
    [
        "resnet-digits",
        "mlp-digits",
        "resnet20",
        "vgg11",
        "mobilenetv1",
        "mobilenetv2",
        "wide-resnet28-10",
        "basic3resnet-digits",
    ],
)
def test_a_trace_finds_exactly_the_declared_groups(name):
    space = SEARCH_SPACES[name]
    torch.manual_seed(0)
    groups = channel_groups(space.build(space.largest()))
    narrow = {group.name: 3 + index % 4 for index, group in enumerate(groups)}
    module = space.build(space.with_widths(space.largest(), narrow))
    found = trace_groups(module, space.example_inputs())
    declared = channel_groups(module)
    assert as_sets(found.groups) == as_sets(declared)
    assert sorted(g.size for g in found.groups) == sorted(g.size for g in declared)
    assert found.fixed == ("classifier",)


class Concatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 6, 3)
        self.join = nn.Conv2d(10, 8, 1)
        self.classifier = nn.Linear(8, 2)

    def forward(self, x):
        joined = torch.cat([self.left(x), self.right(x)], 1)
        return self.classifier(self.join(joined).mean((2, 3)))


def test_concatenated_layers_are_groups_that_share_an_axis():
    module = Concatenation()
    found = declare_traced_groups(module, (torch.zeros(1, 1, 5, 5),))
    sizes = {group.name: group.size for group in found.groups}
    assert sizes == {"left": 4, "right": 6, "join": 8}
    assert found.fixed == ("classifier",)
    resize(module, {"left": 7, "right": 5})
    assert module.join.weight.shape == (8, 12, 1, 1)
    readers = {g.name: g.members[-1] for g in channel_groups(module)}
    first = torch.arange(2)
    assert readers["left"].entries(first, 7).tolist() == [0, 1]
    assert readers["right"].entries(first, 5).tolist() == [7, 8]


class FixedView(nn.Module):
    """Its code writes down a width: to the tracer the hidden layer looks like any other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.third(self.second(self.first(x).view(-1, 2, 3).flatten(1)))


def test_a_width_that_the_code_relies_on_is_fixed():
    found = trace_groups(FixedView(), (torch.zeros(1, 4),))
    assert [group.name for group in found.groups] == ["second"]
    assert found.fixed == ("first", "third")


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 2),
    )


def test_a_traced_network_is_not_changed_by_the_trace():
    module = plain()
    before = copy.deepcopy(module.state_dict())
    trace_groups(module, (torch.randn(2, 1, 4, 4),))
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert not hasattr(module, "channel_groups")


def test_a_network_that_declares_traced_groups_can_be_resized_with_its_copies_and_pickles():
    module = plain()
    declare_traced_groups(module, (torch.randn(2, 1, 4, 4),))
    assert {g.name: g.size for g in channel_groups(module)} == {"0": 6, "5": 5}
    twin = copy.deepcopy(module)
    resize(twin, {"0": 9, "5": 3})
    initialise_network(twin)
    assert twin(torch.randn(2, 1, 4, 4)).shape == (2, 2)
    assert twin[5].weight.shape == (3, 36)
    assert {g.name: g.size for g in channel_groups(twin)} == {"0": 9, "5": 3}
    assert {g.name: g.size for g in channel_groups(module)} == {"0": 6, "5": 5}
    again = pickle.loads(pickle.dumps(twin))
    assert {g.name: g.size for g in channel_groups(again)} == {"0": 9, "5": 3}


def test_a_network_without_hidden_channels_cannot_declare_any():
    with pytest.raises(SearchSpaceError, match="no channels that can be resized"):
        declare_traced_groups(nn.Sequential(nn.Linear(4, 2)), (torch.zeros(1, 4),))


def test_a_network_that_does_not_run_cannot_be_traced():
    with pytest.raises(SearchSpaceError, match="cannot be traced"):
        trace_groups(nn.Linear(4, 2), (torch.zeros(1, 3),))


class Middle(nn.Module):
    """``inner`` of eight channels, then ``between``, then ``outer`` and a head."""

    def __init__(self, between, width=8, norm=True) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.between, self.outer = between, nn.Conv2d(width, 5, 1)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        x = self.outer(self.between(torch.relu(self.norm(self.inner(x)))))
        return self.head(torch.relu(x).mean((2, 3)))


def middle(between, width=8, **changes):
    torch.manual_seed(0)
    found = trace_groups(Middle(between, width, **changes), (torch.zeros(2, 1, 4, 4),))
    return found, {group.name: group for group in found.groups}


def shuffled(x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x.flip(1),
        lambda x: torch.roll(x, 1, 1),
        lambda x: x[:, [1, 2, 4, 0, 7, 6, 3, 5]],
    ],
)
def test_channels_in_another_order_keep_their_width_and_the_layer_is_told(between):
    found, groups = middle(between)
    assert set(groups) == {"outer"}
    assert found.fixed == ("inner", "head")
    assert found.reasons["inner"] == "outer has its channels in another order or number"


@pytest.mark.parametrize(
    ("between", "made", "read"),
    [
        (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), (1, 2), (1, 2)),
        (shuffled, (1, 2), (2, 1)),
        (nn.ChannelShuffle(4), (1, 4), (4, 1)),
    ],
)
def test_channels_in_an_order_that_some_of_them_keep_together_go_together(between, made, read):
    _, groups = middle(between)
    group = groups["inner"]
    assert (group.size, group.kept) == (8 // max(made), "")
    layouts = {member.reads: (member.repeat, member.blocks) for member in group.members}
    assert layouts == {False: made, True: read}


@pytest.mark.parametrize(
    ("between", "width", "size", "read"),
    [
        (nn.Conv2d(8, 8, 1, groups=2), 8, 2, 4),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), 12, 4, 3),
        (nn.ConvTranspose2d(8, 12, 1, groups=4), 12, 4, 3),
        (nn.GroupNorm(4, 8), 8, 4, 2),
        (nn.Sequential(nn.Conv2d(8, 8, 1, groups=4), nn.GroupNorm(2, 8)), 8, 2, 4),
        (nn.Sequential(nn.GroupNorm(4, 8), nn.Conv2d(8, 4, 1, groups=2)), 4, 2, 2),
    ],
)
def test_whole_groups_of_a_convolution_or_norm_are_channels(between, width, size, read):
    _, groups = middle(between, width)
    group = groups["inner"]
    assert (group.size, group.kept) == (size, "")
    made = next(member for member in group.members if member.tensor == "inner.weight")
    (reader,) = [member for member in group.members if member.reads]
    assert (made.repeat, reader.repeat) == (8 // size, read)
    module = Middle(copy.deepcopy(between), width)
    declare_traced_groups(module, (torch.zeros(2, 1, 4, 4),))
    resize(module, {"inner": size + 3})
    initialise_network(module)
    assert module(torch.randn(2, 1, 4, 4)).shape == (2, 2)
    layers = between if isinstance(between, nn.Sequential) else [between]
    changed = module.between if isinstance(between, nn.Sequential) else [module.between]
    for old, new in zip(layers, changed, strict=True):
        name = "num_groups" if isinstance(old, nn.GroupNorm) else "groups"
        assert getattr(new, name) * size == getattr(old, name) * (size + 3)


@pytest.mark.parametrize(
    ("between", "width", "reason"),
    [
        (lambda x: x[:, [1, 0, 3, 2, 5, 4, 7, 6]], 8, "its code or its other layers rely on its"),
        (lambda x: torch.cat([x, x[:, :2]], 1), 10, "its code or its other layers rely on its"),
        (lambda x: x[:, :4], 4, "its code or its other layers rely on its width"),
        (lambda x: x + x.flip(1), 8, "between it and outer channels are mixed"),
        (nn.GroupNorm(4, 8, affine=False), 8, "its code or its other layers rely on its width"),
        (lambda x: x.view(-1, 8, 4, 4), 8, "its code or its other layers rely on its width"),
    ],
)
def test_what_does_not_agree_keeps_its_width_with_a_reason(between, width, reason):
    found, groups = middle(between, width)
    assert "inner" not in groups
    assert found.reasons["inner"].startswith(reason)


@pytest.mark.parametrize(
    ("between", "width", "layout"),
    [
        (lambda x: torch.cat([x, -x], 1), 16, (1, 2)),
        (lambda x: x.repeat_interleave(2, 1), 16, (2, 1)),
        (lambda x: torch.roll(x, 1, 2).flip(3).transpose(2, 3), 8, (1, 1)),
        (lambda x: F.pixel_unshuffle(x, 2), 32, (4, 1)),
    ],
)
def test_a_reader_of_several_entries_a_channel_knows_which(between, width, layout):
    _, groups = middle(between, width)
    (reader,) = [member for member in groups["inner"].members if member.reads]
    assert (reader.tensor, reader.axis, (reader.repeat, reader.blocks)) == (
        "outer.weight",
        1,
        layout,
    )


@pytest.mark.parametrize(
    ("order", "repeat", "blocks"),
    [((1, 2, 3), 16, 1), ((2, 3, 1), 1, 16), ((2, 1, 3), 4, 4), ((3, 2, 1), 1, 16)],
)
def test_flattened_feature_maps_are_read_in_the_order_of_their_axes(order, repeat, blocks):
    class Flattened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Conv2d(1, 5, 3, padding=1), nn.Linear(80, 2)

        def forward(self, x):
            return self.head(self.inner(x).permute(0, *order).flatten(1))

    (group,) = trace_groups(Flattened(), (torch.zeros(2, 1, 4, 4),)).groups
    assert group.size == 5
    (reader,) = [member for member in group.members if member.reads]
    assert (reader.repeat, reader.blocks) == (repeat, blocks)


@pytest.mark.parametrize(
    ("between", "size", "layout"),
    [(nn.GLU(1), 4, (1, 2)), (nn.PixelShuffle(2), 2, (4, 1))],
)
def test_entries_that_make_one_channel_together_go_together(between, size, layout):
    _, groups = middle(between, size)
    assert groups["inner"].size == size
    makers = [member for member in groups["inner"].members if not member.reads]
    assert {(member.repeat, member.blocks) for member in makers} == {layout}


def test_a_norm_whose_code_writes_its_groups_down_asks_for_multiples_none_of_which_can_go():
    _, groups = middle(lambda x: F.group_norm(x, 2))
    assert groups["inner"].size == 2
    assert groups["inner"].kept.startswith("without some of its channels the others change")


NORMS = (
    lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2),
    lambda x: F.normalize(x, dim=1),
    lambda x: x.softmax(1),
    lambda x: x - x.mean(1, keepdim=True),
    lambda x: x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6),
    lambda x: x * x.shape[1] ** -0.5,
    lambda x: x * x.amax(1, keepdim=True).sigmoid(),
)


def test_channels_of_a_module_that_normalises_over_them_can_go_and_the_group_names_the_module():
    _, groups = middle(nn.GroupNorm(1, 8))
    assert (groups["inner"].kept, groups["inner"].normalised) == ("", ("between",))
    assert groups["outer"].normalised == ()


@pytest.mark.parametrize("between", NORMS)
def test_channels_of_a_norm_or_scale_over_them_may_be_of_any_number_but_none_can_go(between):
    _, groups = middle(between)
    assert groups["inner"].kept.startswith("without some of its channels the others change")
    assert not groups["outer"].kept


@pytest.mark.parametrize(
    ("between", "gate"),
    [
        *((act, "norms") for act in (torch.relu, F.gelu, F.hardswish, F.silu, torch.tanh)),
        *((act, "readers") for act in (torch.sigmoid, F.softplus, F.hardsigmoid, torch.cos)),
        (nn.BatchNorm2d(8), "norms"),
        (nn.InstanceNorm2d(8), "norms"),
        (nn.InstanceNorm2d(8, affine=True), "readers"),
        (lambda x: x + 1, "readers"),
        (nn.Dropout2d(), "norms"),
        (nn.PReLU(8), "norms"),
    ],
)
def test_gates_are_where_zero_closes_a_channel(between, gate):
    _, groups = middle(between)
    assert (groups["inner"].gate, groups["inner"].kept) == (gate, "")
    assert groups["outer"].gate == "readers"


def test_a_norm_that_does_more_than_torchs_own_is_not_gated():
    class NormAct(nn.BatchNorm2d):
        def forward(self, x):
            return F.silu(super().forward(x))

    _, groups = middle(NormAct(8), norm=False)
    assert groups["inner"].gate == "readers"


class Stream(nn.Module):
    """A residual stream with a bare projection or a shortcut from before the norm."""

    def __init__(self, kind) -> None:
        super().__init__()
        self.kind = kind
        self.inner, self.norm = nn.Conv2d(1, 6, 1), nn.BatchNorm2d(6)
        self.conv, self.norm2 = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)
        self.side, self.head = nn.Conv2d(1, 6, 1), nn.Linear(6, 2)

    def forward(self, x):
        raw = self.inner(x) - 10 if self.kind == "closed" else self.inner(x)
        y = self.norm2(self.conv(torch.relu(self.norm(raw))))
        kinds = {"bare": self.side(x), "raw": raw, "closed": raw, "normed": self.norm(raw)}
        short = kinds[self.kind]
        return self.head(torch.relu(y + short).mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "gate"),
    [("bare", "readers"), ("raw", "readers"), ("closed", "readers"), ("normed", "norms")],
)
def test_a_shortcut_past_the_norms_moves_the_gate_to_the_readers(kind, gate):
    found = trace_groups(Stream(kind), (torch.zeros(2, 1, 4, 4),))
    gates = {tensor: group.gate for group in found.groups for tensor in tensors_of(group)}
    assert gates["norm2.weight"] == gate


def tensors_of(group):
    return [member.tensor for member in group.members]


@pytest.mark.parametrize(
    ("weight", "between"),
    [
        ((6, 8), lambda x, w: F.conv2d(x, w[:, :, None, None])),
        ((6, 8), lambda x, w: F.linear(x.permute(0, 2, 3, 1), w).permute(0, 3, 1, 2)),
        ((8, 6), lambda x, w: (x.permute(0, 2, 3, 1) @ w).permute(0, 3, 1, 2)),
        ((6, 8), lambda x, w: (w @ x.flatten(2)).unflatten(2, x.shape[2:])),
        ((8, 6), lambda x, w: torch.einsum("nchw,co->nohw", x, w)),
        ((8, 6), lambda x, w: F.conv_transpose2d(x, w[:, :, None, None])),
    ],
)
def test_functions_with_parameters_make_and_read_channels_as_layers_do(weight, between):
    class Written(Middle):
        def __init__(self) -> None:
            super().__init__(None, 6)
            self.matrix = nn.Parameter(torch.randn(weight))

        def forward(self, x):
            x = between(torch.relu(self.norm(self.inner(x))), self.matrix)
            return self.head(torch.relu(self.outer(x)).mean((2, 3)))

    found = trace_groups(Written(), (torch.zeros(2, 1, 4, 4),))
    groups = {group.name: group for group in found.groups}
    assert {name: group.size for name, group in groups.items()} == {
        "matrix": 6,
        "inner": 8,
        "outer": 5,
    }
    (reader,) = [member for member in groups["inner"].members if member.reads]
    assert (reader.tensor, weight[reader.axis]) == ("matrix", 8)


def test_a_weight_that_is_computed_at_every_call_keeps_its_width_by_the_layers_name():
    from torch.nn.utils import parametrizations

    found, _ = middle(parametrizations.weight_norm(nn.Conv2d(8, 8, 1)))
    assert found.reasons["between"].startswith("its weight is computed at every call from")
    assert found.reasons["inner"].startswith("between reads it")


def test_a_mask_of_one_channel_leaves_what_it_masks_free():
    class Masked(Middle):
        def __init__(self) -> None:
            super().__init__(None)
            self.mask = nn.Conv2d(8, 1, 1)

        def forward(self, x):
            x = torch.relu(self.norm(self.inner(x)))
            x = self.outer(x * torch.sigmoid(self.mask(x)))
            return self.head(x.mean((2, 3)))

    found = trace_groups(Masked(), (torch.zeros(2, 1, 4, 4),))
    assert {group.name for group in found.groups} == {"inner", "outer"}
    assert found.reasons["mask"] == "its one channel acts on many"


def test_tracing_moves_no_seed_and_changes_no_network():
    module = Middle(nn.Identity())
    before = copy.deepcopy(module.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trace_groups(module, (torch.zeros(2, 1, 4, 4),))
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training


class DeclaredStream(Stream):
    def channel_groups(self):
        builder = GroupBuilder(self)
        builder.produced_by("stream", self.inner, self.norm, self.conv, self.norm2, self.side)
        builder.consumed_by("stream", self.conv)
        builder.consumed_by("stream", self.head)
        return builder.groups()


def test_a_declared_shortcut_behind_a_closed_relu_is_found():
    # Of some weights nothing is heard on any probe: those would be kept.
    torch.manual_seed(0)
    module = DeclaredStream("bare")
    with torch.no_grad():
        module.side.bias.fill_(-10)
    (group,) = prove_groups(module, (torch.zeros(2, 1, 4, 4),)).groups
    assert (group.gate, group.kept) == ("readers", "")


class Declared(Middle):
    """It declares its groups itself, and wrongly where ``between`` turns their order."""

    def channel_groups(self):
        builder = GroupBuilder(self)
        builder.produced_by("inner", self.inner, self.norm)
        builder.consumed_by("inner", self.outer)
        builder.produced_by("outer", self.outer)
        builder.consumed_by("outer", self.head)
        return builder.groups()


def test_groups_that_a_network_declares_are_tried_as_well():
    x = (torch.zeros(2, 1, 4, 4),)
    right = {g.name: g for g in prove_groups(Declared(nn.Identity()), x).groups}
    assert (right["inner"].gate, right["outer"].gate) == ("norms", "readers")
    assert not any(group.kept for group in right.values())
    wrong = {g.name: g for g in prove_groups(Declared(lambda x: x.flip(1)), x).groups}
    assert wrong["inner"].kept
    assert not wrong["outer"].kept
    open_gate = {g.name: g for g in prove_groups(Declared(torch.sigmoid), x).groups}
    assert (open_gate["inner"].gate, open_gate["inner"].kept) == ("readers", "")
