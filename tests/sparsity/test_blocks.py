import pytest
import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity import Blocks, make_updater, sparsify_blocks
from growsearch.sparsity.dynamic import Connections


def blocks_of(mask, pattern):
    down, across = pattern.grid(mask.shape)
    return mask.reshape(down, pattern.rows, across, pattern.columns).transpose(1, 2).flatten(2)


def test_scores_are_summed_over_blocks_and_blocks_spread_back():
    pattern = Blocks(1, 2)
    assert pattern.pool(torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])).tolist() == [[3, 7], [11, 15]]
    units = torch.tensor([[True, False], [False, True]])
    assert pattern.expand(units, torch.Size([2, 4])).int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_masks_are_whole_blocks_and_meet_the_target_to_the_nearest_block(generator):
    model = nn.Sequential(nn.Linear(32, 16), nn.Conv2d(16, 8, 3), nn.Linear(8, 10))
    pattern = Blocks(4, 4)
    masks = sparsify_blocks(
        model, pattern, sparsity=0.7, distribution="erk", generator=generator, exclude=("2.weight",)
    )
    for name in masks:
        grid = blocks_of(masks[name], pattern)
        assert (grid.all(dim=2) | ~grid.any(dim=2)).all()
    weights = 32 * 16 + 16 * 8 * 9 + 80
    assert abs(masks.zeros - 0.7 * weights) <= pattern.size / 2 + 0.5
    assert masks.names == ("0.weight", "1.weight")
    masks.check()


def test_rigl_moves_whole_blocks_by_their_summed_scores():
    pattern = Blocks(2, 2)
    mask = pattern.expand(torch.tensor([[True, True, False, False]]), torch.Size([2, 8]))
    weight = torch.zeros(2, 8)
    weight[:, 0:2], weight[:, 2:4] = 0.5, 0.4
    weight[0, 2] = 0.9  # the largest single weight lies in the block of the larger sum
    gradient = torch.zeros(2, 8)
    gradient[0, 4] = 3.0
    gradient[:, 6:8] = 1.0  # a sum of 4 beats one gradient of 3
    layers = {"a": Connections(weight=weight * mask, gradient=gradient, mask=mask)}
    new = make_updater("rigl", alpha=0.5, pattern=pattern).update(layers, 0.0, torch.Generator())
    assert new["a"][0].int().tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert torch.equal(new["a"][0], new["a"][1])


def test_layers_that_do_not_fit_are_named(generator):
    with pytest.raises(UsageError, match=r"^weight: .*10 x 8 .* blocks of 4 x 4; exclude"):
        sparsify_blocks(nn.Linear(8, 10), Blocks(4, 4), sparsity=0.5, generator=generator)
    with pytest.raises(UsageError, match="0 x 4 is no block"):
        Blocks(0, 4)
