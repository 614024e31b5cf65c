"""Units: what networks declare, how architectures say how many there are, what is refused."""

import dataclasses

import pytest
import torch
from torch import nn

from search_spaces import SEARCH_SPACES, Architecture, SearchSpaceError, channel_groups, units
from search_spaces.families.residual_units import BasicResNetSpace
from search_spaces.families.resnet_cifar import ResNetCifar
from search_spaces.units import Detached, Unit, compact, count_units, detach, unit_tensors

SPACE = BasicResNetSpace(
    name="tiny",
    description="for tests",
    most_units=(3, 2),
    base_width=4,
    input_shape=(1, 6, 6),
    num_classes=3,
)


def build(space=SPACE, architecture=None):
    torch.manual_seed(0)
    return space.build(architecture or space.largest())


def test_the_largest_architecture_names_all_units_and_widths():
    assert dict(SPACE.largest().choices) == {
        "stage0.units": 3,
        "stage1.units": 2,
        "stage0": 4,
        "stage1": 8,
        "stage0.block0": 4,
        "stage0.block1": 4,
        "stage0.block2": 4,
        "stage1.block0": 8,
        "stage1.block1": 8,
    }


def test_fewer_units_take_their_widths_with_them_and_more_bring_full_ones():
    narrow = SPACE.with_widths(SPACE.largest(), {"stage0.block0": 2, "stage0.block2": 1})
    small = SPACE.with_units(narrow, {"stage0": 2, "stage1": 1})
    assert dict(small.choices) == {
        "stage0.units": 2,
        "stage1.units": 1,
        "stage0": 4,
        "stage1": 8,
        "stage0.block0": 2,
        "stage0.block1": 4,
        "stage1.block0": 8,
    }
    again = SPACE.with_units(small, {"stage0": 3})
    assert again["stage0.block2"] == 4
    assert again["stage1.units"] == 1


def test_an_architecture_of_fewer_units_builds_a_network_of_that_depth():
    small = SPACE.with_units(SPACE.largest(), {"stage0": 2, "stage1": 1})
    module = build(architecture=small)
    assert [len(stage) for stage in module.stages] == [2, 1]
    assert count_units(units(module)) == {"stage0": 2, "stage1": 1}
    assert Architecture.from_json(small.to_json()) == small


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage0.units": 0}, r"stage0\.units = 0 is not an integer from 1 to 3"),
        ({"stage0.units": 4}, r"stage0\.units = 4 is not an integer from 1 to 3"),
        ({"stage0.units": True}, r"stage0\.units = True is not an integer"),
        ({"stage0.units": 2}, r"stage0\.block2 is there only where stage0\.units is at least 3"),
        ({"stage0.block1": 0}, r"stage0\.block1 = 0 is no integer above 0"),
        ({"stage0.block7": 2}, r"unknown choice 'stage0\.block7'"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(changes, message):
    with pytest.raises(SearchSpaceError, match=message):
        SPACE.build(SPACE.largest().replace(changes))


def test_a_missing_choice_is_refused_by_name():
    choices = dict(SPACE.largest().choices)
    del choices["stage1.units"]
    with pytest.raises(SearchSpaceError, match=r"choice 'stage1\.units' is missing"):
        SPACE.build(Architecture.of("tiny", choices))


def test_a_block_declares_what_lies_inside_it():
    module = build()
    unit = units(module)[2]
    assert unit == Unit(
        name="stage0.unit2",
        stage="stage0",
        module="stages.0.2",
        norm="stages.0.2.second.norm",
        residual=True,
        detachable=True,
        groups=("stage0.block2",),
    )
    inside = dict(module.stages[0][2].named_parameters()) | dict(
        module.stages[0][2].named_buffers()
    )
    assert sorted(unit_tensors(module, unit)) == sorted(f"stages.0.2.{name}" for name in inside)


def test_the_units_of_resnet20_are_its_blocks_and_a_projection_cannot_be_detached():
    module = SEARCH_SPACES["resnet20"].build(SEARCH_SPACES["resnet20"].largest())
    declared = units(module)
    assert len(declared) == 9
    for unit in declared:
        if not isinstance(module.get_submodule(unit.module).shortcut, nn.Identity):
            assert not unit.detachable


def test_a_detached_block_passes_its_input_on_and_the_others_keep_their_places():
    module = build().eval()
    block, x = units(module)[1], torch.randn(2, 1, 6, 6)
    (layers,) = detach(module, block).values()
    assert isinstance(module.stages[0][1], Detached)
    assert [unit.name for unit in units(module)][:2] == ["stage0.unit0", "stage0.unit2"]
    assert "stage0.block1" not in {group.name for group in channel_groups(module)}
    with torch.no_grad():
        # Zeros behind the last BatchNorm make the block an identity: its input is not negative.
        layers.second.norm.weight.zero_()
        without = module(x)
        module.set_submodule(block.module, layers)
        assert torch.equal(module(x), without)


def test_compacting_closes_gaps_and_keeps_the_function():
    module = build().eval()
    detach(module, units(module)[1])
    x = torch.randn(2, 1, 6, 6)
    before = module(x)
    compact(module)
    assert [len(stage) for stage in module.stages] == [2, 2]
    assert {unit.name for unit in units(module)} >= {"stage0.unit1", "stage1.unit1"}
    assert torch.equal(module(x), before)


class Misdeclared(ResNetCifar):
    """Declares its units with one thing changed."""

    change: dict[str, object]

    def units(self):
        first, *others = super().units()
        return (dataclasses.replace(first, **self.change), *others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "stages.0.0.second.conv"}, "is no BatchNorm"),
        ({"norm": "stem.norm"}, "lies outside stages.0.0"),
        ({"module": "stages.0.0.second"}, "stages.0.0 is no ModuleList"),
        ({"groups": ("nowhere",)}, "no channel group 'nowhere'"),
        ({"groups": ("stage0",)}, "of group stage0 lies outside"),
    ],
)
def test_a_wrong_declaration_is_refused(change, message):
    widths = SPACE.full_widths()
    module = Misdeclared(widths, blocks=(3, 2), input_shape=(1, 6, 6), num_classes=3)
    module.change = change
    with pytest.raises(SearchSpaceError, match=message):
        units(module)


def test_a_network_without_a_declaration_has_no_units():
    assert units(nn.Linear(2, 2)) == ()
