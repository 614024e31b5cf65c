import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from growsearch.datasets import UNLABELLED, load_dataset
from growsearch.errors import UsageError


def _pair(folder, name, mask, size=None):
    """Write an image whose red channel is 50 times the class, and its mask."""
    mask = np.asarray(mask, dtype=np.uint8)
    image = np.zeros((*(size or mask.shape), 3), dtype=np.uint8)
    if size is None:
        image[..., 0] = 50 * (mask % 5)
    for kind, pixels in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{name}.png")


def test_classes_are_the_masks_numbers_and_255_is_unlabelled(write):
    dataset = load_dataset("mask-folder", write("mask-folder"))
    assert (dataset.num_classes, dataset.input_shape) == (3, (3, 64, 64))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [18, 2, 3]
    row = [0] * 31 + [UNLABELLED] * 2 + [2] * 31
    assert dataset.test.labels[0].tolist() == [row] * 64
    # The bright halves are where the masks say 2.
    bright = dataset.test.inputs.mean(1) > 0
    assert torch.equal(bright[..., 34:].float().mean() > 0.9, torch.tensor(True))
    assert float(bright[..., :30].float().mean()) < 0.1


def test_image_and_mask_are_cut_alike_and_no_classes_are_mixed(write, tmp_path):
    data_dir = write("mask-folder")
    # 128 high, 384 wide: the middle third is left, at half the size.
    mask = np.repeat([0] * 128 + [1] * 40 + [4] * 88 + [2] * 128, 128).reshape(384, 128).T
    for number in range(15):
        _pair(data_dir / "val", f"wide{number}", mask)
        _pair(data_dir / "train", f"wide{number}", mask)
    test = load_dataset("mask-folder", data_dir).test
    assert test.labels[-1].tolist() == [[1] * 20 + [4] * 44] * 64
    red = test.inputs[-1, 0]
    assert float(red[:, :18].max()) < float(red[:, 24:].min())


def test_a_palettes_places_are_the_classes(write):
    data_dir = write("mask-folder")
    mask = Image.fromarray(np.full((64, 64), 1, dtype=np.uint8), mode="P")
    mask.putpalette([9, 9, 9, 200, 0, 0] + [0] * 750)
    mask.save(data_dir / "val" / "masks" / "0.png")
    assert load_dataset("mask-folder", data_dir).test.labels[0].unique().tolist() == [1]


def test_a_mask_of_colours_is_refused(write):
    data_dir = write("mask-folder")
    Image.new("RGB", (64, 64)).save(data_dir / "val" / "masks" / "0.png")
    with pytest.raises(UsageError, match=r"0\.png: a mask of mode RGB; give one number of 8 bits"):
        load_dataset("mask-folder", data_dir)


def test_grey_levels_of_four_bits_are_refused_and_palettes_of_four_are_read(write):
    data_dir = write("mask-folder")
    path = data_dir / "val" / "masks" / "0.png"
    small = Image.fromarray(np.full((64, 64), 2, dtype=np.uint8), mode="P")
    small.putpalette([0, 0, 0] * 16)
    small.save(path, bits=4)
    assert load_dataset("mask-folder", data_dir).test.labels[0].unique().tolist() == [2]
    # Pillow writes no grey levels of 4 bits: the header of a palette's file says so here.
    content = bytearray(path.read_bytes())
    content[25] = 0
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"0\.png: grey levels of fewer than 8 bits"):
        load_dataset("mask-folder", data_dir)


def test_a_mask_of_another_size_is_refused(write):
    data_dir = write("mask-folder")
    _pair(data_dir / "val", "0", np.zeros((32, 64)), size=(64, 64))
    with pytest.raises(UsageError, match=r"a mask of 64 x 32 for an image of 64 x 64"):
        load_dataset("mask-folder", data_dir)


def test_a_broken_mask_is_named(write):
    data_dir = write("mask-folder")
    path = data_dir / "train" / "masks" / "7.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UsageError, match=r"7\.png: not a readable PNG mask"):
        load_dataset("mask-folder", data_dir)


def test_an_image_without_mask_is_named(write):
    data_dir = write("mask-folder")
    (data_dir / "train" / "masks" / "7.png").unlink()
    with pytest.raises(UsageError, match=r"images/7\.png has no mask .*masks/7\.png; add it"):
        load_dataset("mask-folder", data_dir)


def test_a_mask_without_any_class_is_named(write):
    data_dir = write("mask-folder")
    _pair(data_dir / "train", "7", np.full((64, 64), 255))
    with pytest.raises(UsageError, match=r"7\.png: no pixel has a class"):
        load_dataset("mask-folder", data_dir)


def test_a_class_that_training_lacks_is_named(write):
    data_dir = write("mask-folder")
    _pair(data_dir / "val", "0", np.full((64, 64), 3))
    with pytest.raises(UsageError, match=r"val: class 3 is in no mask of train, which has 0 to 2"):
        load_dataset("mask-folder", data_dir)
