import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growsearch.datasets.augmentation import NO_AUGMENTATION
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.raw_images import make_dataset
from growsearch.datasets.reading.raw import RawImages
from growsearch.errors import UsageError


def test_mean_and_deviation_of_four_pixels():
    images = torch.tensor([[[[1, 3], [5, 7]], [[9, 9], [9, 9]]]], dtype=torch.uint8)
    found = Normalisation.of(images)
    assert found.mean == (4.0, 9.0)
    # Squares 9 1 1 9, mean 5; a constant channel is divided by 1.
    assert found.deviation == pytest.approx((5**0.5, 1.0))


@given(seed=st.integers(0, 99), channels=st.integers(1, 3))
def test_the_histogram_agrees_with_torch(seed, channels):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (5, channels, 4, 3), generator=generator).byte()
    flat = images.double().transpose(0, 1).flatten(1)
    found = Normalisation.of(images)
    assert found.mean == pytest.approx(flat.mean(1).tolist())
    assert found.deviation == pytest.approx(flat.std(1, correction=0).tolist())


def test_the_default_leaves_pixels_as_they_are():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert Normalisation().apply(images).flatten().tolist() == [0.0, 255.0]


def test_statistics_come_from_the_training_images_that_are_left():
    # One class: nine dark images and whichever is held out; only the kept ones count.
    pixels = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    raw = RawImages(images=pixels, labels=torch.zeros(10, dtype=torch.long))
    dataset = make_dataset("ten", raw, raw, num_classes=1, augmentation=NO_AUGMENTATION)
    mean, deviation = dataset.normalisation.mean[0], dataset.normalisation.deviation[0]
    held_out = round(float(dataset.validation.inputs) * deviation + mean)
    assert mean == pytest.approx((45 - held_out) / 9)
    assert float(dataset.train.inputs.mean()) == pytest.approx(0, abs=1e-6)


def test_fewer_than_ten_training_images_are_refused():
    raw = RawImages(images=torch.zeros(9, 1, 2, 2).byte(), labels=torch.zeros(9).long())
    with pytest.raises(UsageError, match="nine: 9 training and 9 test images are too few"):
        make_dataset("nine", raw, raw, num_classes=1, augmentation=NO_AUGMENTATION)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (4, 1)])
def test_the_layout_of_images_changes_no_bit_and_is_kept(channels, size):
    drawn = np.random.RandomState(0).randint(0, 256, (6, *size, channels), dtype=np.uint8)
    innermost = torch.from_numpy(drawn).permute(0, 3, 1, 2)
    for scale in (Normalisation(mean=(3.5,), deviation=(7.25,)), Normalisation.of(innermost)):
        found = scale.apply(innermost)
        assert torch.equal(found, scale.apply(innermost.contiguous()))
        assert found.stride() == innermost.float().stride()
