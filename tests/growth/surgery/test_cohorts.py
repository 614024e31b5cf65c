"""Weights that came later have rates of their own, whatever the optimizer."""

import dataclasses

import pytest
import torch
from torch import nn

from growsearch.growth import Budget, GrowthConfig, GrowthOptions, grow
from growsearch.growth.budget.structures import Structures
from growsearch.growth.surgery import cohorts
from growsearch.growth.surgery.cohorts import CohortRates
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.training import SGD, Adam, AdamW, Lion, Recipe, make_optimizer
from search_spaces import ChannelGroup, Member
from search_spaces.axes.axis_parts import Part

OPTIMIZERS = [SGD(), SGD(momentum=0.0, nesterov=False), Adam(), AdamW(), Lion()]


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(4, 2, bias=False)

    def channel_groups(self):
        a = (Member(tensor="a.weight", axis=0), Member(tensor="a.bias", axis=0))
        b = (Member(tensor="b.weight", axis=0), Member(tensor="b.bias", axis=0))
        # The last layer reads one colour, two channels of b and one colour more.
        parts = (Part(size=1), Part(group="b", size=2), Part(size=1))
        read = Member(tensor="c.weight", axis=1, parts=parts, place=1)
        return (
            ChannelGroup(name="a", size=3, members=(*a, Member(tensor="b.weight", axis=1))),
            ChannelGroup(name="b", size=2, members=(*b, read)),
        )


def chain():
    """Return the network, its rates, and a function that makes channels live."""
    torch.manual_seed(0)
    model = Chain()
    groups = model.channel_groups()
    rates, surgeon = CohortRates(model, groups, ()), Surgeon(model, groups)
    optimizer = make_optimizer(model, RECIPE)

    def change(a, b):
        live = torch.zeros(5, dtype=torch.bool)
        live[a] = True
        live[[3 + each for each in b]] = True
        rates.create(surgeon.restructure(live, optimizer, RECIPE))
        rates.locate(model, live)

    surgeon.seed(Structures.of(groups).first_of_each())
    rates.locate(model, surgeon.live)
    return model, rates, change


RECIPE = Recipe(epochs=2)


def found(rates, model):
    """Return the cohorts of all weights by name, None where all are the seed's."""
    names = [name for name, _ in model.named_parameters()]
    parts = zip(names, rates._cohorts, strict=True)
    return {name: None if each is None else each.tolist() for name, each in parts}


def test_a_weight_comes_with_the_latest_of_the_channels_that_it_joins():
    model, rates, change = chain()
    assert set(found(rates, model).values()) == {None}
    change(a=[0, 1], b=[0])
    change(a=[0, 1, 2], b=[0, 1])
    assert found(rates, model) == {
        "a.weight": [[0, 0], [1, 1], [2, 2]],
        "a.bias": [0, 1, 2],
        "b.weight": [[0, 1, 2], [2, 2, 2]],
        "b.bias": [0, 2],
        "c.weight": [[0, 0, 2, 0], [0, 0, 2, 0]],
    }


def test_channels_that_come_back_belong_to_the_change_that_created_them():
    model, rates, change = chain()
    change(a=[0, 2], b=[0])
    change(a=[0], b=[0])
    change(a=[0, 1, 2], b=[0])
    assert found(rates, model)["a.bias"] == [0, 2, 1]


def test_the_rate_of_a_cohort_is_its_norm_beside_that_of_the_seed():
    model, rates, change = chain()
    change(a=[0, 1], b=[0])
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        model.a.bias.fill_(100.0)
        model.b.weight.copy_(torch.tensor([[2.0, 2.0]]))
        model.c.weight.fill_(0.0)
    rates.measure(model)
    # Seed: 4 + 1 + 4 = 9; those that came: 1 + 4 + 4 = 9.
    torch.testing.assert_close(rates.factors().float(), torch.tensor([1.0, 1.0]))
    with torch.no_grad():
        model.b.weight.copy_(torch.tensor([[2.0, 1.0]]))
        model.a.weight[1] = 0
    rates.measure(model)
    torch.testing.assert_close(rates.factors().float(), torch.tensor([1.0, 1 / 3]))


def test_without_the_seed_the_oldest_cohort_has_the_rate_and_an_empty_one_as_well():
    model, rates, change = chain()
    change(a=[0, 1], b=[0])
    change(a=[0, 1, 2], b=[0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.a.weight[1:] = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    rates.measure(model)
    assert rates.factors().tolist() == [1.0, 1.0, 3.0]


def steps(optimizer, rate, *, adapted=()):
    """Take five steps of drawn gradients; return what the weights of a chain are then.

    ``adapted`` are the rates of three cohorts beside ``rate``.
    """
    model, rates, change = chain()
    change(a=[0, 1], b=[0])
    change(a=[0, 1, 2], b=[0, 1])
    recipe = Recipe(epochs=2, learning_rate=rate, weight_decay=0.1, optimizer=optimizer)
    taken = make_optimizer(model, recipe)
    rates.load_state({**rates.state(), "factors": torch.tensor(adapted, dtype=torch.float64)})
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        if adapted:
            rates.remember(model)
        taken.step()
        if adapted:
            rates.adapt(model)
    return model, rates


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_cohorts_steps_are_those_of_an_optimizer_at_its_rate(optimizer):
    shares = (1.0, 0.5, 2.0)
    mixed, rates = steps(optimizer, 0.01, adapted=shares)
    for k, share in enumerate(shares):
        alone, _ = steps(optimizer, 0.01 * share)
        for one, other, cohort in zip(
            mixed.parameters(), alone.parameters(), rates._cohorts, strict=True
        ):
            own = torch.zeros_like(one, dtype=torch.long) if cohort is None else cohort
            torch.testing.assert_close(one[own == k], other[own == k], rtol=1e-5, atol=1e-7)
            if k == 0:
                assert torch.equal(one[own == 0], other[own == 0])


# Structure changes after epochs 1 to 3; the checkpoint of epoch 5 is of a final one.
GROWS = GrowthConfig(
    recipe=Recipe(epochs=6, batch_size=16, learning_rate=0.05), norms="transfer", freeze_at=0.5
)


class KilledError(Exception):
    pass


class Stop:
    def __init__(self, epoch):
        self.epoch_ = epoch

    def resumed(self, records):
        pass

    def epoch(self, record):
        if record.epoch == self.epoch_:
            raise KilledError


def run(space, dataset, config, path=None, stop=None):
    options = GrowthOptions(checkpoint=path, listener=None if stop is None else Stop(stop))
    return grow(space, dataset, budget=Budget(macs=0.5), config=config, seed=1, options=options)


@pytest.mark.parametrize("policy", ["planned", "random"])
def test_cohorts_outlive_growth_folding_and_a_stop(unit_space, dataset, tmp_path, policy):
    config = dataclasses.replace(GROWS, policy=policy)
    whole = run(unit_space, dataset, config)
    assert whole.history[1].created + whole.history[2].created > 0
    for stop in (2, 5):
        with pytest.raises(KilledError):
            run(unit_space, dataset, config, tmp_path / "c", stop)
    resumed = run(unit_space, dataset, config, tmp_path / "c")
    assert resumed.history == whole.history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_a_run_without_the_rates_is_another(space, dataset, monkeypatch):
    whole = run(space, dataset, GROWS)
    monkeypatch.setattr(cohorts.CohortRates, "adapt", lambda rates, model: None)
    other = run(space, dataset, GROWS)
    assert other.history[0].loss == whole.history[0].loss
    assert other.history[-1].loss != whole.history[-1].loss
