import dataclasses

import pytest
import torch

from growsearch.datasets import load_dataset, subset
from growsearch.errors import UsageError
from growsearch.growth import POLICIES, Budget, GrowthConfig, grow, train_fixed
from growsearch.metrics import accuracy, predict
from growsearch.training import Hook, Recipe, TrainingOptions
from search_spaces import SEARCH_SPACES
from search_spaces.families.gpt import GPTSpace

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=0.05)
BUDGETS = [Budget(parameters=0.4), Budget(macs=0.4), Budget(parameters=500)]


def config(policy="learned", **changes):
    return GrowthConfig(recipe=RECIPE, policy=policy, **changes)


@pytest.fixture(params=sorted(POLICIES))
def policy(request):
    return request.param


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_every_epoch_keeps_the_budget_and_a_channel_a_group_and_the_last_spends_it(
    space, dataset, policy, budget
):
    result = grow(space, dataset, budget=budget, config=config(policy), seed=1)
    assert len(result.history) == RECIPE.epochs
    for record in result.history:
        cost = record.parameters if budget.metric == "parameters" else record.forward_macs
        assert cost <= result.limit
        assert min(record.widths.values()) >= 1
    # This network's smallest channel costs up to 6 % of the budget.
    assert result.cost >= 0.9 * result.limit


def test_the_result_rebuilds_from_its_architecture_bit_for_bit(space, dataset, policy):
    result = grow(space, dataset, budget=Budget(parameters=0.4), config=config(policy), seed=1)
    rebuilt = space.build(result.architecture)
    rebuilt.load_state_dict(result.model.state_dict())
    inputs = dataset.test.inputs
    assert torch.equal(predict(rebuilt, inputs), predict(result.model, inputs))
    assert [str(m) for m in rebuilt.modules()] == [str(m) for m in result.model.modules()]
    assert result.history[-1].widths == dict(result.architecture.choices)


def test_the_stated_costs_are_those_of_the_network(space, dataset):
    result = grow(space, dataset, budget=Budget(macs=0.4), config=config(), seed=1)
    assert result.parameters == sum(p.numel() for p in result.model.parameters())
    assert result.parameters == result.history[-1].parameters
    assert result.cost == result.macs == result.history[-1].forward_macs


