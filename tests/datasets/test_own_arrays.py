"""Which arrays of one's own are taken as they are meant, and which are refused with the remedy."""

import numpy as np
import pytest
import torch

import growsearch
from growsearch.datasets import UNLABELLED, Images, from_tensors
from growsearch.errors import UsageError

Y = np.arange(60) % 3
X = np.random.RandomState(0).rand(60, 5).astype(np.float32)
FIRST, LAST = "channels-first", "channels-last"


def _pixels(*shape, kind=np.uint8):
    return np.random.RandomState(0).randint(0, 255, (60, *shape)).astype(kind)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "shape",
    [
        (32, 32, 3),
        (32, 32, 1),
        (32, 32, 4),
        (24, 40, 3),
        (32, 32, 12),
        # Either 3 channels of 32 x 3 or an image of 3 x 32: nobody can tell.
        (3, 32, 3),
        (1, 32, 1),
        (3, 3, 3),
    ],
)
def test_images_whose_channels_may_be_last_are_refused_until_that_is_said(shape, kind):
    images = _pixels(*shape, kind=kind)
    with pytest.raises(UsageError, match="whose last axis may be the channels, and those come fir"):
        from_tensors(images, Y)
    height, width, channels = shape
    last = from_tensors(Images(values=images, layout=LAST), Y)
    assert last.input_shape == (channels, height, width)
    moved = from_tensors(Images(values=images.transpose(0, 3, 1, 2), layout=FIRST), Y)
    assert torch.equal(last.train.inputs, moved.train.inputs)
    assert from_tensors(Images(values=images, layout=FIRST), Y).input_shape == shape


@pytest.mark.parametrize(
    "shape",
    [(3, 32, 32), (1, 28, 28), (3, 24, 40), (12, 32, 32), (16, 4, 4), (3, 4, 4), (64, 1, 1)],
)
def test_images_whose_channels_can_only_be_first_are_taken(shape):
    assert from_tensors(_pixels(*shape), Y).input_shape == shape


def test_one_label_a_pixel_tells_where_the_channels_are():
    labels = _pixels(8, 3) % 2
    # 3 channels of 8 x 3 pixels: of images alone nobody could tell.
    assert from_tensors(_pixels(3, 8, 3), labels).input_shape == (3, 8, 3)
    with pytest.raises(UsageError, match="whose last axis may be the channels"):
        from_tensors(_pixels(8, 3, 3), labels)
    with pytest.raises(UsageError, match="one a pixel; give images"):
        from_tensors(_pixels(3, 9, 3), labels)


def test_a_layout_is_one_of_two_and_of_four_axes():
    with pytest.raises(UsageError, match="unknown layout 'NHWC'; valid: channels-first, channels-"):
        from_tensors(Images(values=_pixels(3, 8, 8), layout="NHWC"), Y)
    with pytest.raises(UsageError, match="images have four axes"):
        from_tensors(Images(values=X, layout=LAST), Y)
    assert growsearch.Images is Images


def test_test_images_have_a_layout_of_their_own():
    test = (Images(values=_pixels(32, 32, 3), layout=LAST), Y)
    data = from_tensors(_pixels(3, 32, 32), Y, test=test)
    assert data.test.inputs.shape == (60, 3, 32, 32)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y * 1000 + 7, r"3 labels occur \(7, 1007, 2007\), which would make 2,008 classes; number"),
        (Y + 1, r"3 labels occur \(1, 2, 3\), which would make 4 classes"),
        (Y * 2, "state num_classes=5 if the others exist"),
        (Y.astype(np.uint64) + 10**15, "label 1000000000000002 would make .* at most 1,000,000"),
        (Y.astype(np.uint64) + 2**63, r"hold 9223372036854775810; numbers are below 2\^63"),
        (Y - 1, "label -1 is below 0"),
        (np.zeros(60, np.int64), "all labels are 0, and one class can teach nothing"),
        (np.full(60, 3), "all labels are 3, and one class"),
        (Y.astype(np.float64), r"labels are float64 \(60,\).*labels.astype\('int64'\)"),
        (Y + 0.5, "no classes: to predict them, state task=.regression."),
        (Y * np.nan, "labels are float64"),
        (Y > 0, r"labels are bool \(60,\).*labels.astype\('int64'\)"),
        (np.array(["cat", "dog"])[Y % 2], r"labels are text \(60,\); number the classes from 0 on"),
        (np.array(["cat", None] * 30), "labels are Python objects"),
        (np.array([b"cat", b"dog"])[Y % 2], "labels are bytes"),
        (np.eye(3)[Y], "one-hot rows: labels.argmax"),
        (np.eye(3, dtype=np.int64)[Y], "one-hot rows become by labels.argmax"),
        (Y[:, None], r"labels are int64 \(60, 1\).*labels\[:, 0\]"),
        (Y[:59], "for 59 labels; give one each"),
        (Y[:0], r"labels are int64 \(0,\)"),
        (np.int64(3), r"labels are int64 \(\)"),
        (Y.astype("M8[s]"), "labels are dates"),
        (Y.astype(complex), "labels are complex numbers"),
        (np.zeros(60, dtype=[("a", "i4")]), "labels are records"),
        (np.ma.masked_equal(Y, 2), "labels have masked values"),
        ([[1], [2, 3]] * 30, "labels are no array of numbers"),
        (None, "labels are Python objects"),
    ],
)
def test_labels_that_are_no_classes_are_refused_with_the_remedy(labels, message):
    with pytest.raises(UsageError, match=message):
        from_tensors(X, labels)


