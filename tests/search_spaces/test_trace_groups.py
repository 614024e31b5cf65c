"""Channel groups found by tracing, against those that networks declare themselves."""

import copy
import pickle

import pytest
import torch
from torch import nn

from search_spaces import SEARCH_SPACES, SearchSpaceError, channel_groups, resize
from search_spaces.families.gpt import GPT
from search_spaces.fresh_weights import initialise_network
from search_spaces.trace_groups import declare_traced_groups, trace_groups


def as_sets(groups) -> set[frozenset]:
    return {frozenset((m.tensor, m.axis, m.repeat) for m in group.members) for group in groups}


@pytest.mark.parametrize(
    "name",
    [
        "resnet-digits",
        "mlp-digits",
        "resnet20",
        "vgg11",
        "mobilenetv1",
        "mobilenetv2",
        "wide-resnet28-10",
        "basic3resnet-digits",
    ],
)
def test_a_trace_finds_exactly_the_declared_groups(name):
    space = SEARCH_SPACES[name]
    torch.manual_seed(0)
    groups = channel_groups(space.build(space.largest()))
    narrow = {group.name: 3 + index % 4 for index, group in enumerate(groups)}
    module = space.build(space.with_widths(space.largest(), narrow))
    found = trace_groups(module, space.example_inputs())
    declared = channel_groups(module)
    assert as_sets(found.groups) == as_sets(declared)
    assert sorted(g.size for g in found.groups) == sorted(g.size for g in declared)
    assert found.fixed == ("classifier",)


def test_a_trace_finds_the_stream_and_the_hidden_layers_of_gpt_and_leaves_its_heads():
    torch.manual_seed(0)
    gpt = GPT({"model": 20, "block0": 16}, heads=2, head_size=10, context=6, vocabulary=11)
    found = trace_groups(gpt, (torch.zeros(1, 6, dtype=torch.long),))
    assert as_sets(found.groups) == as_sets(channel_groups(gpt))
    assert found.fixed == ("blocks.0.attention.query_key_value", "head")


class Concatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 6, 3)
        self.join = nn.Conv2d(10, 8, 1)
        self.classifier = nn.Linear(8, 2)

    def forward(self, x):
        joined = torch.cat([self.left(x), self.right(x)], 1)
        return self.classifier(self.join(joined).mean((2, 3)))


def test_concatenated_channels_are_fixed_and_others_are_not():
    found = trace_groups(Concatenation(), (torch.zeros(1, 1, 5, 5),))
    assert [(group.name, group.size) for group in found.groups] == [("join", 8)]
    assert found.fixed == ("left", "right", "classifier")


class FixedView(nn.Module):
    """Its code writes down a width: to the tracer the hidden layer looks like any other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.third(self.second(self.first(x).view(-1, 2, 3).flatten(1)))


def test_a_width_that_the_code_relies_on_is_fixed():
    found = trace_groups(FixedView(), (torch.zeros(1, 4),))
    assert [group.name for group in found.groups] == ["second"]
    assert found.fixed == ("first", "third")


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 2),
    )


def test_a_traced_network_is_not_changed_by_the_trace():
    module = plain()
    before = copy.deepcopy(module.state_dict())
    trace_groups(module, (torch.randn(2, 1, 4, 4),))
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert not hasattr(module, "channel_groups")


def test_a_network_that_declares_traced_groups_can_be_resized_with_its_copies_and_pickles():
    module = plain()
    declare_traced_groups(module, (torch.randn(2, 1, 4, 4),))
    assert {g.name: g.size for g in channel_groups(module)} == {"0": 6, "5": 5}
    twin = copy.deepcopy(module)
    resize(twin, {"0": 9, "5": 3})
    initialise_network(twin)
    assert twin(torch.randn(2, 1, 4, 4)).shape == (2, 2)
    assert twin[5].weight.shape == (3, 36)
    assert {g.name: g.size for g in channel_groups(twin)} == {"0": 9, "5": 3}
    assert {g.name: g.size for g in channel_groups(module)} == {"0": 6, "5": 5}
    again = pickle.loads(pickle.dumps(twin))
    assert {g.name: g.size for g in channel_groups(again)} == {"0": 9, "5": 3}


def test_a_network_without_hidden_channels_cannot_declare_any():
    with pytest.raises(SearchSpaceError, match="no channels that can be resized"):
        declare_traced_groups(nn.Sequential(nn.Linear(4, 2)), (torch.zeros(1, 4),))


def test_a_network_that_does_not_run_cannot_be_traced():
    with pytest.raises(SearchSpaceError, match="cannot be traced"):
        trace_groups(nn.Linear(4, 2), (torch.zeros(1, 3),))
