import pytest
import torch

from growsearch.errors import UsageError
from growsearch.growth import (
    Budget,
    GrowthConfig,
    GrowthOptions,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.growth.budget.cost_terms import parameter_terms
from growsearch.growth.budget.structures import Structures
from growsearch.training import Recipe
from search_spaces import channel_groups

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.99])
def test_uniform_widths_are_the_widest_that_fit(space, share):
    full = space.build(space.largest())
    groups = channel_groups(full)
    terms = parameter_terms(full, groups)
    limit = int(share * terms.exact(Structures.of(groups).sizes))
    widths = dict(uniform_architecture(space, Budget(parameters=share)).choices)
    sizes = [widths[group.name] for group in groups]
    assert terms.exact(sizes) <= limit
    # Groups of 4 and 8: shares are eighths, so the next network keeps one more eighth.
    eighth = widths["stage1"] + 1
    wider = [max(1, group.size * eighth // 8) for group in groups]
    assert terms.exact(wider) > limit
    assert sizes == [max(1, group.size * (eighth - 1) // 8) for group in groups]


def test_the_whole_budget_is_the_full_configuration(space):
    assert uniform_architecture(space, Budget(macs=1.0)) == space.largest()


def test_a_uniform_budget_below_one_channel_a_group_is_refused(space):
    with pytest.raises(UsageError, match="one channel a group"):
        uniform_architecture(space, Budget(macs=0.001))


def test_a_fixed_network_trains_at_its_own_cost(space, dataset):
    narrow = uniform_architecture(space, Budget(macs=0.3))
    result = train_fixed(space, dataset, narrow, recipe=RECIPE, seed=0)
    assert result.parameters == sum(p.numel() for p in result.model.parameters())
    assert result.training_macs == 3 * result.macs * 16 * 6 * 3
    dense = train_fixed(space, dataset, space.largest(), recipe=RECIPE, seed=0)
    assert dense.training_macs == dense.dense_training_macs == result.dense_training_macs


def test_direct_design_trains_the_grown_widths_from_fresh_weights(space, dataset):
    config = GrowthConfig(recipe=RECIPE)
    grown = grow(space, dataset, budget=Budget(macs=0.4), config=config, seed=0)
    direct = train_fixed(space, dataset, grown.architecture, recipe=RECIPE, seed=0)
    assert direct.architecture == grown.architecture
    assert direct.macs == grown.macs
    assert not torch.equal(direct.model.classifier.weight, grown.model.classifier.weight)


def test_a_fixed_network_is_the_same_at_the_same_seed_and_leaves_torchs_generator_alone(
    space, dataset
):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again = (
        train_fixed(space, dataset, space.largest(), recipe=RECIPE, seed=7) for _ in range(2)
    )
    assert torch.equal(torch.rand(2), expected)
    assert first.history == again.history


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_uniform_policy_runs_the_uniform_network_and_spends_what_is_left(space, dataset, share):
    config = GrowthConfig(recipe=RECIPE, policy="uniform")
    result = grow(space, dataset, budget=Budget(macs=share), config=config, seed=0)
    least = dict(uniform_architecture(space, Budget(macs=share)).choices)
    widths = dict(result.architecture.choices)
    for group in channel_groups(space.build(space.largest())):
        # Near the common share: what is left is spent, and exchanges come nearer to the budget.
        assert least[group.name] - 1 <= widths[group.name] <= least[group.name] + 2
    assert [record.widths for record in result.history] == [result.history[0].widths] * 3
    assert result.cost <= result.limit
    # 6 steps of 16 examples an epoch, at one size throughout.
    assert result.training_macs == 3 * result.macs * 16 * 6 * 3


def test_direct_design_is_a_flag_and_goes_on_after_a_stop_in_either_part(space, dataset, tmp_path):
    config = GrowthConfig(recipe=RECIPE, direct_design=True)

    def run(path=None, stop=None):
        heard, resumed = [], []

        class Listener:
            def resumed(self, records):
                resumed.extend(records)

            def epoch(self, record):
                heard.append(record)
                if record.epoch == stop:
                    raise KeyboardInterrupt

        options = GrowthOptions(checkpoint=path, listener=Listener())
        found = grow(
            space, dataset, budget=Budget(macs=0.4), config=config, seed=0, options=options
        )
        assert (*resumed, *heard) == found.history
        return found

    whole = run()
    assert config.total_epochs == len(whole.history) == 6
    assert [record.epoch for record in whole.history] == [1, 2, 3, 4, 5, 6]
    grown = grow(
        space, dataset, budget=Budget(macs=0.4), config=GrowthConfig(recipe=RECIPE), seed=0
    )
    direct = train_fixed(space, dataset, grown.architecture, recipe=RECIPE, seed=0)
    assert whole.architecture == grown.architecture
    assert whole.training_macs == grown.training_macs + direct.training_macs
    assert torch.equal(whole.model.classifier.weight, direct.model.classifier.weight)
    for stop in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "checkpoint", stop)
    resumed = run(tmp_path / "checkpoint")
    assert resumed.history == whole.history
    assert torch.equal(resumed.model.classifier.weight, whole.model.classifier.weight)
