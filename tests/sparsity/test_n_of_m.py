import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity import NOfM, make_updater, sparsify_n_of_m
from growsearch.sparsity.dynamic import Connections
from growsearch.sparsity.dynamic.redistribution import redistribute
from growsearch.sparsity.transposable import heaviest_regular_tiles


def test_row_wise_keeps_the_largest_of_every_group_by_hand():
    scores = torch.tensor([[4.0, 1, 3, 2, 0, 9, 8, 1], [1, 1, 1, 1, 5, 6, 7, 8]])
    mask = NOfM(2, 4).mask(scores)
    assert mask.int().tolist() == [[1, 0, 1, 0, 0, 1, 1, 0], [1, 1, 0, 0, 0, 0, 1, 1]]


def test_groups_of_a_convolution_run_along_its_matrix_row():
    scores = torch.arange(2 * 2 * 2 * 2).float().view(2, 2, 2, 2)
    mask = NOfM(1, 4).mask(scores)
    assert mask.shape == scores.shape
    assert mask.flatten(1).int().tolist() == [[0, 0, 0, 1, 0, 0, 0, 1]] * 2


def in_tiles(mask, m):
    rows, columns = mask.flatten(1).shape
    return mask.reshape(rows // m, m, columns // m, m).transpose(1, 2)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 8), seed=st.integers(0, 999))
def test_transposable_tiles_keep_n_in_every_row_and_column(n, seed):
    scores = torch.rand(16, 4, 2, 3, generator=torch.Generator().manual_seed(seed))
    mask = NOfM(n, 8, transposable=True).mask(scores)
    tiles = in_tiles(mask, 8)
    assert (tiles.sum(dim=2) == n).all()
    assert (tiles.sum(dim=3) == n).all()


def test_the_transpose_of_a_transposable_mask_is_row_wise_legal():
    mask = NOfM(2, 8, transposable=True).mask(torch.rand(16, 24))
    groups = mask.T.reshape(-1, 8)
    assert (groups.sum(dim=1) == 2).all()


def test_flat_reshaping_into_tiles_would_be_another_mask():
    # A 8 x 16 matrix: the first flat 64 entries are rows 0..3, not the first tile.
    scores = torch.rand(8, 16, generator=torch.Generator().manual_seed(0))
    mask = NOfM(4, 8, transposable=True).mask(scores)
    flat = heaviest_regular_tiles(scores.reshape(-1, 8, 8), 4).reshape(8, 16)
    assert not torch.equal(mask, flat)
    assert (mask[:, :8].sum(dim=0) == 4).all()
    assert not (flat[:, :8].sum(dim=0) == 4).all()


def all_regular(m, n):
    rows = [
        torch.tensor([c in chosen for c in range(m)])
        for chosen in itertools.combinations(range(m), n)
    ]
    for combination in itertools.product(rows, repeat=m):
        tile = torch.stack(combination)
        if (tile.sum(dim=0) == n).all():
            yield tile


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_chosen_tile_is_the_best_of_all_legal_ones(n):
    legal = torch.stack(list(all_regular(4, n))).double()
    scores = torch.randn(50, 4, 4, generator=torch.Generator().manual_seed(n)).double()
    best = torch.einsum("kij,bij->bk", legal, scores).amax(dim=1)
    chosen = heaviest_regular_tiles(scores, n)
    assert torch.allclose((chosen * scores).sum(dim=(1, 2)), best)


def test_eight_by_eight_tiles_match_linear_programming():
    optimize = pytest.importorskip("scipy.optimize")
    scores = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = heaviest_regular_tiles(scores, 4)
    sums = torch.cat([torch.eye(8).repeat_interleave(8, dim=1), torch.eye(8).repeat(1, 8)]).numpy()
    for tile, mask in zip(scores, chosen, strict=True):
        best = optimize.linprog(
            -tile.flatten().numpy(), A_eq=sums, b_eq=[4] * 16, bounds=(0, 1), method="highs"
        )
        assert float((tile * mask).sum()) == pytest.approx(-best.fun)


def test_ties_still_give_a_legal_tile():
    chosen = heaviest_regular_tiles(torch.zeros(3, 8, 8), 2)
    assert (chosen.sum(dim=1) == 2).all()
    assert (chosen.sum(dim=2) == 2).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(value):
    scores = torch.ones(4, 4)
    scores[1, 2] = value
    with pytest.raises(GrowsearchError, match="not finite"):
        NOfM(2, 4, transposable=True).mask(scores)


def test_all_layers_but_the_excluded_get_the_pattern(built, generator):
    model = built("resnet20")
    exclude = ("stem.conv.weight", "classifier.weight")
    masks = sparsify_n_of_m(model, NOfM(2, 8, True), generator=generator, exclude=exclude)
    assert masks.density == 0.25
    assert not set(exclude) & set(masks.names)
    for name in masks:
        assert (in_tiles(masks[name], 8).sum(dim=2) == 2).all()
    masks.check()


@pytest.mark.parametrize("updater", ["set", "rigl"])
@pytest.mark.parametrize("pattern", [NOfM(2, 4), NOfM(2, 4, True), NOfM(4, 8, True)], ids=str)
def test_a_dynamic_schedule_stays_inside_the_pattern(updater, pattern):
    generator = torch.Generator().manual_seed(0)
    weight, gradient = torch.randn(2, 16, 24, generator=generator)
    mask = pattern.mask(torch.rand(16, 24, generator=generator))
    layers = {"a": Connections(weight=weight * mask, gradient=gradient, mask=mask)}
    method = make_updater(updater, alpha=0.3, pattern=pattern)
    new = method.update(layers, 0.0, generator)["a"]
    assert torch.equal(pattern.mask(new.float()), new)  # legal: the pattern would choose it again
    assert int(new.sum()) == int(mask.sum())
    assert not torch.equal(new, mask)
    # Survivors: the largest active weights, all but int(0.3 x active).
    kept = int(mask.sum()) - int(0.3 * int(mask.sum()))
    survivors = torch.topk((weight.abs() * mask).flatten(), kept).indices
    assert new.flatten()[survivors].all()


def test_one_outlying_gradient_does_not_blur_the_choice_in_other_tiles():
    pattern, generator = NOfM(4, 8, True), torch.Generator().manual_seed(0)
    mask = pattern.mask(torch.rand(64, 64, generator=generator))
    weight = torch.randn(64, 64, generator=generator).abs() * mask
    gradient = torch.rand(64, 64, generator=generator).double()
    usual = redistribute(mask, weight, gradient, 0.3, pattern)
    gradient[0, 0] = 1e5
    outlying = redistribute(mask, weight, gradient, 0.3, pattern)
    assert torch.equal(outlying[8:], usual[8:])
    assert torch.equal(outlying[:, 8:], usual[:, 8:])


def test_a_mask_of_another_pattern_is_refused_by_the_schedule():
    layers = {
        "a": Connections(
            weight=torch.ones(4, 4), gradient=torch.ones(4, 4), mask=torch.ones(4, 4).bool()
        )
    }
    with pytest.raises(UsageError, match=r"not 2 of 4; start from masks of this pattern"):
        make_updater("rigl", pattern=NOfM(2, 4)).update(layers, 0.0, torch.Generator())


def test_layers_that_do_not_fit_and_impossible_patterns_are_refused(generator):
    with pytest.raises(UsageError, match=r"^0.weight: .* 4 x 6 .* groups of 4; exclude"):
        sparsify_n_of_m(nn.Sequential(nn.Linear(6, 4)), NOfM(2, 4), generator=generator)
    with pytest.raises(UsageError, match="10 x 8 does not fall into whole 8 x 8 tiles"):
        NOfM(2, 8, transposable=True).mask(torch.ones(10, 8))
    with pytest.raises(UsageError, match="not 5:4"):
        NOfM(5, 4)
