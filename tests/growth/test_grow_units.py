"""Growing layers and filters together, run to its end for every policy and kind of unit."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from growsearch.growth import (
    POLICIES,
    Budget,
    GrowthConfig,
    IndicatorConfig,
    grow,
    train_fixed,
    uniform_architecture,
)
from growsearch.metrics import predict
from growsearch.training import Hook, Recipe, TrainingOptions
from search_spaces import Architecture
from search_spaces.units import Detached

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=0.05)


def config(policy="learned", **changes):
    return GrowthConfig.paper(recipe=RECIPE, policy=policy, **changes)


@pytest.fixture(params=sorted(POLICIES))
def policy(request):
    return request.param


class Witness(Hook):
    """Looks at the network that really trains, at every step."""

    def __init__(self):
        self.parameters, self.depths, self.macs = [], [], 0

    def after_update(self, state):
        self.parameters.append(sum(p.numel() for p in state.model.parameters()))
        stages = state.model.stages
        self.depths.append([sum(not isinstance(u, Detached) for u in stage) for stage in stages])
        self.macs += 3 * state.forward_macs * 16
        held = {id(p) for group in state.optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in state.model.parameters()}


@pytest.mark.parametrize("name", ["unit_space", "plain_space"])
@pytest.mark.parametrize("budget", [Budget(parameters=0.4), Budget(macs=0.4)], ids=str)
def test_every_step_keeps_the_budget_and_the_result_rebuilds_from_its_architecture(
    request, dataset, name, policy, budget
):
    space, witness = request.getfixturevalue(name), Witness()
    options = TrainingOptions(hooks=(witness,))
    result = grow(space, dataset, budget=budget, config=config(policy), seed=1, options=options)
    for record in result.history:
        cost = record.parameters if budget.metric == "parameters" else record.forward_macs
        assert record.cost == cost <= result.limit
        assert min(record.depths.values()) >= 1
        assert record.units["stage0"][0] == record.units["stage1"][0] == 0
    assert result.cost >= 0.85 * result.limit
    # What the records say is what ran.
    # All that grows begins with one unit a stage; fixed widths have theirs from the start.
    assert (witness.depths[0] == [1, 1]) == (policy != "uniform")
    for record in result.history[:-1]:
        assert witness.depths[6 * record.epoch] == list(record.depths.values())
        assert witness.parameters[6 * record.epoch] == record.parameters
    assert result.parameters == sum(p.numel() for p in result.model.parameters())
    written = json.loads(json.dumps(result.architecture.to_json()))
    rebuilt = space.build(Architecture.from_json(written))
    rebuilt.load_state_dict(result.model.state_dict())
    inputs = dataset.test.inputs
    assert torch.equal(predict(rebuilt, inputs), predict(result.model, inputs))
    assert repr(rebuilt) == repr(result.model)
    depths = {f"{stage}.units": depth for stage, depth in result.history[-1].depths.items()}
    assert depths.items() <= dict(result.architecture.choices).items()


def test_the_same_seed_gives_the_same_network_and_another_seed_another(unit_space, dataset, policy):
    first, again, other = (
        grow(unit_space, dataset, budget=Budget(macs=0.4), config=config(policy), seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.history == again.history
    for left, right in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(left, right)
    assert first.history != other.history


def test_structure_changes_count_units_as_well(unit_space, dataset):
    result = grow(unit_space, dataset, budget=Budget(macs=0.5), config=config(), seed=1)
    live = 4  # The two streams and the two first blocks have one channel each.
    for record in result.history:
        live += record.created + record.attached - record.detached
        fixed = 2
        assert live == sum(record.widths.values()) + sum(record.depths.values()) - fixed


def test_a_record_tells_every_structure_live_dormant_or_never_run(unit_space, dataset):
    settings = config(freeze_at=1.0)
    result = grow(unit_space, dataset, budget=Budget(macs=0.3), config=settings, seed=3)
    ever: dict[str, set[int]] = {}
    ever_units: dict[str, set[int]] = {}
    for record in result.history:
        for kind, now, waiting in (
            (ever, record.live, record.dormant),
            (ever_units, record.units, record.dormant_units),
        ):
            for name, positions in now.items():
                assert not set(positions) & set(waiting[name])
                seen = kind.setdefault(name, set())
                if kind is ever_units:
                    assert set(waiting[name]) <= seen
                seen |= set(positions)
        names = {*record.live, "stage0.unit1", "stage0.unit2", "stage1.unit1"}
        assert record.temperature.keys() == record.probability.keys() == names
        assert [len(record.probability[n]) for n in ("stage0", "stage1", "stage1.unit1")] == [
            4, 8, 1,
        ]  # fmt: skip
        assert all(0 <= p <= 1 for part in record.probability.values() for p in part)
        assert all(beta >= 1 for part in record.temperature.values() for beta in part)
    assert any(sum(map(len, record.dormant.values())) for record in result.history)


def test_only_what_runs_gets_hotter(unit_space, dataset):
    result = grow(unit_space, dataset, budget=Budget(macs=0.3), config=config(), seed=3)
    runs = dict.fromkeys(("stage0.unit1", "stage0.unit2", "stage1.unit1"), 0)
    for record in result.history[:3]:
        for name in runs:
            stage, unit = name.split(".unit")
            runs[name] += int(unit) in record.units[stage]
            assert record.temperature[name][0] == pytest.approx(100 ** (runs[name] / 6), rel=1e-4)


def test_random_policies_tell_what_they_know(unit_space, dataset):
    by_chance, in_order = (
        grow(unit_space, dataset, budget=Budget(macs=0.4), config=config(name), seed=1)
        for name in ("random", "random-order")
    )
    chances = {p for part in by_chance.history[0].probability.values() for p in part}
    assert len(chances) == 1
    assert 0 < chances.pop() < 1
    assert by_chance.history[0].temperature == {}
    assert in_order.history[0].temperature == in_order.history[0].probability == {}


def test_random_order_adds_units_and_takes_none_away(unit_space, dataset):
    result = grow(
        unit_space, dataset, budget=Budget(macs=0.6), config=config("random-order"), seed=0
    )
    before = dict.fromkeys(("stage0", "stage1"), ())
    for record in result.history:
        for stage, units in record.units.items():
            assert set(before[stage]) <= set(units)
        before = record.units
    assert sum(map(len, before.values())) > 2


def test_training_macs_add_up_the_networks_that_ran(unit_space, dataset):
    witness = Witness()
    result = grow(
        unit_space,
        dataset,
        budget=Budget(macs=0.4),
        config=config(calibration_batches=2),
        seed=1,
        options=TrainingOptions(hooks=(witness,)),
    )
    recalibration = sum(
        2 * 16 * record.forward_macs
        for record in result.history
        if record.created or record.attached or record.detached
    )
    assert result.training_macs == witness.macs + recalibration
    assert result.training_saving > 2


def test_without_layers_all_units_run_from_the_start(unit_space, dataset):
    result = grow(
        unit_space, dataset, budget=Budget(macs=0.5), config=config(grow_layers=False), seed=1
    )
    assert all(record.depths == {"stage0": 3, "stage1": 2} for record in result.history)
    assert "stage0.unit1" not in result.history[0].probability
    assert result.architecture["stage0.units"] == 3
    assert result.cost <= result.limit


def test_the_whole_budget_ends_with_the_whole_network(unit_space, plain_space, dataset):
    for space in (unit_space, plain_space):
        result = grow(space, dataset, budget=Budget(parameters=1.0), config=config(), seed=0)
        assert result.architecture == space.largest()


def test_the_least_budget_trains_one_unit_a_stage_of_one_channel_a_group(unit_space, dataset):
    # Stem 9, 2 x 9 a block, a projection, two weights a BatchNorm, and a classifier of 3.
    least = 9 + 4 * 9 + 1 + 2 * 6 + 3 + 3
    result = grow(unit_space, dataset, budget=Budget(parameters=least), config=config(), seed=0)
    assert result.parameters == least
    assert set(result.history[-1].depths.values()) == {1}


def test_units_wake_by_a_gain_of_their_own(unit_space, dataset):
    depths = {}
    for gain in (0.0, 4000.0):
        indicators = IndicatorConfig(layer_gain=gain, noise=0.0, initial=5.0)
        result = grow(
            unit_space,
            dataset,
            budget=Budget(macs=0.9),
            config=config(indicators=indicators, freeze_at=0.5),
            seed=1,
        )
        depths[gain] = max(sum(r.depths.values()) for r in result.history[:2])
    assert depths == {0.0: 2, 4000.0: 5}


@pytest.mark.parametrize("chosen", ["learned", "random-order"])
def test_births_by_gradient_ask_no_unit_that_does_not_run(unit_space, dataset, chosen):
    result = grow(
        unit_space,
        dataset,
        budget=Budget(macs=0.4),
        config=config(chosen, birth="gradient"),
        seed=1,
    )
    assert all(record.forward_macs <= result.limit for record in result.history)

    # Epoch 1: 6 steps of the seed network, one batch of its units at full width, recalibration.
    def macs(a, b):
        return 36 * 9 * a + 2 * 36 * 9 * a * a + 9 * (9 * a * b + 9 * b * b + a * b) + 3 * b

    first = result.history[0]
    recalibration = 4 * 16 * first.forward_macs
    assert first.training_macs == 3 * 16 * (6 * macs(1, 1) + macs(4, 8)) + recalibration


def test_bottlenecks_grow_too(bottleneck_space):
    from growsearch.datasets import Dataset, Split

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 1, 16, 16, generator=generator)
    split = Split(inputs=inputs, labels=torch.arange(32) % 3)
    data = Dataset(name="noise", train=split, validation=split, test=split, num_classes=3)
    recipe = Recipe(epochs=4, batch_size=16, learning_rate=0.05)
    result = grow(
        bottleneck_space,
        data,
        budget=Budget(parameters=0.6),
        config=GrowthConfig.paper(recipe=recipe),
        seed=2,
    )
    assert all(record.parameters <= result.limit for record in result.history)
    rebuilt = bottleneck_space.build(result.architecture)
    assert repr(rebuilt) == repr(result.model)
    assert not any(isinstance(layer, Detached) for layer in result.model.modules())


def test_direct_design_trains_the_grown_units_and_uniform_widths_keep_all_units(
    unit_space, dataset
):
    result = grow(unit_space, dataset, budget=Budget(parameters=0.4), config=config(), seed=1)
    direct = train_fixed(unit_space, dataset, result.architecture, recipe=RECIPE, seed=1)
    assert (direct.parameters, direct.macs) == (result.parameters, result.macs)
    assert direct.dense_training_macs == result.dense_training_macs
    uniform = uniform_architecture(unit_space, Budget(parameters=0.4))
    assert (uniform["stage0.units"], uniform["stage1.units"]) == (3, 2)
    model = unit_space.build(uniform)
    assert sum(p.numel() for p in model.parameters()) <= result.limit


def test_grown_networks_are_plain(unit_space, dataset):
    result = grow(unit_space, dataset, budget=Budget(parameters=0.4), config=config(), seed=1)
    kinds = {type(layer) for layer in result.model.modules()}
    assert nn.BatchNorm2d in kinds
    assert Detached not in kinds
    plain = unit_space.build(unit_space.largest())
    assert kinds <= {type(layer) for layer in plain.modules()}


def test_one_more_unit_in_the_space_makes_the_full_configuration_dearer(unit_space, dataset):
    deeper = dataclasses.replace(unit_space, most_units=(4, 2))
    settings = config()
    shallow, deep = (
        grow(space, dataset, budget=Budget(macs=0.4), config=settings, seed=1)
        for space in (unit_space, deeper)
    )
    assert deep.dense_training_macs - shallow.dense_training_macs == 3 * 2 * 36 * 9 * 16 * 16 * 36
