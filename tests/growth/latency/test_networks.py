import torch

from growsearch.growth import build_full
from growsearch.growth.budget.structures import Structures
from growsearch.growth.latency.networks import architecture_at, sampled_sizes
from search_spaces import channel_groups, units
from search_spaces.families.residual_units import BasicResNetSpace

SPACE = BasicResNetSpace(
    name="tiny-units",
    description="for tests",
    most_units=(3, 2),
    base_width=4,
    input_shape=(1, 6, 6),
    num_classes=3,
)


def _structures(space):
    module = build_full(space, seed=0)
    declared = units(module)
    growing = tuple(unit for unit in declared if unit.detachable)
    return Structures.of(channel_groups(module), growing), declared


def test_samples_begin_with_the_full_and_the_least_network_and_spread_between(space):
    structures = Structures.of(channel_groups(build_full(space, seed=0)))
    rows = sampled_sizes(structures, 12, torch.Generator().manual_seed(0))
    assert rows[:2] == [list(structures.sizes), [1] * len(structures.sizes)]
    assert len(rows) == 12
    assert all(
        1 <= n <= most for row in rows for n, most in zip(row, structures.sizes, strict=True)
    )
    assert len({tuple(row) for row in rows}) > 8
    assert rows == sampled_sizes(structures, 12, torch.Generator().manual_seed(0))


def test_sampled_units_run_with_all_that_is_inside_them_or_not_at_all():
    structures, _ = _structures(SPACE)
    rows = sampled_sizes(structures, 30, torch.Generator().manual_seed(0))
    seen = set()
    for row in rows:
        sizes = dict(zip(structures.names, row, strict=True))
        for unit, groups in structures.inside.items():
            seen.add(sizes[unit])
            assert all((sizes[group] > 0) == bool(sizes[unit]) for group in groups)
    assert seen == {0, 1}


def test_a_network_of_fixed_depth_has_the_widths_that_live(space):
    widths = {"stage0": 2, "stage0.block0": 3, "stage1.block0": 5, "stage1": 7}
    assert dict(architecture_at(space, (), widths).choices) == widths


def test_units_behind_a_gap_move_up_with_their_widths():
    structures, declared = _structures(SPACE)
    widths = structures.widths(torch.ones(structures.total, dtype=torch.bool))
    widths |= {"stage0.unit1": 0, "stage0.block1": 0, "stage0.block2": 2, "stage0": 3}
    choices = dict(architecture_at(SPACE, declared, widths).choices)
    assert choices["stage0.units"] == 2
    assert choices["stage1.units"] == 2
    assert choices["stage0.block1"] == 2
    assert "stage0.block2" not in choices
    assert choices["stage0"] == 3
    assert SPACE.build(architecture_at(SPACE, declared, widths)) is not None


def test_units_that_do_not_grow_all_run():
    module = build_full(SPACE, seed=0)
    widths = {group.name: 2 for group in channel_groups(module)}
    choices = dict(architecture_at(SPACE, units(module), widths).choices)
    assert (choices["stage0.units"], choices["stage1.units"]) == (3, 2)
    assert choices["stage0.block2"] == 2
