import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.datasets import load_dataset, subset
from growsearch.datasets.stratified import stratified_choice
from growsearch.errors import UsageError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(labels=LABELS, share=st.floats(0, 1), seed=st.integers(0, 9))
def test_each_class_gets_its_share_rounded_up_or_down(labels, share, seed):
    labels = torch.tensor(labels)
    count = max(1, int(share * len(labels)))
    chosen = stratified_choice(labels, count, seed=seed)
    assert len(chosen) == len(set(chosen.tolist())) == count
    assert chosen.tolist() == sorted(chosen.tolist())
    for label, size in enumerate(labels.bincount().tolist()):
        kept = int((labels[chosen] == label).sum())
        assert abs(kept - count * size / len(labels)) < 1


def test_the_choice_for_a_seed_never_changes():
    labels = torch.tensor([0, 1] * 10)
    assert stratified_choice(labels, 6, seed=0).tolist() == [3, 4, 7, 8, 11, 16]
    assert stratified_choice(labels, 6, seed=1).tolist() != [3, 4, 7, 8, 11, 16]


@pytest.mark.parametrize("count", [0, -1, 4])
def test_a_count_that_cannot_be_chosen_is_refused(count):
    with pytest.raises(UsageError, match=f"{count} examples asked for; valid: 1 to 3"):
        stratified_choice(torch.tensor([0, 1, 2]), count, seed=0)


def test_a_subset_takes_examples_of_each_split_and_keeps_the_rest_of_the_data_set():
    digits = load_dataset("digits")
    small = subset(digits, train=100, validation=20, test=10)
    assert [len(small.train), len(small.validation), len(small.test)] == [100, 20, 10]
    assert small.test.labels.bincount().tolist() == [1] * 10
    assert small.num_classes == 10
    assert small.normalisation == digits.normalisation
    whole = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(*_both(digits.train), strict=True)
    }
    for image, label in zip(*_both(small.train), strict=True):
        assert whole[image.numpy().tobytes()] == int(label)


def _both(split):
    return split.inputs, split.labels


def test_a_subset_is_the_same_every_time_and_another_one_for_another_seed():
    digits = load_dataset("digits")
    one, two = (subset(digits, train=50, validation=20, test=20) for _ in range(2))
    other = subset(digits, train=50, validation=20, test=20, seed=1)
    assert torch.equal(one.train.inputs, two.train.inputs)
    assert not torch.equal(one.train.inputs, other.train.inputs)


def test_a_subset_larger_than_its_split_is_refused():
    with pytest.raises(UsageError, match="301 examples asked for; valid: 1 to 300"):
        subset(load_dataset("digits"), train=10, validation=301, test=10)
