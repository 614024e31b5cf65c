"""Training on the validation examples as well, in memory and streamed."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.datasets import from_tensors
from growsearch.datasets.streams.chained import ChainedExamples, chained
from growsearch.datasets.streams.joined import text_and_validation, train_and_validation
from growsearch.datasets.streams.streamed_split import StreamedSplit
from growsearch.datasets.texts.tokens import TokenDataset
from growsearch.errors import UsageError


class Numbers:
    """Example n is the image of its number, and its label is that."""

    shape, label_shape, label_type = (1, 1, 1), (), torch.int64

    def __init__(self, first: int, count: int, name: str = "numbers", listed: bool = True) -> None:
        self.name, self._numbers = name, torch.arange(first, first + count)
        self.labels = self._numbers if listed else None

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, places):
        found = self._numbers[list(places)]
        return found.to(torch.uint8).view(-1, 1, 1, 1), found


class OwnOrder:
    name, shape, label_shape, label_type = "flow", (1, 1, 1), (), torch.int64
    labels = None

    def __len__(self) -> int:
        return 4

    def batches(self, size, seed):
        yield from ()


def test_validation_examples_stand_behind_the_training_ones():
    data = from_tensors(torch.randn(40, 3), torch.arange(40) % 2)
    whole = train_and_validation(data)
    border = len(data.train)
    assert torch.equal(whole.train.inputs[:border], data.train.inputs)
    assert torch.equal(whole.train.inputs[border:], data.validation.inputs)
    assert torch.equal(whole.train.labels[border:], data.validation.labels)
    assert whole.validation is data.validation
    assert whole.test is data.test


@settings(deadline=None, max_examples=30)
@given(
    parts=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    chosen=st.booleans(),
    draw=st.randoms(use_true_random=False),
)
def test_chained_streams_read_what_their_parts_read(parts, chosen, draw):
    first, second = (
        StreamedSplit(Numbers(start, count)) for start, count in zip((0, 100), parts, strict=True)
    )
    expected = [*range(parts[0]), *range(100, 100 + parts[1])]
    if chosen:
        places = draw.sample(range(parts[0]), draw.randint(1, parts[0]))
        first = first.take(torch.tensor(places))
        expected = [*places, *range(100, 100 + parts[1])]
    whole = chained(first, second)
    assert len(whole) == len(expected)
    assert whole.labels.tolist() == expected
    order = draw.sample(range(len(expected)), len(expected))
    read = torch.cat([labels for _, labels in whole.batches(3, torch.tensor(order))])
    assert read.tolist() == [expected[place] for place in order]
    inputs = whole.at(torch.tensor(order)).inputs
    assert inputs.flatten().round().int().tolist() == [expected[place] % 256 for place in order]


def test_parts_of_the_same_examples_stay_one_stream():
    whole = StreamedSplit(Numbers(0, 10))
    train, validation = whole.take(torch.tensor([3, 1])), whole.take(torch.tensor([7]))
    both = chained(train, validation)
    assert both.examples is whole.examples
    assert both.labels.tolist() == [3, 1, 7]


def test_labels_that_nobody_lists_are_read():
    both = ChainedExamples((Numbers(0, 2), None), (Numbers(5, 2, listed=False), None))
    assert both.labels is None
    split = StreamedSplit(both)
    assert split.labels.tolist() == [0, 1, 5, 6]


def test_streams_in_an_order_of_their_own_are_refused():
    with pytest.raises(UsageError, match="flow comes in an order of its own"):
        chained(StreamedSplit(Numbers(0, 2)), StreamedSplit(OwnOrder()))


def test_streamed_training_examples_go_with_validation_examples_in_memory():
    data = from_tensors(torch.zeros(40, 1, 1, 1), torch.arange(40) % 2)
    mixed = dataclasses.replace(data, train=StreamedSplit(Numbers(0, 3)))
    assert train_and_validation(mixed).train.labels.tolist() == [
        *range(3),
        *data.validation.labels.tolist(),
    ]


def test_a_text_goes_on_with_its_validation_words():
    text = TokenDataset(
        name="text",
        train=torch.tensor([0, 1]),
        validation=torch.tensor([1, 1, 0]),
        test=torch.tensor([0]),
        vocabulary=("a", "b"),
    )
    assert text_and_validation(text).train.tolist() == [0, 1, 1, 1, 0]
