import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from growsearch.datasets import AUGMENTATIONS, Augmentation

NUMBERED = torch.arange(1.0, 13.0).view(1, 1, 3, 4)


def _apply(augmentation, images, seed=0):
    return augmentation.apply(images, torch.Generator().manual_seed(seed))


def _every_shift(image, pixels):
    """All cuts of the padded image, by a plain loop."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (pixels,) * 4)
    size = 2 * pixels + 1
    return [
        padded[..., top : top + height, left : left + width]
        for top in range(size)
        for left in range(size)
    ]


def _contains(images, image):
    return any(torch.equal(image, other) for other in images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (3, 3, 32, 32), (2, 2, 5, 9)])
def test_shape_type_and_input_are_kept(name, shape):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    before = images.clone()
    changed = _apply(AUGMENTATIONS[name], images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert torch.equal(images, before)


@given(seed=st.integers(0, 200), pixels=st.integers(1, 3), mirror=st.booleans())
def test_every_result_is_a_cut_of_the_padded_image_or_of_its_mirror(seed, pixels, mirror):
    augmentation = Augmentation(shift_pixels=pixels, mirror=mirror)
    allowed = _every_shift(NUMBERED, pixels)
    if mirror:
        allowed += _every_shift(NUMBERED.flip(-1), pixels)
    assert _contains(allowed, _apply(augmentation, NUMBERED, seed))


def test_every_shift_and_both_sides_occur_about_equally_often():
    images = NUMBERED.expand(7200, -1, -1, -1)
    changed = _apply(Augmentation(shift_pixels=1, mirror=True), images)
    kinds, counts = changed.flatten(1).unique(dim=0, return_counts=True)
    # 9 shifts x 2 sides, 400 each; 100 is five deviations.
    assert len(kinds) == 18
    assert ((counts - 400).abs() < 100).all()


def test_each_image_of_a_batch_has_a_shift_of_its_own_and_all_its_channels_share_it():
    images = NUMBERED.expand(50, 3, -1, -1)
    changed = _apply(Augmentation(shift_pixels=1, mirror=True), images)
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(changed[:, 0], changed[:, 2])
    assert len(changed[:, 0].flatten(1).unique(dim=0)) > 5


def test_mirroring_alone_reverses_rows():
    mirrored = _apply(Augmentation(mirror=True), NUMBERED.expand(20, -1, -1, -1))
    kinds = mirrored.flatten(1).unique(dim=0)
    assert kinds.tolist() == [
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9],
    ]


def test_the_same_seed_gives_the_same_images_and_another_one_does_not():
    images = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    augmentation = AUGMENTATIONS["shift-mirror"]
    assert torch.equal(_apply(augmentation, images, 3), _apply(augmentation, images, 3))
    assert not torch.equal(_apply(augmentation, images, 3), _apply(augmentation, images, 4))


def test_memory_layout_does_not_matter():
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    augmentation = AUGMENTATIONS["shift-mirror"]
    other = images.to(memory_format=torch.channels_last)
    assert torch.equal(_apply(augmentation, images), _apply(augmentation, other))
