"""Which layers of an own network grow, which do not, and what is said of them."""

import logging
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cost_models
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, GrowthOptions, grow
from growsearch.growth.growing_groups import growing_groups
from growsearch.training import Recipe
from search_spaces import SearchSpaceError, channel_groups, search_space

THIS = __name__
SHAPE, CLASSES = (1, 6, 6), 3


def layer(c, out, norm=True):
    conv = nn.Conv2d(c, out, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU()) if norm else conv


class Chain(nn.Module):
    """Three layers; subclasses change what is in the middle."""

    def __init__(self, num_classes=CLASSES):
        super().__init__()
        self.a, self.b, self.c = layer(1, 8), layer(8, 8), layer(8, 10)
        self.head = nn.Linear(10, num_classes)
        self.change()

    def change(self):
        pass

    def middle(self, x):
        return x

    def forward(self, x):
        return self.head(self.c(self.middle(self.b(self.a(x)))).mean((2, 3)))


class FrozenConv(Chain):
    def change(self):
        self.b[0].weight.requires_grad = False


class FrozenNorm(Chain):
    def change(self):
        for parameter in self.b[1].parameters():
            parameter.requires_grad = False


class FrozenLayer(Chain):
    def change(self):
        for parameter in self.b.parameters():
            parameter.requires_grad = False


class FrozenInStream(Chain):
    """One of two layers that put out the same stream."""

    def change(self):
        self.side = nn.Conv2d(8, 8, 1)
        for parameter in self.side.parameters():
            parameter.requires_grad = False

    def middle(self, x):
        return x + self.side(x)


class FrozenForGood(FrozenLayer):
    """The frozen layer also keeps its statistics: it never trains."""

    def change(self):
        super().change()
        with torch.no_grad():
            self.b[1].running_mean.fill_(0.125)

    def train(self, mode=True):
        super().train(mode)
        self.b.eval()
        return self


class FrozenBias(Chain):
    def change(self):
        self.b[0].bias.requires_grad = False


class FrozenHead(Chain):
    """Its columns are what reads the last layer."""

    def change(self):
        for parameter in self.head.parameters():
            parameter.requires_grad = False


class FrozenDepthwise(Chain):
    """It puts out the channels that it reads, one by one."""

    def change(self):
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        for parameter in self.depthwise.parameters():
            parameter.requires_grad = False

    def middle(self, x):
        return self.depthwise(x)


class FrozenFunction(Chain):
    """A parameter that only a function reads."""

    def change(self):
        self.matrix = nn.Parameter(torch.full((8, 8), 0.125), requires_grad=False)

    def middle(self, x):
        return torch.einsum("oc,nchw->nohw", self.matrix, x)


class AllFrozen(Chain):
    def change(self):
        for parameter in (*self.a.parameters(), *self.b.parameters(), *self.c.parameters()):
            parameter.requires_grad = False


class Flipped(Chain):
    def middle(self, x):
        return x.flip(1)


class Normed(Chain):
    def middle(self, x):
        return F.normalize(x, dim=1)


class WithoutStatistics(Chain):
    def change(self):
        self.a = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8, track_running_stats=False))
        self.b = nn.Sequential(
            nn.Conv2d(8, 8, 3),
            nn.BatchNorm2d(8, affine=False, track_running_stats=False),
            nn.ReLU(),
        )


class WithoutNorms(Chain):
    def change(self):
        self.a, self.b = layer(1, 8, norm=False), layer(8, 8, norm=False)

    def middle(self, x):
        return F.softplus(x)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, THIS, sys.modules[THIS])


def space_of(network):
    return search_space(f"{THIS}:{network.__name__}").for_data(SHAPE, CLASSES)


def grown(network, dataset, budget=None, epochs=2):
    config = GrowthConfig(recipe=Recipe(epochs=epochs, batch_size=16))
    budget = budget or Budget(parameters=0.6)
    return grow(space_of(network), dataset, budget=budget, config=config, seed=0)


FROZEN = (
    *(FrozenConv, FrozenNorm, FrozenLayer, FrozenInStream, FrozenForGood),
    *(FrozenBias, FrozenHead, FrozenDepthwise, FrozenFunction),
)


