"""Where Pillow has the same operation, ours gives its image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from growsearch.datasets.augmentation.colours import (
    auto_contrast,
    brightness,
    contrast,
    equalise,
    posterise,
    saturation,
    sharpness,
    solarise,
)
from growsearch.datasets.augmentation.geometry import affine
from growsearch.datasets.augmentation.random_resized_crop import RandomResizedCrop

# Pillow rounds to whole levels, now and then twice.
LEVEL = 1 / 255


def _picture(seed, size=(17, 13)):
    levels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    # Skewed, as photographs are: equalising has something to do.
    return Image.fromarray((levels.astype(float) ** 2 / 255).astype(np.uint8))


def _pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (brightness, ImageEnhance.Brightness),
        (contrast, ImageEnhance.Contrast),
        (saturation, ImageEnhance.Color),
        (sharpness, ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 1.9])
def test_enhancing_is_pillows(ours, theirs, factor):
    picture = _picture(1)
    wanted = _pixels(theirs(picture).enhance(factor))
    found = ours(_pixels(picture), torch.tensor([factor]))
    assert float((found - wanted).abs().max()) < 2.5 * LEVEL


@pytest.mark.parametrize("seed", range(4))
def test_equalising_is_pillows_to_the_level(seed):
    picture = _picture(seed, (40, 31))
    assert torch.equal(equalise(_pixels(picture)), _pixels(ImageOps.equalize(picture)))


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_posterising_is_pillows_to_the_level(bits):
    picture = _picture(2)
    assert torch.equal(
        posterise(_pixels(picture), bits), _pixels(ImageOps.posterize(picture, bits))
    )


def test_solarising_and_auto_contrast_are_pillows():
    picture = _picture(3).point(lambda level: 40 + level // 2)
    pixels = _pixels(picture)
    solar = _pixels(ImageOps.solarize(picture, 102))
    assert float((solarise(pixels, 0.4) - solar).abs().max()) < LEVEL / 2
    found, wanted = auto_contrast(pixels), _pixels(ImageOps.autocontrast(picture))
    assert float((found - wanted).abs().max()) < 1.1 * LEVEL


@given(values=st.tuples(*[st.floats(-1.5, 1.5)] * 4), moved=st.tuples(*[st.floats(-9, 9)] * 2))
def test_affine_maps_are_pillows(values, moved):
    a, b, d, e = values
    matrix = (a, b, moved[0], d, e, moved[1])
    planes = _pixels(_picture(4))
    found = affine(planes, torch.tensor(matrix, dtype=torch.float64).view(1, 2, 3), fill=0.25)
    for channel in range(3):
        plane = Image.fromarray(planes[0, channel].numpy())
        wanted = plane.transform(
            plane.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=0.25
        )
        # Float32 decides differently at a border now and then.
        same = np.isclose(found[0, channel].numpy(), np.asarray(wanted), atol=1e-4)
        assert same.mean() > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_a_resized_crop_is_pillows_resize_of_its_box(seed):
    change, planes = RandomResizedCrop(), _pixels(_picture(seed, (40, 24)))
    left, top, width, height = change.boxes(1, (24, 40), torch.Generator().manual_seed(seed))[
        0
    ].tolist()
    found = change.apply(planes, torch.Generator().manual_seed(seed))
    box = (left, top, left + width, top + height)
    for channel in range(3):
        plane = Image.fromarray(planes[0, channel].numpy())
        wanted = plane.resize(plane.size, Image.Resampling.BILINEAR, box=box)
        assert np.allclose(found[0, channel].numpy(), np.asarray(wanted), atol=1e-5)
