"""Regression errors and average precision: truth by hand, and scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from growsearch.metrics import (
    average_precision,
    mean_absolute_error,
    mean_average_precision,
    mean_squared_error,
    r2_score,
)


def test_errors_of_one_column_are_those_by_hand() -> None:
    predictions, targets = torch.tensor([[1.0], [4.0], [6.0]]), torch.tensor([1.0, 2.0, 6.0])
    assert mean_squared_error(predictions, targets) == pytest.approx(4 / 3)
    assert mean_absolute_error(predictions, targets) == pytest.approx(2 / 3)
    # The mean is 3, the deviations -2, -1 and 3.
    assert r2_score(predictions, targets) == pytest.approx(1 - 4 / 14)


def test_a_prediction_and_a_target_of_another_shape_are_never_spread_over_each_other() -> None:
    with pytest.raises(ValueError, match="one for each"):
        mean_squared_error(torch.zeros(4, 4), torch.zeros(4))


def test_r2_of_the_mean_is_0_and_of_a_constant_target_0_or_1() -> None:
    targets = torch.tensor([1.0, 2.0, 6.0])
    assert r2_score(torch.full((3, 1), 3.0), targets) == 0
    same = torch.full((3,), 5.0)
    assert r2_score(same[:, None], same) == 1
    assert r2_score(same[:, None] + 1, same) == 0


@pytest.mark.parametrize("columns", [1, 4])
def test_errors_equal_those_of_scikit_learn(columns: int) -> None:
    generator = torch.Generator().manual_seed(columns)
    targets = 1e6 + torch.randn(50, columns, generator=generator)
    predictions = targets + torch.randn(50, columns, generator=generator) / 3
    pair = (targets.double().numpy(), predictions.double().numpy())
    assert mean_squared_error(predictions, targets) == pytest.approx(
        reference.mean_squared_error(*pair)
    )
    assert mean_absolute_error(predictions, targets) == pytest.approx(
        reference.mean_absolute_error(*pair)
    )
    assert r2_score(predictions, targets) == pytest.approx(reference.r2_score(*pair))


def test_average_precision_by_hand() -> None:
    # Positives at ranks 1, 3 and 4: (1/1 + 2/3 + 3/4) / 3.
    labels = torch.tensor([True, False, True, True, False])
    assert average_precision(torch.tensor([5.0, 4, 3, 2, 1]), labels) == pytest.approx(
        (1 + 2 / 3 + 3 / 4) / 3
    )
    assert average_precision(torch.tensor([1.0, 2, 3, 4, 5]), labels) == pytest.approx(
        (1 / 2 + 2 / 3 + 3 / 5) / 3
    )


def test_equal_scores_count_together_whatever_their_order() -> None:
    scores = torch.zeros(4)
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert average_precision(scores, torch.tensor(labels).bool()) == 0.25


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40).filter(
        lambda rows: any(label for _, label in rows)
    )
)
@settings(max_examples=60, deadline=None)
def test_average_precision_equals_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    found = average_precision(torch.from_numpy(scores).float(), torch.from_numpy(labels))
    assert found == pytest.approx(reference.average_precision_score(labels, scores))


def test_the_mean_is_over_the_labels_that_somebody_has() -> None:
    scores = torch.tensor([[0.9, 0.5, 0.1], [0.1, 0.4, 0.9]])
    labels = torch.tensor([[True, False, False], [False, False, True]])
    assert mean_average_precision(scores, labels) == 1
    labels = torch.tensor([[True, False, True], [False, False, False]])
    assert mean_average_precision(scores, labels) == 0.75
    assert math.isnan(mean_average_precision(scores, torch.zeros(2, 3).bool()))
