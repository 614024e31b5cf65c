import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from growsearch.growth.budget.cost_terms import mac_terms, parameter_terms
from growsearch.growth.budget.structures import Structures
from growsearch.sparsity.layers import macs_per_weight
from search_spaces import channel_groups, units
from search_spaces.units import compact, detach


def detachable(model):
    return tuple(unit for unit in units(model) if unit.detachable)


@pytest.mark.parametrize("name", ["unit_space", "bottleneck_space", "plain_space"])
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_costs_by_units_and_widths_equal_those_of_the_network_without_the_detached_ones(
    request, name, data
):
    space = request.getfixturevalue(name)
    full = space.build(space.largest())
    groups, growing = channel_groups(full), detachable(full)
    structures = Structures.of(groups, growing)
    gone = data.draw(st.sets(st.sampled_from([unit.name for unit in growing])))
    widths = {g.name: data.draw(st.integers(1, g.size), label=g.name) for g in groups}

    small = space.build(space.with_widths(space.largest(), widths))
    for unit in detachable(small):
        if unit.name in gone:
            detach(small, unit)
    compact(small)
    positions = macs_per_weight(small, space.example_inputs())
    weights = dict(small.named_parameters())
    sizes = [widths.get(name, int(name not in gone)) for name in structures.names]
    parameters = parameter_terms(full, groups, growing)
    macs = mac_terms(full, groups, space.example_inputs(), growing)
    assert parameters.exact(sizes) == sum(p.numel() for p in small.parameters())
    assert macs.exact(sizes) == sum(positions[n] * weights[n].numel() for n in positions)
    assert parameters.names == structures.names


def test_the_cost_of_one_block_agrees_with_a_count_by_hand(unit_space):
    model = unit_space.build(unit_space.largest())
    groups, growing = channel_groups(model), detachable(model)
    structures = Structures.of(groups, growing)
    with_all = list(structures.sizes)
    without = with_all.copy()
    without[structures.names.index("stage1.unit1")] = 0
    parameters = parameter_terms(model, groups, growing)
    macs = mac_terms(model, groups, unit_space.example_inputs(), growing)
    # Two 3 x 3 convolutions of 8 to 8 channels, at 3 x 3 places, and two BatchNorms.
    assert parameters.exact(with_all) - parameters.exact(without) == 2 * 9 * 64 + 4 * 8
    assert macs.exact(with_all) - macs.exact(without) == 2 * 9 * 9 * 64


def test_a_cost_of_thousands_of_millions_is_exact(bottleneck_space):
    model = bottleneck_space.build(bottleneck_space.largest())
    terms = parameter_terms(model, channel_groups(model))
    sizes = [200_003] * len(terms.names)
    expected = 0
    for coefficient, groups in terms.terms:
        for _ in groups:
            coefficient *= 200_003
        expected += coefficient
    assert expected > 2**33
    assert terms.exact(sizes) == expected
    assert terms.expected([float(s) for s in sizes]) == pytest.approx(expected)
