"""What every search space promises, run for every line of the registry."""

import copy
import functools
import json

import pytest
import torch
from torch import nn

from search_spaces import (
    SEARCH_SPACES,
    Architecture,
    ChoosesUnits,
    SearchSpaceError,
    channel_groups,
    resize,
    units,
)
from search_spaces.attention import ImageAttention, SelfAttention
from search_spaces.channel_groups import axes_by_tensor
from search_spaces.families.botnet import AttentionBottleneck
from search_spaces.families.gpt import GPTSpace
from search_spaces.families.recurrent import RecurrentSpace
from search_spaces.units import compact, count_units, detach

every_space = pytest.mark.parametrize("name", sorted(SEARCH_SPACES))
every_space_of_units = pytest.mark.parametrize(
    "name", sorted(name for name, s in SEARCH_SPACES.items() if isinstance(s, ChoosesUnits))
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_meta(name: str, architecture: Architecture) -> nn.Module:
    with torch.device("meta"):
        return SEARCH_SPACES[name].build(architecture)


@functools.cache
def largest(name: str) -> nn.Module:
    """Not to be changed: every test of a space shares it."""
    return on_meta(name, SEARCH_SPACES[name].largest())


def run_on_meta(name: str, module: nn.Module) -> torch.Tensor:
    inputs = [each.to("meta") for each in SEARCH_SPACES[name].example_inputs(2)]
    with torch.no_grad():
        return module.eval()(*inputs)


@every_space
def test_the_registry_names_each_space_as_it_names_itself_and_describes_it_in_one_line(name):
    space = SEARCH_SPACES[name]
    assert space.name == name
    assert space.description
    assert "\n" not in space.description


@every_space
def test_the_largest_network_maps_examples_to_one_score_a_class(name):
    space = SEARCH_SPACES[name]
    out = run_on_meta(name, largest(name))
    assert out.shape[0] == 2
    assert out.shape[-1] == space.num_classes


@every_space
def test_sampling_follows_the_seed_and_stays_legal(name):
    space = SEARCH_SPACES[name]
    first, again = space.sample(generator(3)), space.sample(generator(3))
    assert first == again
    assert {space.sample(generator(seed)) for seed in range(8)} != {first}
    for choice in space.active(dict(first.choices)):
        assert choice.allows(first[choice.name])


@every_space
def test_a_sampled_network_runs(name):
    space = SEARCH_SPACES[name]
    architecture = space.sample(generator(1))
    assert run_on_meta(name, on_meta(name, architecture)).shape[-1] == space.num_classes


@every_space
def test_mutation_changes_exactly_one_choice_to_a_legal_value(name):
    space = SEARCH_SPACES[name]
    draw = generator(2)
    parent = space.largest()
    for _ in range(5):
        child = space.mutate(parent, draw)
        before, after = dict(parent.choices), dict(child.choices)
        changed = [c for c in space.choices if c.name in before.keys() & after.keys()]
        changed = [c for c in changed if before[c.name] != after[c.name]]
        assert len(changed) == 1
        assert changed[0].allows(child[changed[0].name])
        # What comes and goes with it are choices that depend on the changed one.
        others = [c for c in space.choices if (c.name in before) != (c.name in after)]
        assert {c.requires[0] for c in others} <= {changed[0].name}
        space.check(child)
        parent = child


@every_space
def test_an_architecture_survives_json_with_its_hash(name):
    architecture = SEARCH_SPACES[name].sample(generator(4))
    back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert back == architecture
    assert back.hash == architecture.hash


@every_space
def test_an_architecture_of_another_space_is_refused(name):
    foreign = Architecture.of("elsewhere", dict(SEARCH_SPACES[name].largest().choices))
    with pytest.raises(SearchSpaceError, match="elsewhere"):
        SEARCH_SPACES[name].build(foreign)


@every_space
def test_groups_are_the_choices_of_widths(name):
    space = SEARCH_SPACES[name]
    sizes = {group.name: group.size for group in channel_groups(largest(name))}
    counts = {}
    if isinstance(space, ChoosesUnits):
        present = count_units(units(largest(name)))
        counts = {f"{stage}.units": count for stage, count in present.items()}
    assert sizes | counts == dict(space.largest().choices)


@every_space
def test_a_network_resized_to_half_widths_has_the_shapes_of_one_built_so_and_runs(name):
    space = SEARCH_SPACES[name]
    module = copy.deepcopy(largest(name))
    halves = {group.name: max(1, group.size // 2) for group in channel_groups(module)}
    resize(module, halves)
    built = on_meta(name, space.with_widths(space.largest(), halves))
    assert shapes(module) == shapes(built)
    assert repr(module) == repr(built)
    assert run_on_meta(name, module).shape[-1] == space.num_classes


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


@every_space
def test_groups_cover_every_hidden_channel(name):
    """All axes of all weights belong to a group, but the data's and the classes' own."""
    module = largest(name)
    covered = {
        (tensor, axis)
        for tensor, axes in axes_by_tensor(channel_groups(module)).items()
        for axis, _, _ in axes
    }
    free = {
        (tensor, axis)
        for tensor, value in module.named_parameters()
        for axis in range(min(value.ndim, 2))
        if (tensor, axis) not in covered and value.shape[axis] > 1
    }
    assert free == expected_free(SEARCH_SPACES[name], module)


def expected_free(space, module: nn.Module) -> set[tuple[str, int]]:
    free = fixed_heads(module)
    if isinstance(space, GPTSpace):
        return free | {("tokens.weight", 0), ("positions.weight", 0)}
    if isinstance(space, RecurrentSpace):
        words = {("embedding.weight", 0), ("decoder.weight", 0), ("decoder.bias", 0)}
        return words | {("embedding.weight", 1), ("layers.0.weight_ih_l0", 1)}
    first = next(name for name, value in module.named_parameters() if value.ndim > 1)
    # A single input channel is an axis of one entry, which needs no group.
    one_channel = len(space.input_shape) == 3 and module.get_parameter(first).shape[1] == 1
    data = set() if one_channel else {(first, 1)}
    return free | data | {("classifier.weight", 0), ("classifier.bias", 0)}


def fixed_heads(module: nn.Module) -> set[tuple[str, int]]:
    """Return the axes inside attention, whose heads and head sizes are fixed."""
    free = set()
    for path, layer in module.named_modules():
        if isinstance(layer, SelfAttention):
            free |= {(f"{path}.query_key_value.{leaf}", 0) for leaf in ("weight", "bias")}
            free.add((f"{path}.project.weight", 1))
        if isinstance(layer, ImageAttention):
            free |= {(f"{path}.{leaf}", axis) for leaf in ("heights", "widths") for axis in (0, 1)}
            free.add((f"{path}.query_key_value.weight", 0))
        if isinstance(layer, AttentionBottleneck):
            free |= {(f"{path}.norm.{leaf}", 0) for leaf in ("weight", "bias")}
            free.add((f"{path}.expand.conv.weight", 1))
    return free


@every_space
def test_a_space_can_be_taken_to_other_data(name):
    space = SEARCH_SPACES[name]
    other = space.for_data(space.input_shape, 7)
    with torch.device("meta"):
        module = other.build(other.largest())
    scoring = (m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    (out,) = {m.weight.shape[0] for m in scoring} & {7}
    assert other.num_classes == out
    assert other.choices == space.choices


@every_space_of_units
def test_a_network_that_lost_units_is_one_that_the_space_builds(name):
    space = SEARCH_SPACES[name]
    module = copy.deepcopy(largest(name))
    lost = [unit for unit in units(module) if unit.detachable][::2]
    for unit in lost:
        detach(module, unit)
    assert run_on_meta(name, module).shape[-1] == space.num_classes
    assert set(lost).isdisjoint(units(module))
    compact(module)
    counts = count_units(units(module))
    built = on_meta(name, space.with_units(space.largest(), counts))
    assert min(counts.values()) >= 1
    assert repr(module) == repr(built)
    assert shapes(module) == shapes(built)


@every_space_of_units
def test_only_units_that_keep_the_shape_of_their_input_can_be_detached(name):
    module = copy.deepcopy(largest(name)).eval()
    seen = {}

    def note(layers, inputs, output):
        seen[layers] = inputs[0].shape, output.shape

    for unit in units(module):
        module.get_submodule(unit.module).register_forward_hook(note)
    run_on_meta(name, module)
    for unit in units(module):
        before, after = seen[module.get_submodule(unit.module)]
        assert before == after or not unit.detachable
    fixed = count_units(unit for unit in units(module) if not unit.detachable)
    assert set(fixed.values()) == {1}


@every_space_of_units
def test_a_stage_has_at_least_one_unit_and_not_more_than_the_full_configuration(name):
    space = SEARCH_SPACES[name]
    for count in (0, dict(space.largest().choices)["stage1.units"] + 1):
        with pytest.raises(SearchSpaceError, match=f"stage1.units = {count} is not an integer"):
            space.with_units(space.largest(), {"stage1": count})
    with pytest.raises(SearchSpaceError, match="unknown stage 'stage9'; known: stage0, stage1"):
        space.with_units(space.largest(), {"stage9": 1})