def test_the_same_seed_gives_the_same_network_and_another_seed_another(space, dataset, policy):
    first, again, other = (
        grow(space, dataset, budget=Budget(parameters=0.4), config=config(policy), seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.history == again.history
    for left, right in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(left, right)
    assert first.history != other.history


def test_growing_leaves_torchs_own_generator_alone(space, dataset):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    grow(space, dataset, budget=Budget(parameters=0.4), config=config(), seed=1)
    assert torch.equal(torch.rand(3), expected)


class Tally(Hook):
    """Integrates the MACs once more from the networks that really ran."""

    def __init__(self):
        self.total = 0
        self.widths = []

    def after_update(self, state):
        self.total += 3 * state.forward_macs * 16
        self.widths.append({g.name: g.size for g in state.model.channel_groups()})


def test_training_macs_add_up_the_networks_that_ran(space, dataset):
    tally = Tally()
    result = grow(
        space,
        dataset,
        budget=Budget(macs=0.4),
        config=config(calibration_batches=2),
        seed=1,
        options=TrainingOptions(hooks=(tally,)),
    )
    recalibration = sum(
        2 * 16 * record.forward_macs
        for record in result.history
        if record.created or record.attached or record.detached
    )
    assert result.training_macs == tally.total + recalibration
    full = 36 * 9 * 4 + 2 * 36 * 9 * 16 + 9 * 9 * 32 + 9 * 9 * 64 + 9 * 32 + 24
    assert result.dense_training_macs == 3 * full * 16 * 6 * 6
    assert result.training_saving == result.dense_training_macs / result.training_macs > 2.5


def test_an_epoch_trains_the_widths_that_the_one_before_left(space, dataset):
    tally = Tally()
    options = TrainingOptions(hooks=(tally,))
    result = grow(space, dataset, budget=Budget(macs=0.4), config=config(), seed=1, options=options)
    assert set(tally.widths[0].values()) == {1}
    for record in result.history[:-1]:
        assert tally.widths[6 * record.epoch] == record.widths


def test_after_the_freeze_nothing_changes_any_more(space, dataset, policy):
    result = grow(
        space, dataset, budget=Budget(macs=0.4), config=config(policy, freeze_at=0.34), seed=1
    )
    assert [record.frozen for record in result.history] == [False] + [True] * 5
    assert len({str(record.live) for record in result.history[1:]}) == 1
    assert (result.history[0].live == result.history[1].live) == (policy == "uniform")


def test_structure_changes_are_counted_by_kind(space, dataset):
    result = grow(space, dataset, budget=Budget(macs=0.4), config=config(), seed=1)
    live = 4
    for record in result.history:
        live += record.created + record.attached - record.detached
        assert live == sum(record.widths.values())


def test_growing_works_without_convolutions(mlp_space, dataset, policy):
    recipe = Recipe(epochs=20, batch_size=16, learning_rate=0.05)
    settings = GrowthConfig(recipe=recipe, policy=policy)
    result = grow(mlp_space, dataset, budget=Budget(parameters=0.5), config=settings, seed=0)
    assert result.cost <= result.limit
    assert result.history[-1].accuracy > 0.9


def test_the_whole_budget_ends_with_the_whole_network(space, dataset):
    result = grow(space, dataset, budget=Budget(parameters=1.0), config=config(), seed=0)
    assert result.architecture == space.largest()


def test_a_budget_below_the_smallest_network_is_refused_before_any_training(space, dataset):
    with pytest.raises(UsageError, match="one channel a group"):
        grow(space, dataset, budget=Budget(parameters=0.001), config=config(), seed=0)


def test_a_budget_below_what_keeps_its_width_is_refused_with_what_holds_it(dataset):
    gpt = GPTSpace(
        name="gpt",
        description="for tests",
        blocks=1,
        heads=2,
        head_size=2,
        input_shape=(4,),
        num_classes=5,
    )
    with pytest.raises(UsageError, match=r"50\.8 % of the full one.* 'model' holds 29\.5 %"):
        grow(gpt, dataset, budget=Budget(macs=0.5), config=config(), seed=0)


def test_an_unknown_policy_lists_the_valid_ones(space, dataset):
    with pytest.raises(UsageError, match=r"policy: unknown 'magic'; valid: .*learned"):
        grow(space, dataset, budget=Budget(macs=0.5), config=config("magic"), seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": Recipe(epochs=1)}, "epochs: 1"),
        ({"freeze_at": 0.0}, "freeze_at: 0.0"),
        ({"calibration_batches": 0}, "calibration_batches: 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(config(), **changes)


def test_thirty_per_cent_of_the_digits_network_reads_digits():
    digits = load_dataset("digits")
    space = SEARCH_SPACES["resnet-digits"].for_data(digits.input_shape, digits.num_classes)
    settings = GrowthConfig(recipe=Recipe(epochs=8))
    result = grow(space, digits, budget=Budget(parameters=0.3), config=settings, seed=0)
    assert result.history[-1].accuracy >= 0.96
    assert 0.98 * result.limit <= result.cost <= result.limit
    assert result.training_saving > 3


def test_the_last_recorded_accuracy_is_that_of_the_returned_network(space, dataset):
    result = grow(space, dataset, budget=Budget(macs=0.4), config=config(), seed=1)
    validation = dataset.validation
    measured = accuracy(predict(result.model, validation.inputs), validation.labels)
    assert result.history[-1].accuracy == measured


def test_the_least_budget_trains_one_channel_a_group_throughout(space, dataset):
    with pytest.raises(UsageError) as refusal:
        grow(space, dataset, budget=Budget(macs=1), config=config(), seed=0)
    least = int(str(refusal.value).split("give at least ")[1].split()[0].replace(",", ""))
    result = grow(space, dataset, budget=Budget(macs=least), config=config(), seed=0)
    assert result.macs == least
    assert {width for r in result.history for width in r.widths.values()} == {1}


def test_two_epochs_are_enough_and_a_batch_may_be_larger_than_the_data(space, dataset):
    recipe = Recipe(epochs=2, batch_size=1000, learning_rate=0.05)
    settings = GrowthConfig(recipe=recipe)
    result = grow(space, dataset, budget=Budget(parameters=0.5), config=settings, seed=0)
    assert [record.frozen for record in result.history] == [True, True]
    assert result.cost > 0.9 * result.limit
    assert (
        result.dense_training_macs
        == train_fixed(space, dataset, space.largest(), recipe=recipe).training_macs
    )


def test_one_example_beside_whole_batches_takes_no_part_in_batch_norms_statistics(
    mlp_space, dataset
):
    few = subset(dataset, train=33, validation=20, test=20)
    recipe = Recipe(epochs=2, batch_size=32)
    result = grow(mlp_space, few, budget=Budget(parameters=0.3), config=GrowthConfig(recipe=recipe))
    assert len(result.history) == 2