def frozen_of(module):
    return {name: p for name, p in module.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize("network", FROZEN)
def test_frozen_layers_keep_their_values_and_shapes(network, dataset):
    result = grown(network, dataset, Budget(parameters=0.75))
    space = space_of(network)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        largest = space.build(space.largest())
    before, full = frozen_of(largest), {g.name: g.size for g in channel_groups(largest)}
    after = frozen_of(result.model)
    assert set(after) == set(before)
    assert before
    assert all(torch.equal(after[name], value) for name, value in before.items())
    held = {
        name for name, why in result.kept.items() if "is frozen (requires_grad is False)" in why
    }
    assert held
    assert all(result.history[-1].widths[name] == full[name] for name in held)
    # The others did grow.
    assert any(result.history[0].widths[name] < full[name] for name in full.keys() - held)


def test_a_frozen_layer_that_the_network_keeps_in_evaluation_keeps_its_statistics(dataset):
    result = grown(FrozenForGood, dataset, Budget(parameters=0.75))
    assert torch.equal(result.model.b[1].running_mean, torch.full((8,), 0.125))
    assert not torch.equal(
        result.model.c[1].running_mean, torch.zeros_like(result.model.c[1].running_mean)
    )


def test_a_network_whose_layers_are_all_frozen_is_refused_by_their_names(dataset):
    with pytest.raises(
        UsageError, match=r"AllFrozen cannot be grown: .*'a.0': a.0.weight is frozen"
    ):
        grown(AllFrozen, dataset)


def test_networks_of_other_widths_have_the_frozen_values():
    space = space_of(FrozenLayer)
    assert space.full_widths() == {"c.0": 10}
    torch.manual_seed(1)
    small = space.build(space.with_widths(space.largest(), {"c.0": 4, "b.0": 8}))
    torch.manual_seed(1)
    expected = frozen_of(space.build(space.largest()))
    assert all(torch.equal(frozen_of(small)[name], value) for name, value in expected.items())
    assert small.c[0].weight.shape[:2] == (4, 8)
    with pytest.raises(SearchSpaceError, match=r"b.0 has frozen weights and keeps its 8 channels"):
        space.with_widths(space.largest(), {"b.0": 4})


@pytest.mark.parametrize(
    ("network", "name", "reason"),
    [
        (Flipped, "b.0", "c.0 has its channels in another order or number"),
        (Normed, "b.0", "without some of its channels the others change"),
    ],
)
def test_a_layer_that_cannot_grow_is_told_once_and_the_others_grow(
    network, name, reason, dataset, caplog
):
    with caplog.at_level(logging.WARNING):
        result = grown(network, dataset)
        grown(network, dataset)
    assert result.kept[name].startswith(reason)
    assert set(result.kept) == {name}
    (told,) = [
        r.getMessage() for r in caplog.records if f"{name} keeps its width" in r.getMessage()
    ]
    assert reason in told
    assert network.__name__ in told
    assert result.model.b[0].weight.shape[0] == 8
    assert result.history[-1].widths["c.0"] < 10


@pytest.mark.parametrize("network", [WithoutStatistics, WithoutNorms])
@pytest.mark.parametrize("metric", ["parameters", "macs"])
def test_norms_without_statistics_and_layers_without_norms_grow_within_the_budget(
    network, metric, dataset
):
    result = grown(network, dataset, Budget(**{metric: 0.4}), epochs=3)
    assert result.cost <= result.limit
    assert not result.kept
    work = cost_models.trace(result.model, (torch.zeros(1, *SHAPE),))
    assert (result.parameters, result.macs) == (work.parameters, work.dense_macs)
    # What comes out is a network of the space.
    space = space_of(network)
    space.build(result.architecture).load_state_dict(result.model.state_dict())
    assert {g.name: g.size for g in channel_groups(result.model)} == result.history[-1].widths


class StoppedError(Exception):
    """Stands for a kill at the end of an epoch."""


@pytest.mark.parametrize("stop", [2, 5])
def test_a_stopped_run_of_layers_without_norms_goes_on_to_the_bit(stop, dataset, tmp_path):
    space = space_of(WithoutNorms)
    config = GrowthConfig(recipe=Recipe(epochs=6, batch_size=16), freeze_at=0.67)

    def run(**options):
        options = GrowthOptions(**options)
        return grow(space, dataset, budget=Budget(macs=0.4), config=config, options=options)

    def end(epoch):
        if epoch.epoch == stop:
            raise StoppedError

    whole = run()
    with pytest.raises(StoppedError):
        run(checkpoint=tmp_path / "c", on_epoch=end)
    again = run(checkpoint=tmp_path / "c")
    assert again.history == whole.history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


class Up(Chain):
    def change(self):
        self.up, self.norm = nn.ConvTranspose2d(8, 6, 2, 2), nn.BatchNorm2d(6)
        self.each = nn.ConvTranspose2d(6, 6, 2, 1, groups=6)
        self.c = layer(6, 10)

    def middle(self, x):
        return self.each(torch.relu(self.norm(self.up(x))))


class ChannelsLast(Chain):
    def change(self):
        self.head = nn.Linear(10 * 36, CLASSES)

    def forward(self, x):
        return self.head(self.c(self.b(self.a(x))).permute(0, 2, 3, 1).flatten(1))


class Attends(Chain):
    def change(self):
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)

    def middle(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return (tokens + mixed).transpose(1, 2).unflatten(2, x.shape[2:])


class NonLocal(Chain):
    def change(self):
        self.query, self.key = layer(8, 6), layer(8, 6)

    def middle(self, x):
        query, key, value = self.query(x).flatten(2), self.key(x).flatten(2), x.flatten(2)
        weights = (query.transpose(1, 2) @ key).softmax(-1)
        return (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])


class OwnWeight(Chain):
    def change(self):
        self.weight = nn.Parameter(0.1 * torch.randn(8, 8, 3, 3))

    def middle(self, x):
        return torch.sigmoid(F.conv2d(x, self.weight, padding=1))


@pytest.mark.parametrize("network", [Up, ChannelsLast, Attends, NonLocal, OwnWeight])
def test_a_budget_of_macs_is_kept_by_the_trace_whatever_does_them(network, dataset):
    result = grown(network, dataset, Budget(macs=0.4))
    space = space_of(network)
    full = cost_models.trace(space.build(space.largest()), space.example_inputs()).dense_macs
    work = cost_models.trace(result.model, space.example_inputs())
    assert (result.full_macs, result.macs) == (full, work.dense_macs)
    assert result.macs <= 0.4 * full
    assert result.parameters == work.parameters
    space.build(result.architecture).load_state_dict(result.model.state_dict())


@pytest.mark.parametrize("network", [ChannelsLast, WithoutNorms, Attends, NonLocal])
def test_births_by_gradient_grow_such_networks_too(network, dataset):
    recipe = Recipe(epochs=3, batch_size=16)
    config = GrowthConfig(recipe=recipe, birth="gradient")
    result = grow(space_of(network), dataset, budget=Budget(macs=0.4), config=config, seed=0)
    assert result.cost <= result.limit


def test_groups_of_the_registrys_spaces_all_grow(space):
    found = growing_groups(space, space.build(space.largest()))
    assert len(found.groups) == 4
    assert (found.whole, dict(found.kept)) == ((), {})
