"""Fronts of other networks than ResNets of fixed depth: language models, units, own networks."""

import pytest
import torch
from torch import nn

from growsearch.datasets import TokenDataset
from growsearch.growth import Budget, FrontConfig, grow_front
from growsearch.training import SGD, Recipe
from search_spaces.families.recurrent import RecurrentSpace
from search_spaces.module_space import module_space

BUDGETS = [Budget(macs=share) for share in (0.25, 0.6)]
CONFIG = FrontConfig(
    recipe=Recipe(epochs=2, batch_size=16, learning_rate=0.05),
    stage_epochs=(1, 1),
    decline_epochs=1,
)


def _text(tokens):
    """After word w comes 3 w + 1."""
    words = [0]
    for _ in range(tokens - 1):
        words.append((3 * words[-1] + 1) % 11)
    return torch.tensor(words)


def test_a_language_model_s_front_carries_its_state_and_learns_what_follows():
    space = RecurrentSpace(
        name="tiny",
        description="for tests",
        cell="lstm",
        embedding=12,
        hidden=(24, 16),
        input_shape=(10,),
        num_classes=11,
        embedding_bound=1.0,
    )
    words = tuple("abcdefghijk")
    text = TokenDataset(
        name="text", train=_text(1001), validation=_text(301), test=_text(301), vocabulary=words
    )
    optimizer = SGD(momentum=0.0, nesterov=False)
    recipe = Recipe(
        epochs=2, batch_size=5, learning_rate=5.0, warmup_epochs=0, clip_norm=0.25,
        optimizer=optimizer, weight_decay=0.0,
    )  # fmt: skip
    config = FrontConfig(recipe=recipe, stage_epochs=(2, 2), decline_epochs=1)
    front = grow_front(space, text, budgets=BUDGETS, config=config)
    small, large = front.branches
    assert small.cost < small.limit < large.cost <= large.limit
    assert large.history[-1].perplexity < 0.7 * large.history[0].perplexity
    assert [layer.hidden_size for layer in large.model.layers] == [
        large.history[-1].widths[name] for name in list(large.history[-1].widths)[-2:]
    ]


@pytest.mark.parametrize("name", ["unit_space", "plain_space"])
def test_all_layers_run_from_the_start(name, dataset, request):
    space = request.getfixturevalue(name)
    front = grow_front(space, dataset, budgets=BUDGETS, config=CONFIG)
    for branch in front.branches:
        depths = [record.depths for record in branch.history]
        assert all(depth == {"stage0": 3, "stage1": 2} for depth in depths)
        space.build(branch.architecture).load_state_dict(branch.model.state_dict())


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.second = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.first(x)
        return self.head((x + self.second(x)).relu().mean(dim=(2, 3)))


def test_a_network_of_one_s_own_has_a_front(dataset):
    space = module_space(Own(), dataset.input_shape, 3)
    front = grow_front(space, dataset, budgets=BUDGETS, config=CONFIG)
    widths = [branch.model.first[0].out_channels for branch in front.branches]
    assert 1 <= widths[0] < widths[1] < 12
    for branch in front.branches:
        assert branch.model.second.weight.shape[:2] == (branch.model.first[0].out_channels,) * 2
        assert branch.cost <= branch.limit
