import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from growsearch.metrics import (
    adaptive_calibration_error,
    brier_score,
    cross_entropy,
    expected_calibration_error,
    perplexity,
)


def logits_of(*probabilities):
    return torch.tensor(probabilities).log()


def drawn(seed, count=200, classes=4):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, generator=generator)
    return logits, torch.randint(classes, (count,), generator=generator)


def brute_force_ece(logits, labels, bins):
    """Guo et al.'s equation 3, one bin and one example after the other."""
    probabilities = torch.softmax(logits.double(), dim=1).tolist()
    total = 0.0
    for m in range(1, bins + 1):
        inside = [
            (max(p), p.index(max(p)) == label)
            for p, label in zip(probabilities, labels.tolist(), strict=True)
            if (m - 1) / bins < max(p) <= m / bins
        ]
        if inside:
            confidence = math.fsum(c for c, _ in inside) / len(inside)
            share = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(labels) * abs(share - confidence)
    return total


def test_calibration_error_by_hand():
    # Confidences .9 (right), .9 (wrong), .6 (right): gaps |1 - 1.8| and |1 - .6|, over three.
    logits = logits_of([0.9, 0.1], [0.1, 0.9], [0.6, 0.4])
    labels = torch.tensor([0, 0, 0])
    assert expected_calibration_error(logits, labels) == pytest.approx((0.8 + 0.4) / 3, abs=1e-6)
    # One bin: two of three are right at a mean confidence of .8.
    found = expected_calibration_error(logits, labels, bins=1)
    assert found == pytest.approx(0.8 - 2 / 3, abs=1e-6)


def test_a_network_that_is_certain_and_right_is_calibrated():
    logits = torch.tensor([[60.0, 0.0], [0.0, 60.0]])
    assert expected_calibration_error(logits, torch.tensor([0, 1])) == 0.0
    assert expected_calibration_error(logits, torch.tensor([1, 0])) == 1.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), bins=st.integers(1, 20))
def test_calibration_error_is_that_of_a_count_one_by_one(seed, bins):
    logits, labels = drawn(seed, count=60)
    found = expected_calibration_error(logits, labels, bins=bins)
    assert found == pytest.approx(brute_force_ece(logits, labels, bins), abs=1e-12)


def test_bins_of_equal_mass_by_hand():
    # Sorted confidences .6 (right), .7 (wrong) | .8 (right), .9 (right): |1 - 1.3| + |2 - 1.7|.
    logits = logits_of([0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3])
    labels = torch.tensor([0, 0, 0, 1])
    assert adaptive_calibration_error(logits, labels, bins=2) == pytest.approx(0.6 / 4, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), bins=st.integers(1, 20), count=st.integers(1, 60))
def test_bins_of_equal_mass_agree_with_numpy(seed, bins, count):
    logits, labels = drawn(seed, count=count)
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels.numpy()
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    expected = sum(
        len(part) / count * abs(right[part].mean() - confidence[part].mean())
        for part in parts
        if len(part)
    )
    assert adaptive_calibration_error(logits, labels, bins=bins) == pytest.approx(expected)


def test_brier_score_by_hand():
    # (.7 - 1)^2 + .2^2 + .1^2 and .5^2 + (.5 - 1)^2.
    logits = logits_of([0.7, 0.2, 0.1], [0.5, 0.5, 1e-30])
    assert brier_score(logits, torch.tensor([0, 1])) == pytest.approx((0.14 + 0.5) / 2, abs=1e-6)


def test_brier_score_and_likelihood_agree_with_scikit_learn():
    logits, labels = drawn(3)
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    classes = [0, 1, 2, 3]
    expected = brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)
    assert brier_score(logits, labels) == pytest.approx(expected)
    assert cross_entropy(logits, labels) == pytest.approx(
        log_loss(labels, probabilities, labels=classes), rel=1e-5
    )


def test_likelihood_by_hand():
    logits = logits_of([0.5, 0.5], [0.25, 0.75])
    expected = (math.log(2) + math.log(4)) / 2
    assert cross_entropy(logits, torch.tensor([0, 0])) == pytest.approx(expected)


def test_perplexity_of_a_guess_among_eight_words_is_eight():
    assert perplexity(5 * math.log(8), 5) == pytest.approx(8.0)
    assert perplexity(1e6, 1) == math.inf