@pytest.mark.parametrize("kind", ["i1", "u1", "<i2", ">u2", "u4", ">i8", "u8"])
def test_labels_of_every_whole_type_are_the_same_classes(kind):
    data = from_tensors(X, Y.astype(kind))
    assert data.num_classes == 3
    assert torch.equal(data.train.labels, from_tensors(X, Y).train.labels)
    tensors = torch.from_numpy(Y.astype(np.dtype(kind).newbyteorder("=")))
    assert torch.equal(from_tensors(X, tensors).test.labels, data.test.labels)


def test_labels_with_gaps_are_taken_where_the_number_of_classes_is_stated():
    data = from_tensors(X, Y * 2, num_classes=8)
    assert data.num_classes == 8
    assert "5 classes have no example: 1, 3, 5, 6, 7" in data.report.notes


@pytest.mark.parametrize("stated", [0, 1, -3, 2.0, True, "3", 10**15])
def test_a_number_of_classes_is_a_whole_number_of_two_or_more(stated):
    with pytest.raises(
        UsageError, match=r"num_classes = .*; give a whole number from 2 to 1,000,0"
    ):
        from_tensors(X, Y, num_classes=stated)


def test_a_class_of_the_test_alone_and_one_that_is_all_held_out_are_refused():
    with pytest.raises(UsageError, match="label 2 is in the test labels alone"):
        from_tensors(X, Y % 2, test=(X, Y))
    with pytest.raises(UsageError, match=r"class \d+ is held out whole \(1 of 60 exampl"):
        from_tensors(X, np.arange(60))


def test_pixels_without_a_class_leave_no_gap_and_one_class_of_pixels_is_refused():
    labels = _pixels(8, 8).astype(np.int64) % 3
    labels[labels == 1] = UNLABELLED
    with pytest.raises(UsageError, match=r"2 labels occur \(0, 2\)"):
        from_tensors(_pixels(3, 8, 8), labels)
    with pytest.raises(UsageError, match=r"256 classes; .*; if 255 means no class, write -100 for"):
        from_tensors(_pixels(3, 8, 8), np.where(labels == UNLABELLED, 255, labels))
    labels[labels == 2] = 0
    with pytest.raises(UsageError, match="all labels are 0, and one class"):
        from_tensors(_pixels(3, 8, 8), labels)


def test_words_may_have_gaps_and_are_bounded():
    words = _pixels(6, kind=np.int64)
    assert from_tensors(words.astype(np.uint16), words * 3).num_classes == int(words.max()) * 3 + 1
    with pytest.raises(UsageError, match=r"label 1000000000000000 would make .* at most 1,000,000"):
        from_tensors(words, np.where(words == words.max(), 10**15, words))
    with pytest.raises(UsageError, match="all words are 0"):
        from_tensors(words * 0, words * 0)


HOLED = X.copy()
HOLED[3, 1] = np.nan


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (HOLED, "not finite; remove or fill"),
        (np.where(np.isnan(HOLED), np.inf, X), "not finite"),
        # Finite, but not in float32.
        (np.full((60, 2), 1e300), "not finite"),
        (_pixels(3, 8, 8, kind=np.uint16), r"uint16 \(60, 3, 8, 8\); .*// 257\).astype\('uint8'\)"),
        (_pixels(3, 8, 8, kind=np.int64), r"inputs are int64 .*; give float32, or uint8 images"),
        (_pixels(8, 8, kind=bool), r"inputs are bool .*; give float32"),
        (_pixels(28, 28), r"\(N, C, H, W\), not uint8 \(60, 28, 28\); grey ones are inputs\[:, N"),
        (X[:, :0], r"inputs are float32 \(60, 0\): an axis of an example"),
        (X[:, 0], r"inputs are float32 \(60,\)"),
        (X.astype(complex), "inputs are complex numbers"),
        (X.astype(str), "inputs are text"),
        (X.astype(object), "inputs are Python objects"),
        (torch.complex(torch.zeros(60, 2), torch.zeros(60, 2)), "inputs are complex"),
        (torch.zeros(60, 2).to_sparse(), "inputs are sparse or quantised"),
        (torch.zeros(60, 2, device="meta"), "inputs are no array of numbers"),
        (torch.zeros(1).expand(60, 10**12), "inputs of 60,000,000,000,000 numbers, which need 480"),
        (np.broadcast_to(np.float32(0), (60, 10**12)), "which need 480,000 GB of memory"),
        (np.ma.masked_invalid(HOLED), "inputs have masked values"),
        ("path/to/inputs.npy", "inputs are text"),
    ],
)
def test_inputs_that_are_not_what_training_takes_are_refused_with_the_remedy(inputs, message):
    with pytest.raises(UsageError, match=message):
        from_tensors(inputs, Y)


@pytest.mark.parametrize(
    "inputs",
    [
        X.astype(">f4"),
        X[::-1][::-1],
        np.asfortranarray(X),
        np.broadcast_to(X, X.shape),
        X.tolist(),
        torch.from_numpy(X).requires_grad_(),
        torch.from_numpy(X).double(),
        np.ma.array(X),
    ],
)
def test_the_way_an_array_lies_in_memory_makes_no_difference(inputs):
    assert torch.equal(from_tensors(inputs, Y).train.inputs, from_tensors(X, Y).train.inputs)


def test_the_report_says_what_was_done_to_inputs():
    assert from_tensors(255 * X, Y).report.notes[0].endswith("and are taken as they are")
    assert from_tensors(_pixels(3, 8, 8), Y).report.notes == (
        "training inputs are uint8 from 0 to 254, and are normalised",
    )


def test_a_pair_that_is_none_is_refused():
    with pytest.raises(UsageError, match="dataset: inputs and labels cannot be read"):
        from_tensors(X, Y, test=(X,))
