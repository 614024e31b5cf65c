"""MACs of a growing network are those of its trace, at every width."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cost_models
from growsearch.errors import UsageError
from growsearch.growth.budget.cost_terms import mac_terms
from growsearch.growth.budget.traced_macs import countable_mac_terms, traced_mac_terms
from search_spaces import SEARCH_SPACES, channel_groups, resize, units
from search_spaces.trace_groups import declare_groups, declare_traced_groups


class Scores(nn.Module):
    """Attention in several ways of writing it."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.inner = nn.Linear(5, 6)
        self.query, self.key = nn.Linear(6, 4), nn.Linear(6, 4)
        self.value, self.head = nn.Linear(6, 7), nn.Linear(7, 3)
        self.matrix = nn.Parameter(torch.randn(9, 6))
        self.back = nn.Linear(9, 6)
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)
        self.to_heads, self.from_heads = nn.Linear(6, 8), nn.Linear(8, 7)

    def forward(self, x):
        x = torch.relu(self.inner(x))
        if self.kind == "function":
            x = self.back(F.linear(x, self.matrix))
        if self.kind == "heads":
            x = self.to_heads(x)
            x = x + self.heads(x, x, x, need_weights=False)[0]
            return self.head(self.from_heads(x)).mean(1)
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.kind == "fused":
            return self.head(F.scaled_dot_product_attention(query, key, value)).mean(1)
        scores = torch.einsum("nqd,nkd->nqk", query, key)
        return self.head(scores.softmax(-1) @ value).mean(1)


def traced(kind):
    torch.manual_seed(0)
    module, x = Scores(kind).eval(), (torch.zeros(1, 4, 5),)
    declare_traced_groups(module, x)
    return module, x


@pytest.mark.parametrize("kind", ["einsum", "function", "fused", "heads"])
def test_products_outside_layers_are_counted_at_every_width(kind):
    module, x = traced(kind)
    groups = channel_groups(module)
    full = [group.size for group in groups]
    terms = traced_mac_terms(module, groups, x)
    assert mac_terms(module, groups, x).exact(full) < terms.exact(full)
    generator = torch.Generator().manual_seed(0)
    drawn = [
        [int(torch.randint(1, n + 1, (1,), generator=generator)) for n in full] for _ in range(6)
    ]
    for sizes in (*drawn, [group.multiple for group in groups]):
        small = copy.deepcopy(module)
        resize(small, {group.name: size for group, size in zip(groups, sizes, strict=True)})
        assert terms.exact(sizes) == cost_models.trace(small, x).dense_macs


def test_layers_alone_are_counted_as_they_were():
    space = SEARCH_SPACES["resnet-digits"]
    module = space.build(space.largest())
    arguments = (module, channel_groups(module), space.example_inputs())
    assert traced_mac_terms(*arguments).terms == mac_terms(*arguments).terms


@pytest.mark.parametrize("name", ["basic3resnet-digits", "botnet50"])
def test_units_and_attention_of_our_own_families_are_those_of_the_trace(name):
    space = SEARCH_SPACES[name]
    with torch.random.fork_rng():
        module = space.build(space.largest())
    groups = channel_groups(module)
    detachable = tuple(unit for unit in units(module) if unit.detachable)
    terms = traced_mac_terms(module, groups, space.example_inputs(), detachable)
    full = [*(group.size for group in groups), *(1 for _ in detachable)]
    assert terms.exact(full) == cost_models.trace(module, space.example_inputs()).dense_macs


def test_a_network_that_cannot_be_counted_is_refused_by_its_operator():
    class Fourier(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(torch.fft.fft(self.inner(x), dim=0).real)

    module = Fourier()
    declare_groups(module, ())
    with pytest.raises(UsageError, match=r"Fourier cannot be grown: .*fft_fft may do MACs"):
        traced_mac_terms(module, (), (torch.zeros(1, 4),))


def test_a_count_that_is_another_one_at_a_width_of_one_is_refused():
    class Meeting(nn.Module):
        """Products of a width with one fixed channel: at a width of 1 there is another sum."""

        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = self.inner(x)
            total = torch.einsum("nc,nc->n", x, x.new_ones(len(x), 1))
            return self.head(x) + total[:, None]

    module, x = Meeting(), (torch.zeros(1, 4),)
    declare_traced_groups(module, x)
    with pytest.raises(UsageError, match=r"Meeting cannot be grown: the MACs of .* widths only"):
        traced_mac_terms(module, channel_groups(module), x)
    terms, held = countable_mac_terms(module, channel_groups(module), x)
    assert list(held) == ["inner"]
    assert terms.exact([]) == cost_models.trace(module, x).dense_macs


def test_a_layer_whose_macs_follow_no_product_of_widths_is_refused_by_its_name():
    class Folded(nn.Module):
        """A chain of products as long as its width."""

        def __init__(self):
            super().__init__()
            self.inner, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = self.inner(x)
            pad = x.new_zeros(len(x), x.shape[1] // 2 + 1)
            return self.head(x) + (pad @ x.new_zeros(pad.shape[1], 2))

    module, x = Folded(), (torch.zeros(1, 4),)
    declare_traced_groups(module, x)
    with pytest.raises(UsageError, match=r"Folded cannot be grown: the MACs of its .*products"):
        traced_mac_terms(module, channel_groups(module), x)


def test_groups_that_cannot_be_counted_are_held_and_the_others_counted():
    class Partly(nn.Module):
        """Two layers; behind the second is a chain of products as long as its width."""

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            x = self.second(torch.relu(self.first(x)))
            pad = x.new_zeros(len(x), x.shape[1] // 2 + 1)
            return self.head(x) + (pad @ x.new_zeros(pad.shape[1], 2))

    module, x = Partly(), (torch.zeros(1, 4),)
    declare_traced_groups(module, x)
    terms, held = countable_mac_terms(module, channel_groups(module), x)
    assert list(held) == ["second"]
    assert "follow its width in no product of widths" in held["second"]
    assert terms.names == ("first",)
    assert terms.exact([5]) == 4 * 5 + 5 * 6 + 6 * 2 + 4 * 2
