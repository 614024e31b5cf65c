import copy
import sys

import pytest
import torch
from torch import nn

from search_spaces import SearchSpaceError, channel_groups, search_space
from search_spaces.user_code import find
from search_spaces.width_space import WidthSpace

SHAPE = (1, 8, 8)


class Net(nn.Module):
    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, num_classes)
        nn.init.constant_(self.head.weight, 0.25)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        return self.head(torch.relu(self.norm2(self.conv2(x))).mean((2, 3)))


class Fixed(nn.Module):
    """Its width is written into its forward pass, so that nothing can be resized."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(64, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.inner(x.flatten(1)).view(-1, 4))


class Scaled(nn.Module):
    """A tensor of its own follows the channels, and no layer draws it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(64, 4), nn.Linear(4, 3)
        self.part = Part()

    def forward(self, x):
        return self.head(self.part(self.inner(x.flatten(1))))


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(4.0))

    def forward(self, x):
        return x * self.scale


def no_network():
    return "a text"


EXISTING = Net()
THIS = __name__


def space(attribute, classes=3):
    return search_space(f"{THIS}:{attribute}").for_data(SHAPE, classes)


@pytest.fixture(autouse=True)
def importable():
    """The tests' own import mode leaves this module under a name that is imported again."""
    assert sys.modules[THIS].Net is Net


def test_widths_of_all_traced_groups_can_be_chosen():
    found = space("Net")
    assert found.full_widths() == {"conv1": 6, "conv2": 8}
    small = found.with_widths(found.largest(), {"conv1": 2, "conv2": 3})
    module = found.build(small)
    assert module.conv2.weight.shape == (3, 2, 3, 3)
    assert module(torch.randn(4, *SHAPE)).shape == (4, 3)
    assert {group.name: group.size for group in channel_groups(module)} == {"conv1": 2, "conv2": 3}


def test_the_full_network_keeps_its_own_initialisation_and_smaller_ones_are_drawn_afresh():
    found = space("Net")
    full = found.build(found.largest())
    assert bool((full.head.weight == 0.25).all())
    small = found.build(found.with_widths(found.largest(), {"conv1": 2}))
    assert bool(torch.isfinite(small.conv1.weight).all())
    assert not bool((small.head.weight == 0.25).all())


def test_tracing_does_not_move_the_seed():
    found = space("Net", classes=7)
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(found.build(found.largest()).conv1.weight)
    torch.manual_seed(3)
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], Net(7).conv1.weight)


def test_the_name_holds_the_hash_of_the_code_and_finds_the_space_again():
    found = space("Net")
    plain, _, digits = found.name.partition("@")
    assert plain == f"{THIS}:Net"
    assert len(digits) == 12
    assert search_space(found.name).for_data(SHAPE, 3) == found
    assert found.largest().space == found.name


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Fixed", "no channels that can be resized; all layers are fixed: inner, head"),
        ("no_network", "makes a str, no nn.Module"),
        ("EXISTING", "a network that exists; name the class or function"),
        ("SHAPE", "is a tuple; name a class or function"),
    ],
)
def test_what_is_no_network_to_search_says_why(attribute, message):
    with pytest.raises(SearchSpaceError, match=message):
        space(attribute).largest()


def test_a_network_of_another_number_of_classes_is_refused():
    with pytest.raises(SearchSpaceError, match=r"the data has 5 classes, so that \(2, 5\)"):
        space("Fixed", classes=5).largest()


def test_data_that_the_network_does_not_take_is_refused():
    wrong = search_space(f"{THIS}:Net").for_data((3, 8, 8), 3)
    with pytest.raises(SearchSpaceError, match=r"does not take inputs of shape \(3, 8, 8\)"):
        wrong.largest()


def test_a_tensor_that_no_layer_draws_has_what_the_network_gave_its_first_channels():
    found = space("Scaled")
    for width, expected in ((2, [0.0, 1.0]), (6, [0.0, 1.0, 2.0, 3.0, 0.0, 1.0])):
        module = found.build(found.with_widths(found.largest(), {"inner": width}))
        assert module.part.scale.tolist() == expected
        assert bool(torch.isfinite(module.inner.weight).all())


def test_copies_of_a_built_network_have_its_groups():
    found = space("Net")
    module = copy.deepcopy(found.build(found.largest()))
    assert len(channel_groups(module)) == 2


def test_a_space_of_ones_own_is_taken_as_it_is(monkeypatch):
    from search_spaces.families.mlp import MLPSpace

    own = MLPSpace(name="mine", description="", hidden=(4,), input_shape=SHAPE)
    monkeypatch.setattr(sys.modules[THIS], "SPACE", own, raising=False)
    found = space("SPACE")
    assert isinstance(found, WidthSpace)
    assert found.name.startswith(f"{THIS}:SPACE@")
    assert find(found.name) is own
    assert found.build(found.largest())(torch.zeros(2, *SHAPE)).shape == (2, 3)
