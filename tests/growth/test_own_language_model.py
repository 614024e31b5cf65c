"""Language models of a person's own: words in, one score a word out, in any kind of trial."""

import sys

import pytest
import torch
from torch import nn

from growsearch.datasets import from_tensors
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.kinds import Network
from growsearch.training import Recipe
from search_spaces import ChannelGroup, search_space
from search_spaces.axes.size_attributes import SizeAttribute
from search_spaces.channel_groups import follow_sizes
from search_spaces.module_space import module_space

THIS = __name__


class Reader(nn.Module):
    """Looks words up, mixes those so far, and scores the next."""

    def __init__(self, num_classes=7):
        super().__init__()
        self.words = nn.Embedding(num_classes, 12)
        self.hidden, self.scores = nn.Linear(12, 16), nn.Linear(16, num_classes)

    def forward(self, x):
        so_far = self.words(x).cumsum(1) / torch.arange(1, x.shape[1] + 1).view(1, -1, 1)
        return self.scores(torch.relu(self.hidden(so_far)))


class Row(nn.Module):
    def __init__(self, num_classes=7):
        super().__init__()
        self.hidden, self.scores = nn.Linear(5, 16), nn.Linear(16, num_classes)

    def forward(self, x):
        return self.scores(torch.relu(self.hidden(x)))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, THIS, sys.modules[THIS])


def space_of(network):
    return search_space(f"{THIS}:{network.__name__}").for_data((5,), 7)


def test_a_network_that_takes_whole_numbers_only_reads_words():
    (words,) = space_of(Reader).example_inputs(3)
    assert (words.shape, words.dtype, int(words.max())) == ((3, 5), torch.long, 6)
    space = space_of(Reader)
    network = Network(architecture=space.largest(), input_shape=(5,), num_classes=7)
    assert network.reads_words


def test_a_language_model_that_exists_reads_words_too():
    space = module_space(Reader(), (5,), 7)
    assert space.example_inputs()[0].dtype == torch.long
    assert space.full_widths() == {"words": 12, "hidden": 16}


def test_a_row_of_numbers_is_no_text():
    (row,) = space_of(Row).example_inputs(3)
    assert (row.shape, row.dtype) == ((3, 5), torch.float32)


def test_an_own_language_model_grows_within_its_budget():
    draw = torch.Generator().manual_seed(0)
    words = torch.randint(7, (40, 5), generator=draw)
    data = from_tensors(words, words, num_classes=7)
    space = space_of(Reader)
    config = GrowthConfig(recipe=Recipe(epochs=2, batch_size=8, learning_rate=0.01))
    result = grow(space, data, budget=Budget(macs=0.4), config=config)
    full = 5 * (12 * 16 + 16 * 7)
    assert result.full_macs == full
    width, hidden = result.model.words.embedding_dim, result.model.hidden.out_features
    assert result.macs == 5 * (width * hidden + hidden * 7) <= 0.4 * full
    assert result.model(words[:2]).shape == (2, 5, 7)


def test_sizes_of_layers_that_went_with_a_unit_are_left_alone():
    group = ChannelGroup(
        name="g",
        size=3,
        members=(),
        attributes=(
            SizeAttribute(module="branch.inner", name="width"),
            SizeAttribute(module="branch", name="shape", place=0),
            SizeAttribute(module="head", name="width"),
        ),
    )
    module = nn.ModuleDict({"branch": nn.Identity(), "head": nn.Identity()})
    module["head"].width = 8
    follow_sizes(module, (group,))
    assert module["head"].width == 3
    assert not hasattr(module["branch"], "shape")
