"""Weights that masks leave alone: frozen ones, and those that are computed at every call."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from growsearch.errors import UsageError
from growsearch.sparsity import (
    Blocks,
    NOfM,
    layer_sparsities,
    layer_zero_counts,
    prune_by_saliency,
    sparsify,
    sparsify_blocks,
    sparsify_n_of_m,
)
from growsearch.sparsity.distributions import Batch


class Own(nn.Sequential):
    """A name of its own for each test: a line is logged once a process."""


def layers(kind: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    torch.manual_seed(0)
    return kind(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))


DRAW = torch.Generator()
BATCH = Batch(inputs=torch.randn(6, 16), labels=torch.arange(6) % 4)
WAYS = {
    "random": lambda m: sparsify(m, sparsity=0.5, generator=DRAW),
    "blocks": lambda m: sparsify_blocks(m, Blocks(2, 2), sparsity=0.5, generator=DRAW),
    "n of m": lambda m: sparsify_n_of_m(m, NOfM(2, 4), generator=DRAW),
    "saliency": lambda m: prune_by_saliency(m, sparsity=0.5, batch=BATCH),
}


@pytest.mark.parametrize("way", WAYS)
def test_frozen_weights_keep_their_values_and_the_others_have_the_sparsity(way: str) -> None:
    module = layers()
    module[0].weight.requires_grad = False
    before = module[0].weight.clone()
    masks = WAYS[way](module)
    assert torch.equal(module[0].weight, before)
    assert set(masks.names) == {"2.weight", "4.weight"}
    # Half of 64 and 32 weights.
    assert masks.zeros == 48


@settings(max_examples=30, deadline=None)
@given(
    frozen=st.sets(st.sampled_from([0, 2, 4]), max_size=2),
    sparsity=st.floats(0.0, 0.9),
    distribution=st.sampled_from(["uniform", "erk", "er"]),
)
def test_the_sparsity_is_that_of_what_is_trained(
    frozen: set[int], sparsity: float, distribution: str
) -> None:
    module = layers()
    for place in frozen:
        module[place].weight.requires_grad = False
    sizes = {f"{place}.weight": module[place].weight.numel() for place in (0, 2, 4)}
    held = {f"{place}.weight" for place in frozen}
    ratios = layer_sparsities(module, sparsity, distribution)
    zeros = layer_zero_counts(module, sparsity, distribution)
    free = sum(size for name, size in sizes.items() if name not in held)
    assert all(ratios[name] == zeros[name] == 0 for name in held)
    total = sum(ratios[name] * sizes[name] for name in sizes)
    assert total == pytest.approx(sparsity * free)
    assert abs(sum(zeros.values()) - sparsity * free) <= 0.5 + 1e-6


def test_what_gets_no_mask_is_told_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    module = layers(Own)
    module[0].weight.requires_grad = False
    weight_norm(module[2])
    with caplog.at_level(logging.WARNING):
        masks = sparsify(module, sparsity=0.5, generator=DRAW)
    assert set(masks.names) == {"4.weight"}
    assert "0.weight is frozen (requires_grad=False): it gets no mask" in caplog.text
    assert "2.weight is re-parametrised by" in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_a_network_of_frozen_layers_alone_is_refused(way: str) -> None:
    module = layers().requires_grad_(False)
    with pytest.raises(UsageError, match="every convolution and linear layer is frozen"):
        WAYS[way](module)
    assert all(bool(parameter.any()) for parameter in module.parameters())
