"""Faults of data whose messages once named something else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from growsearch.datasets import from_tensors
from growsearch.datasets.image_folder import load
from growsearch.errors import UsageError

Y = np.arange(60) % 3


def test_labels_that_are_not_finite_are_no_numbers_with_a_fraction() -> None:
    labels = np.where(Y == 1, np.nan, Y)
    with pytest.raises(UsageError) as caught:
        from_tensors(np.zeros((60, 5), np.float32), labels)
    assert "some are not finite (NaN): remove these examples" in str(caught.value)
    assert "fraction" not in str(caught.value)
    with pytest.raises(UsageError, match="numbers with a fraction are no classes"):
        from_tensors(np.zeros((60, 5), np.float32), Y + 0.5)


def test_examples_without_entries_and_data_without_examples_are_told_as_such() -> None:
    with pytest.raises(UsageError, match=r"float32 \(60, 0\): an axis of an example has"):
        from_tensors(np.zeros((60, 0), np.float32), Y)
    with pytest.raises(UsageError, match="there are no examples: inputs and labels are empty"):
        from_tensors(np.zeros((0, 5), np.float32), Y[:0])


@pytest.mark.parametrize(
    ("known", "other", "told"),
    [
        ("k\u00e4tzchen", "ka\u0308tzchen", r"'ka\u0308tzchen' there, 'k\xe4tzchen' in training"),
        ("cat", "cat ", "'cat ' there, 'cat' in training"),
        ("cat", "Cat", "'Cat' there, 'cat' in training"),
        ("cat", "fox", None),
    ],
)
def test_names_of_classes_that_look_alike_are_told_apart(
    tmp_path: Path, known: str, other: str, told: str | None
) -> None:
    for folder in (f"train/{known}", "train/dog", f"val/{other}", "val/dog"):
        (tmp_path / folder).mkdir(parents=True)
        for place in range(4):
            Image.new("RGB", (8, 8)).save(tmp_path / folder / f"{place}.png")
    with pytest.raises(UsageError, match="no training images of") as caught:
        load(tmp_path)
    assert ("look alike" in str(caught.value)) is (told is not None)
    assert told is None or told in str(caught.value)
