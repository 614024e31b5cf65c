import pytest
import torch
from torch.nn import functional as F

from growsearch.errors import UsageError
from growsearch.growth import BIRTHS, Budget, GrowthConfig, grow
from growsearch.growth.budget.structures import Structures
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.policies.birth import birth_scores, reorder
from growsearch.growth.surgery.surgeon import Surgeon, rebuild_optimizer
from growsearch.training import Recipe, make_optimizer
from search_spaces import channel_groups

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05)


def network(space, live):
    """A tiny network of the channels ``live`` with half-open gates, after a few steps."""
    torch.manual_seed(0)
    model = space.build(space.largest())
    groups = channel_groups(model)
    gates = insert_gates(model, groups)
    surgeon = Surgeon(model, groups)
    surgeon.seed(live)
    optimizer = make_optimizer(model, RECIPE)
    rebuild_optimizer(model, optimizer, RECIPE, {})
    for gate, width in zip(gates.values(), surgeon.structures.counts(live), strict=True):
        gate.set(torch.full((width,), 0.5))
    return model, gates, surgeon, optimizer


@pytest.fixture
def batch(dataset):
    return dataset.train.inputs[:24], dataset.train.labels[:24]


@pytest.fixture
def live(space):
    groups = channel_groups(space.build(space.largest()))
    return Structures.of(groups).first_of_each()


def train(model, optimizer, batch):
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()


@pytest.mark.parametrize("training", [True, False])
def test_attaching_everything_to_a_copy_keeps_its_function_and_the_original(
    space, live, batch, training
):
    model, gates, surgeon, optimizer = network(space, live)
    train(model, optimizer, batch)
    full = surgeon.full_copy(gates)
    assert [group.size for group in channel_groups(full)] == [4, 4, 8, 8]
    assert [group.size for group in channel_groups(model)] == [1, 1, 1, 1]
    assert all(gate.value.shape == (1,) for gate in gates.values())
    model.train(training), full.train(training)
    torch.testing.assert_close(full(batch[0]), model(batch[0]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channel", [2, 5, 10, 12, 20])
def test_a_score_is_the_gradient_that_the_channel_would_see_if_attached(
    space, live, batch, channel
):
    model, gates, surgeon, optimizer = network(space, live)
    train(model, optimizer, batch)
    score = birth_scores(surgeon, gates, *batch)[channel]
    wider = live.clone()
    wider[channel] = True
    surgeon.restructure(wider, optimizer, RECIPE)
    for gate, width in zip(gates.values(), surgeon.structures.counts(wider), strict=True):
        # The old channel stands first in its group; the attached one is open.
        gate.set(torch.tensor([0.5, 1.0])[:width])
    model.train().zero_grad()
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    squares = torch.zeros(())
    for group in channel_groups(model):
        for member in group.members:
            if group.size == 2 and member.axis == 1:
                weight = model.get_parameter(member.tensor)
                squares += weight.grad[:, 1].square().sum()
    assert score > 0
    torch.testing.assert_close(score, squares.sqrt(), rtol=1e-4, atol=1e-7)


def test_asking_the_unborn_changes_nothing(space, live, batch):
    model, gates, surgeon, optimizer = network(space, live)
    train(model, optimizer, batch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    birth_scores(surgeon, gates, *batch)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_values_are_exchanged_within_each_group_and_only_among_members():
    structures = Structures(names=("a", "b"), sizes=(4, 2))
    values = torch.tensor([9.0, 1.0, 2.0, 3.0, 5.0, 4.0])
    order = torch.tensor([0.0, 0.9, 0.1, 0.5, 0.1, 0.9])
    members = torch.tensor([False, True, True, True, True, True])
    expected = torch.tensor([9.0, 3.0, 1.0, 2.0, 4.0, 5.0])
    assert torch.equal(reorder(values, order, members, structures), expected)
    nobody = torch.zeros(6, dtype=torch.bool)
    assert torch.equal(reorder(values, order, nobody, structures), values)


@pytest.mark.parametrize("policy", ["learned", "random-order"])
def test_growing_by_gradient_stays_in_budget_and_pays_for_its_questions(space, dataset, policy):
    results = {
        birth: grow(
            space,
            dataset,
            budget=Budget(macs=0.4),
            config=GrowthConfig.paper(recipe=RECIPE, policy=policy, birth=birth),
            seed=1,
        )
        for birth in BIRTHS
    }
    by_chance, by_gradient = results["chance"], results["gradient"]
    assert all(r.forward_macs <= by_gradient.limit for r in by_gradient.history)
    assert by_gradient.history[0].live != by_chance.history[0].live
    # Epoch 1: 6 steps of 16 with the seed network, one batch with all of it, recalibration.
    seed_macs = 36 * 9 * 3 + 9 * (9 + 9 + 1) + 3
    full_macs = by_gradient.dense_training_macs // (3 * 16 * 6 * 4)
    first = by_gradient.history[0]
    questions = 3 * 16 * full_macs
    recalibration = 4 * 16 * first.forward_macs
    assert first.training_macs == 3 * 16 * 6 * seed_macs + questions + recalibration


def test_an_unknown_birth_lists_the_valid_ones():
    with pytest.raises(UsageError, match="birth: unknown 'stork'; valid: chance, gradient"):
        GrowthConfig.paper(birth="stork")


def test_birth_by_gradient_is_refused_where_it_could_do_nothing():
    with pytest.raises(UsageError, match="birth: 'gradient' has nothing to order"):
        GrowthConfig.paper(policy="random", birth="gradient")
