"""Streamed images whose channels come last: asked about, stated, and the same as in memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from growsearch.datasets import Images, as_dataset, from_tensors, from_torch
from growsearch.errors import UsageError

CLASSES = torch.arange(60) % 3
ASKED = "whose last axis may be the channels, and those come first"


class Pictures(TorchDataset):
    """Pictures of a shape in a form, numbers that follow from the place."""

    num_classes = 3

    def __init__(self, shape, form="tensor"):
        drawn = torch.randint(0, 256, (60, *shape), generator=torch.Generator().manual_seed(0))
        images = drawn.to(torch.uint8)
        self.images = images.float() / 255 if form == "float" else images
        self.form, self.targets = form, CLASSES.tolist()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        image = self.images[place]
        return (image.numpy() if self.form == "array" else image), self.targets[place]


class River(IterableDataset):
    def __init__(self, pictures):
        self.pictures, self.num_classes = pictures, 3

    def __len__(self):
        return len(self.pictures)

    def __iter__(self):
        return (self.pictures[place] for place in range(len(self.pictures)))


@pytest.mark.parametrize("form", ["tensor", "array", "float"])
def test_images_whose_channels_may_be_last_are_asked_about(form):
    with pytest.raises(UsageError, match=ASKED):
        from_torch(Pictures((32, 32, 3), form))
    with pytest.raises(UsageError, match=ASKED):
        as_dataset({"train": Pictures((32, 32, 3), form)}, "mine")
    river = River(Pictures((16, 16, 1), form))
    with pytest.raises(UsageError, match=ASKED):
        from_torch(river, validation=river, test=river)


def test_the_message_names_the_example_its_shape_and_both_remedies():
    with pytest.raises(UsageError) as caught:
        from_torch(Pictures((32, 32, 3)))
    message = str(caught.value)
    assert "example 0 of own has an input torch.uint8 (32, 32, 3)" in message
    assert "permute(2, 0, 1)" in message
    assert "growsearch.Images(values=the data set, layout='channels-first' or" in message


@pytest.mark.parametrize("form", ["tensor", "array", "float"])
def test_a_stated_layout_is_that_of_every_split_and_moves_the_channels(form):
    last, others = Pictures((8, 6, 3), form), Pictures((8, 6, 3), form)
    stated = Images(values=last, layout="channels-last")
    found = from_torch(stated, validation=others, test=Images(values=others, layout=stated.layout))
    assert found.input_shape == (3, 8, 6)
    assert found.num_classes == 3
    first = Pictures((3, 8, 6), form)
    first.images = last.images.permute(0, 3, 1, 2).contiguous()
    expected = from_torch(first, validation=first, test=first)
    places = torch.arange(60)
    for name in ("train", "validation", "test"):
        moved, known = (getattr(each, name).at(places) for each in (found, expected))
        torch.testing.assert_close(moved.inputs, known.inputs)
        assert torch.equal(moved.labels, known.labels)


def test_channels_that_come_first_can_be_stated_too():
    stated = Images(values=Pictures((4, 4, 2)), layout="channels-first")
    assert as_dataset(stated, "mine").input_shape == (4, 4, 2)
    assert as_dataset({"train": stated}, "mine").input_shape == (4, 4, 2)


def test_a_layout_that_does_not_exist_or_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="unknown layout 'NHWC'; valid: channels-first"):
        from_torch(Images(values=Pictures((8, 8, 3)), layout="NHWC"))
    rows = Pictures((5,), "float")
    with pytest.raises(UsageError, match=r"input torch.float32 \(5,\); images have three axes"):
        from_torch(Images(values=rows, layout="channels-last"))


_SIDES = st.integers(1, 6)


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(_SIDES, _SIDES, _SIDES))
def test_streamed_images_are_asked_about_exactly_where_they_are_in_memory(shape):
    pictures = Pictures(shape)
    asked = []
    for read in (
        lambda: from_tensors(pictures.images.numpy(), np.asarray(CLASSES)),
        lambda: from_torch(pictures),
    ):
        try:
            read()
        except UsageError as error:
            assert ASKED in str(error)  # noqa: PT017
            asked.append(True)
        else:
            asked.append(False)
    assert asked[0] is asked[1]
