"""Layers that keep their width: what they cost, and what is said of them."""

import sys

import pytest
import torch
from torch import nn

import cost_models
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.growth.costs import Costs
from growsearch.growth.full_network import build_full
from growsearch.growth.staying import Staying, largest_words
from growsearch.training import Recipe
from search_spaces import search_space

THIS = __name__


class Held(nn.Module):
    """Layer by layer: 1 to 4 channels (grows), to 6 (frozen), to 5 (grows), to 3 scores."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.c, self.head = nn.Conv2d(6, 5, 1), nn.Linear(5, num_classes)
        self.b.bias.requires_grad = False

    def forward(self, x):
        x = torch.relu(self.c(torch.relu(self.b(torch.relu(self.a(x))))))
        return self.head(x.mean((2, 3)))


class Free(Held):
    def __init__(self, num_classes=3):
        super().__init__(num_classes)
        self.b.bias.requires_grad = True


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, THIS, sys.modules[THIS])


def space_of(network):
    return search_space(f"{THIS}:{network.__name__}").for_data((1, 6, 6), 3)


def costs_of(network, **budget):
    space = space_of(network)
    return Costs.of(space, build_full(space, seed=0), Budget(**budget))


def test_what_stays_holds_what_it_costs_in_the_least_network():
    (stays,) = costs_of(Held, macs=0.6).staying
    # b reads one channel and makes six; c reads six and makes one.
    full = 36 * (9 * 1 * 4 + 9 * 4 * 6 + 6 * 5) + 5 * 3
    assert (stays.name, stays.macs) == ("b", pytest.approx(36 * (9 * 6 + 6) / full))
    parameters = sum(p.numel() for p in build_full(space_of(Held), seed=0).parameters())
    assert stays.parameters == pytest.approx((9 * 6 + 6 + 6 + 1) / parameters)
    assert stays.reason == "b.bias is frozen (requires_grad is False)"


def test_where_all_grows_nothing_stays():
    costs = costs_of(Free, macs=0.6)
    assert costs.staying == ()
    least = 36 * (9 + 9 + 1) + 3
    assert costs.floor == least


def test_the_floor_is_the_trace_of_the_least_network():
    costs = costs_of(Held, macs=0.6)
    space = space_of(Held)
    small = space.build(space.with_widths(space.largest(), {"a": 1, "c": 1}))
    assert costs.floor == cost_models.trace(small, space.example_inputs()).dense_macs


@pytest.mark.parametrize(
    ("budget", "floor", "holds"),
    [
        ({"macs": 0.1}, r"2,487 with one channel a group, 24\.5 % of the full one", "MACs"),
        ({"parameters": 0.1}, r"83 with one channel a group, 26\.3 % of the full", "parameters"),
    ],
)
def test_a_budget_below_the_floor_is_refused_with_the_floor_and_what_holds_it_up(
    budget, floor, holds
):
    with pytest.raises(UsageError, match=floor) as caught:
        costs_of(Held, **budget)
    assert "What keeps its width: 'b' holds " in str(caught.value)
    assert f"% of the {holds} (b.bias is frozen" in str(caught.value)


def test_the_largest_are_named_first_and_no_more_than_three():
    staying = [Staying(name=n, reason="r", parameters=p, macs=m) for n, p, m in ROWS]
    assert largest_words(staying, "macs").count("holds") == 3
    assert largest_words(staying, "macs").startswith("'d' holds 40 % of the MACs (r)")
    assert largest_words(staying, "parameters").startswith("'a' holds 40 % of the parameters (r)")
    assert largest_words((), "macs") == ""


ROWS = [("a", 0.4, 0.1), ("b", 0.3, 0.2), ("c", 0.2, 0.3), ("d", 0.1, 0.4)]


def test_a_result_says_what_stayed(dataset):
    config = GrowthConfig(recipe=Recipe(epochs=2, batch_size=32))
    result = grow(space_of(Held), dataset, budget=Budget(macs=0.6), config=config)
    assert [each.name for each in result.staying] == ["b"]
    assert result.floor <= result.cost <= result.limit
