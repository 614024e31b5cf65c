import copy
import math

import pytest
import torch
from torch import nn

from growsearch.errors import GrowsearchError, UsageError
from growsearch.sparsity import Masks, masks_in_state, sparsify
from growsearch.sparsity.masks import hide


@pytest.fixture
def linear():
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    return layer


DRAWN = torch.tensor([[True, False, True], [False, False, True]])


def test_attaching_a_drawn_mask_zeroes_exactly_what_it_hides(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    assert linear.weight.tolist() == [[1, 0, 3], [0, 0, 6]]
    assert masks.names == ("weight",)
    assert masks.nonzeros() == {"weight": 3}
    assert (masks.zeros, masks.weights, masks.density) == (3, 6, 0.5)


def test_the_callers_mask_is_not_shared_with_the_module(linear):
    drawn = DRAWN.clone()
    masks = Masks.attach(linear, {"weight": drawn})
    drawn.fill_(True)
    assert torch.equal(masks["weight"], DRAWN)


def test_masks_follow_deepcopy_and_are_found_again(linear):
    Masks.attach(linear, {"weight": DRAWN})
    twin = copy.deepcopy(linear)
    found = Masks.of(twin)
    found.set("weight", ~DRAWN)
    assert found.names == ("weight",)
    assert torch.equal(Masks.of(linear)["weight"], DRAWN)
    assert torch.equal(Masks.of(twin)["weight"], ~DRAWN)


def test_masks_travel_through_a_state_dict(tiny, generator):
    source, target = tiny(), tiny()
    sparsify(source, sparsity=0.5, generator=generator)
    state = source.state_dict()
    Masks.attach(target, masks_in_state(state))
    target.load_state_dict(state)
    for name in Masks.of(source):
        assert torch.equal(Masks.of(source)[name], Masks.of(target)[name])
    Masks.of(target).check()


def test_a_checkpoint_without_masks_is_refused_and_the_mask_is_named(tiny, generator):
    dense, sparse = tiny(), tiny()
    sparsify(sparse, sparsity=0.5, generator=generator)
    with pytest.raises(RuntimeError, match=r"conv1\.weight_mask"):
        sparse.load_state_dict(dense.state_dict())


def test_a_checkpoint_with_masks_is_refused_by_a_module_without(tiny, generator):
    dense, sparse = tiny(), tiny()
    sparsify(sparse, sparsity=0.5, generator=generator)
    with pytest.raises(RuntimeError, match=r"conv1\.weight_mask"):
        dense.load_state_dict(sparse.state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.1),
    ],
    ids=["sgd", "adamw"],
)
def test_momentum_never_moves_a_masked_weight(linear, make):
    optimizer = make(linear.parameters())
    for _ in range(3):  # dense steps first: every weight has momentum
        linear(torch.ones(4, 3)).sum().backward()
        optimizer.step()
    masks = Masks.attach(linear, {"weight": DRAWN})
    for _ in range(5):
        before = linear.weight.detach().clone()
        optimizer.zero_grad()
        linear(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        assert torch.count_nonzero(linear.weight[~DRAWN]) == 3  # the optimizer did move them
        masks.apply()
        assert torch.count_nonzero(linear.weight[~DRAWN]) == 0
        assert (linear.weight[DRAWN] != before[DRAWN]).all()


def test_apply_clears_infinite_and_undefined_masked_weights(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    with torch.no_grad():
        linear.weight[0, 1] = math.inf
        linear.weight[1, 0] = math.nan
    masks.apply()
    assert linear.weight.tolist() == [[1, 0, 3], [0, 0, 6]]


def test_check_names_the_parameter_with_a_masked_weight_that_is_not_zero(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    masks.check()
    with torch.no_grad():
        linear.weight[0, 1] = 1e-30
    with pytest.raises(GrowsearchError, match="1 masked weights of weight"):
        masks.check()


def test_set_zeroes_what_is_newly_hidden_and_leaves_the_rest(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    masks.set("weight", torch.tensor([[True, True, False], [False, False, True]]))
    assert linear.weight.tolist() == [[1, 0, 0], [0, 0, 6]]
    assert masks.nonzeros() == {"weight": 3}


def test_a_mask_follows_a_weight_that_surgery_has_resized(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    linear.weight = nn.Parameter(torch.ones(2, 4))
    with pytest.raises(GrowsearchError, match=r"\(2, 4\) but its mask is \(2, 3\)"):
        masks.check()
    masks.set("weight", torch.tensor([[True, False, False, True], [True] * 4]))
    masks.check()
    assert linear.weight.tolist() == [[1, 0, 0, 1], [1, 1, 1, 1]]
    assert "weight_mask" in linear.state_dict()


def test_detach_removes_the_buffers_and_keeps_the_zeros(linear):
    masks = Masks.attach(linear, {"weight": DRAWN})
    masks.detach()
    assert list(linear.state_dict()) == ["weight"]
    assert linear.weight.tolist() == [[1, 0, 3], [0, 0, 6]]
    assert len(Masks.of(linear)) == 0
    assert Masks.of(linear).density == 1.0


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"weights": DRAWN}, "no parameter 'weights'"),
        ({"a.b.weight": DRAWN}, "no parameter 'a.b.weight'"),
        ({"weight": DRAWN.float()}, "float32; give a bool tensor"),
        ({"weight": DRAWN.T}, r"\(3, 2\), the weight \(2, 3\)"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_and_nothing_changes(linear, masks, message):
    with pytest.raises(UsageError, match=message):
        Masks.attach(linear, masks)
    assert linear.weight.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert len(Masks.of(linear)) == 0


def test_a_second_mask_on_a_parameter_is_refused(linear):
    Masks.attach(linear, {"weight": DRAWN})
    with pytest.raises(UsageError, match="has a mask already"):
        Masks.attach(linear, {"weight": DRAWN})


def test_an_unmasked_name_lists_the_masked_ones(tiny, generator):
    masks = sparsify(tiny(), sparsity=0.5, generator=generator, exclude=("conv1.weight",))
    with pytest.raises(UsageError, match=r"masked: conv2\.weight, fc\.weight"):
        masks["conv1.weight"]


def test_forward_passes_need_no_mask_and_see_the_zeros(linear):
    Masks.attach(linear, {"weight": DRAWN})
    assert linear(torch.eye(3)).tolist() == [[1, 0], [0, 0], [3, 6]]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64]
)
@pytest.mark.parametrize("size", [7, 2**16 + 5])
def test_hiding_clears_bits_of_every_kind_of_float_and_nothing_else(dtype, size):
    generator = torch.Generator().manual_seed(size)
    values = torch.randn(size, generator=generator).to(dtype)
    values[::3] = math.nan
    values[1::3] = -math.inf
    mask = torch.rand(size, generator=generator) < 0.4
    before = values.clone()
    hide(values, mask)
    assert torch.count_nonzero(values[~mask]) == 0
    assert torch.equal(values[mask].isnan(), before[mask].isnan())
    finite = mask & before.isfinite()
    assert torch.equal(values[finite], before[finite])


def test_hiding_works_on_any_layout_in_memory():
    layouts = {
        "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
        "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    }
    mask = torch.rand(40, 30, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    for change in layouts.values():
        values = change(torch.ones(40, 30, 8, 8))
        assert not values.is_contiguous()
        hide(values, mask)
        assert torch.equal(values, mask.float())


def test_a_name_that_leads_nowhere_is_no_parameter(tiny):
    for name in ("conv9.weight", "conv1.deep.weight", ""):
        with pytest.raises(UsageError, match="no parameter"):
            Masks.attach(tiny(), {name: DRAWN})
