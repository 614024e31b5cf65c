import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.sparsity.dynamic.redistribution import cosine_fraction, redistribute
from growsearch.sparsity.patterns import Unstructured


def bools(text):
    return torch.tensor([character == "1" for character in text])


def test_the_fraction_falls_from_alpha_to_zero_on_a_cosine():
    assert cosine_fraction(0.0, 0.3, 0.75) == pytest.approx(0.3)
    assert cosine_fraction(0.375, 0.3, 0.75) == pytest.approx(0.15)
    assert cosine_fraction(0.25, 0.3, 0.75) == pytest.approx(0.15 * (1 + math.cos(math.pi / 3)))
    assert cosine_fraction(0.75, 0.3, 0.75) == 0.0
    assert cosine_fraction(0.9, 0.3, 0.75) == 0.0


def test_the_smallest_active_weight_goes_and_the_best_candidate_comes():
    mask = redistribute(
        bools("11110000"),
        torch.tensor([4.0, 0.1, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        torch.tensor([9.0, 0.0, 9.0, 9.0, 1.0, 5.0, 2.0, 0.0]),
        0.25,
        Unstructured(),
    )
    assert torch.equal(mask, bools("10110100"))


def test_the_number_dropped_is_rounded_down():
    # int(0.3 x 5) = 1
    mask = redistribute(
        bools("1111100000"),
        torch.arange(10.0),
        torch.tensor([0.0] * 5 + [1.0, 2.0, 3.0, 4.0, 5.0]),
        0.3,
        Unstructured(),
    )
    assert torch.equal(mask, bools("0111100001"))


def test_a_connection_that_was_just_dropped_may_come_back():
    mask = redistribute(
        bools("1100"),
        torch.tensor([1.0, 2, 0, 0]),
        torch.tensor([9.0, 0, 1, 2]),
        0.5,
        Unstructured(),
    )
    assert torch.equal(mask, bools("1100"))


def test_inactive_weights_are_never_counted_as_dropped():
    # An active weight of exactly zero goes before larger ones; masked zeros are no candidates.
    mask = redistribute(
        bools("0011"),
        torch.tensor([0.0, 0.0, 0.0, 1.0]),
        torch.tensor([1.0, 2.0, 0.0, 0.0]),
        0.5,
        Unstructured(),
    )
    assert torch.equal(mask, bools("0101"))


@settings(max_examples=60, deadline=None)
@given(
    bits=st.lists(st.booleans(), min_size=1, max_size=40),
    fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_the_number_of_active_weights_stays_and_survivors_are_the_largest(bits, fraction, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor(bits)
    drop, grow = torch.rand(2, len(bits), generator=generator)
    new = redistribute(mask, drop, grow, fraction, Unstructured())
    active = int(mask.sum())
    kept = active - int(fraction * active)
    assert int(new.sum()) == active
    largest = torch.argsort(torch.where(mask, drop, -1.0), descending=True)[:kept]
    assert new[largest].all()
