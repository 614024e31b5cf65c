"""Networks of every kind grow: to a budget, by the trace's count, and as what the space builds."""

import any_networks
import pytest
import torch

import cost_models
from growsearch.growth import Budget, GrowthConfig, GrowthOptions, build_full, grow
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.growing_groups import growing_groups
from growsearch.growth.surgery.optimizer_state import optimizer_state, rebuild_optimizer
from growsearch.growth.surgery.surgeon import Surgeon, fold_gates
from growsearch.training import Recipe, make_optimizer
from search_spaces import SearchSpaceError, channel_groups, search_space
from search_spaces.units import Nothing, PassedBy

RECIPE = Recipe(epochs=2, batch_size=8)
SHAPE, CLASSES = (1, 6, 6), 3
# What the code itself holds keeps these above 40 % of the MACs.
BUDGETS = {"StandardisedNFNet": 0.95}


def space_of(network):
    return search_space(f"any_networks:{network.__name__}").for_data(SHAPE, CLASSES)


def config(epochs=4, **changes):
    return GrowthConfig(recipe=Recipe(epochs=epochs, batch_size=32), **changes)


@pytest.mark.parametrize("network", any_networks.NETWORKS)
def test_every_kind_of_network_grows_within_its_budget(network, dataset):
    space = space_of(network)
    budget = Budget(macs=BUDGETS.get(network.__name__, 0.4))
    result = grow(space, dataset, budget=budget, config=config(), seed=0)
    assert result.floor <= result.macs <= result.limit
    work = cost_models.trace(result.model, space.example_inputs())
    assert (result.macs, result.parameters) == (work.dense_macs, work.parameters)
    built = space.build(result.architecture)
    built.load_state_dict(result.model.state_dict())
    x = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(built.eval()(x), result.model.eval()(x))
    grown = {g.name: g.size for g in channel_groups(result.model)}
    assert grown == {n: w for n, w in result.history[-1].widths.items() if w}


class StoppedError(Exception):
    """Stands for a kill at the end of an epoch."""


@pytest.mark.parametrize("stop", [2, 4])
@pytest.mark.parametrize("network", [any_networks.NFNet, any_networks.GPT])
def test_a_stopped_run_goes_on_to_the_bit(network, stop, dataset, tmp_path):
    def run(**options):
        settings = config(epochs=5, freeze_at=0.67)
        options = GrowthOptions(**options)
        return grow(
            space_of(network), dataset, budget=Budget(macs=0.5), config=settings, options=options
        )

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


def gated(network, low):
    """Return a network with all gates between ``low`` and 1, its gates, and an input."""
    space = space_of(network)
    module = build_full(space, seed=0).eval()
    found = growing_groups(space, module)
    units = found.of_units(space.traced_units())
    gates = insert_gates(module, found.groups, units)
    generator = torch.Generator().manual_seed(0)
    for gate in gates.values():
        gate.set(low + (1 - low) * torch.rand(len(gate.value), generator=generator))
    return module, Surgeon(module, found.groups, units), torch.randn(4, *SHAPE, generator=generator)


@pytest.mark.parametrize("network", [any_networks.SEResNet, any_networks.NFNet])
def test_a_folded_network_does_what_it_did_with_gates(network):
    module, _, x = gated(network, 0.2)
    expected = module(x)
    optimizer = make_optimizer(module, RECIPE)
    fold_gates(module, optimizer, RECIPE)
    torch.testing.assert_close(module(x), expected)
    assert not any(layer._forward_pre_hooks for layer in module.modules())


@pytest.mark.parametrize("network", [any_networks.GPT, any_networks.GroupNormResNet])
def test_where_norms_weighed_channels_it_does_nearly_so(network):
    module, _, x = gated(network, 0.9)
    expected = module(x)
    fold_gates(module, make_optimizer(module, RECIPE), RECIPE)
    assert (module(x) - expected).norm() < 0.05 * expected.norm()


def test_a_unit_that_comes_changes_nothing_and_one_that_goes_and_comes_keeps_all():
    module, surgeon, x = gated(any_networks.ScaledViT, 1.0)
    structures, optimizer = surgeon.structures, make_optimizer(module, RECIPE)
    everything = torch.ones(structures.total, dtype=torch.bool)
    less = everything.clone()
    structures.split(less)["unit:blocks.1.mlp"][:] = False
    surgeon.seed(less)
    rebuild_optimizer(module, optimizer, RECIPE, {})
    assert isinstance(module.blocks[1].ls2, Nothing)
    expected = module(x)

    def restructured(live):
        fresh = surgeon.restructure(live, optimizer, RECIPE)
        return structures.indices(fresh)

    fresh = restructured(everything)
    assert len(fresh["unit:blocks.1.mlp"]) == 1
    torch.testing.assert_close(module(x), expected)
    assert torch.equal(module.blocks[1].ls2.gamma, torch.zeros(16))
    for _ in range(2):
        optimizer.zero_grad()
        module(x).square().sum().backward()
        optimizer.step()
    assert bool(module.blocks[1].ls2.gamma.ne(0).any())
    moments = optimizer_state(module, optimizer)
    values = {name: value.clone() for name, value in module.state_dict().items()}
    restructured(less)
    assert not any("blocks.1.mlp" in name for name in module.state_dict())
    restructured(everything)
    assert all(torch.equal(value, values[name]) for name, value in module.state_dict().items())
    found = optimizer_state(module, optimizer)
    assert found.keys() == moments.keys()
    assert all(torch.equal(found[key], value) for key, value in moments.items())


def test_single_numbers_of_a_unit_come_and_go_with_it():
    module, surgeon, _ = gated(any_networks.NFNet, 1.0)
    optimizer = make_optimizer(module, RECIPE)
    everything = torch.ones(surgeon.structures.total, dtype=torch.bool)
    less = everything.clone()
    surgeon.structures.split(less)["unit:blocks.0"][:] = False
    surgeon.restructure(less, optimizer, RECIPE)
    assert "value/blocks.0.skip_gain" in surgeon.state(values=True)
    surgeon.restructure(everything, optimizer, RECIPE)
    assert module.blocks[0].skip_gain == 0.5


def test_layers_stay_where_only_channels_are_to_grow(dataset):
    settings = config(epochs=2, grow_layers=False)
    space = space_of(any_networks.MobileNet)
    result = grow(space, dataset, budget=Budget(macs=0.5), config=settings)
    assert not result.history[-1].units
    assert not any(isinstance(layer, PassedBy) for layer in result.model.modules())


def test_an_architecture_names_the_units_that_it_goes_without():
    space = space_of(any_networks.MobileNet)
    largest = space.largest()
    assert not any(name.startswith("unit:") for name, _ in largest.choices)
    smaller = space.without_units(largest, ["unit:features.4"])
    assert dict(largest.choices).keys() - dict(smaller.choices).keys() == {"features.4.conv.0"}
    module = space.build(space.with_widths(smaller, {"features.0": 3}))
    assert isinstance(module.features[4], PassedBy)
    assert module.features[3].conv[0].in_channels == 3
    assert module.eval()(torch.zeros(2, *SHAPE)).shape == (2, CLASSES)
    for wrong, message in [
        (
            largest.replace({"unit:features.9": 0}),
            "unknown unit 'unit:features.9'; known: unit:",
        ),
        (smaller.replace({"unit:features.4": 1}), "is 0 where the unit is left out"),
        (smaller.replace({"features.4.conv.0": 2}), "lies in a unit that is left out"),
    ]:
        with pytest.raises(SearchSpaceError, match=message):
            space.build(wrong)
