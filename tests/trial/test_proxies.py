"""Are the proxies what a pencil says, and is a candidate always scored the same?"""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from growsearch.kinds import DataChoice, GrowthBound, GrowthCandidate, RecipeChoice, SparseCandidate
from growsearch.sparsity import Batch, Masks
from growsearch.trial.proxies import PROXIES, ProxyInput, can_score, score_candidate
from growsearch.trial.task import TrialTask


def _half(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return 0.5 * (outputs - targets).square().sum()


def _chain(first: float, second: float) -> nn.Sequential:
    """Return y = second (first x) with one weight each."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(first)
        model[1].weight.fill_(second)
    return model


def _given(model: nn.Module, batches: list[Batch], rate: float = 0.1) -> ProxyInput:
    masks = Masks.attach(
        model,
        {name: torch.ones_like(p, dtype=torch.bool) for name, p in model.named_parameters()},
    )
    return ProxyInput(module=model, masks=masks, batches=batches, learning_rate=rate)


def _batch(x: float, target: float) -> Batch:
    return Batch(inputs=torch.tensor([[x]]), labels=torch.tensor([[target]]), loss=_half)


def test_synflow_is_the_sum_of_every_weights_flow() -> None:
    # R = |2| |-3| = 6; each layer's |w dR/dw| is 6. The input's value does not count.
    given = _given(_chain(2.0, -3.0), [_batch(5.0, 0.0)])
    assert PROXIES["synflow"](given) == pytest.approx(12)


def test_snip_is_the_sum_of_gradient_times_weight() -> None:
    # y = -6, dL/dy = -6 - 1 = -7: g1 = -7 * -3 = 21, g2 = -7 * 2 = -14. |21 * 2| + |-14 * -3| = 84.
    given = _given(_chain(2.0, -3.0), [_batch(1.0, 1.0)])
    assert PROXIES["snip"](given) == pytest.approx(84)


def test_a_weight_that_is_masked_adds_nothing_to_any_proxy() -> None:
    model = _chain(0.0, -3.0)
    masks = Masks.attach(
        model,
        {"0.weight": torch.zeros(1, 1, dtype=torch.bool), "1.weight": torch.ones(1, 1).bool()},
    )
    given = ProxyInput(module=model, masks=masks, batches=[_batch(1.0, 1.0)], learning_rate=0.1)
    assert PROXIES["synflow"](given) == 0
    assert PROXIES["snip"](given) == 0


def test_gradient_flow_is_the_mean_over_the_first_steps() -> None:
    # One layer, cross-entropy of two classes. logits = (w0 x, w1 x) with w = 0 and x = 1, label 0:
    # g = (p0 - 1, p1). Step 1: p = 1/2, norm sqrt(1/2). Then w = (1/2, -1/2) at rate 1:
    # p0 = e / (1 + e), norm sqrt(2) (1 - p0).
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    nn.init.zeros_(model[0].weight)
    batch = Batch(inputs=torch.ones(1, 1), labels=torch.tensor([0]))
    found = PROXIES["gradient_flow"](_given(model, [batch, batch], rate=1.0))
    second = math.sqrt(2) * (1 - math.e / (1 + math.e))
    assert found == pytest.approx((math.sqrt(0.5) + second) / 2)
    assert model[0].weight.abs().sum() == 0


def test_gradient_flow_moves_no_masked_weight() -> None:
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    nn.init.zeros_(model[0].weight)
    masks = Masks.attach(model, {"0.weight": torch.tensor([[True], [False]])})
    batch = Batch(inputs=torch.ones(1, 1), labels=torch.tensor([0]))
    given = ProxyInput(module=model, masks=masks, batches=[batch, batch], learning_rate=1.0)
    # Only w0 moves: 0, then 1/2; its gradients are p0 - 1.
    second = 1 / (1 + math.exp(0.5))
    assert PROXIES["gradient_flow"](given) == pytest.approx((0.5 + second) / 2)


RECIPE = RecipeChoice(epochs=2)


@pytest.fixture
def sparse() -> SparseCandidate:
    return SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.8,
        distribution="erk",
        positions="random",
        pattern=None,
        updater="static",
        activation=True,
        training=RECIPE,
    )


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_candidate_is_scored_the_same_again_and_knows_its_macs(
    proxy: str, sparse: SparseCandidate, tmp_path: Path
) -> None:
    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=tmp_path)
    first, again = (score_candidate(sparse, task, 3, proxy) for _ in range(2))
    denser = score_candidate(dataclasses.replace(sparse, sparsity=0.4), task, 3, proxy)
    assert first == again
    assert first.score is not None
    assert first.score > 0
    assert denser.costs["macs"] > first.costs["macs"]
    assert denser.score != first.score
    assert not any(tmp_path.iterdir())


def test_what_grows_has_no_score(tmp_path: Path) -> None:
    grown = GrowthCandidate(
        space="mlp-digits", budget=GrowthBound("parameters", 0.2), training=RECIPE
    )
    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=tmp_path)
    assert not can_score(grown)
    assert score_candidate(grown, task, 0, "synflow").score is None
