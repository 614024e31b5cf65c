import os

import numpy as np
import pytest
import torch
from PIL import Image

from growsearch.datasets import load_dataset
from growsearch.datasets.reading import image_file
from growsearch.errors import UsageError


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def test_classes_are_the_folders_in_order_of_their_names(write):
    dataset = load_dataset("image-folder", write("image-folder"))
    assert dataset.num_classes == 2
    # As large as all images are.
    assert dataset.input_shape == (3, 70, 80)
    assert dataset.train.labels.bincount().tolist() == [9, 9]
    assert dataset.validation.labels.bincount().tolist() == [1, 1]
    # Cats are bright, dogs are dark.
    brightness = dataset.test.inputs.mean((1, 2, 3))
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    assert (brightness[:2] > 0).all()
    assert (brightness[2:] < 0).all()


def test_a_wide_image_loses_its_sides_and_not_its_shape(tmp_path):
    # Red, green and blue thirds of 128 pixels each, 128 high: the middle third is left.
    thirds = np.zeros((128, 384, 3))
    for channel in range(3):
        thirds[:, 128 * channel : 128 * (channel + 1), channel] = 255
    path = tmp_path / "wide.png"
    _save(path, thirds)
    read = np.asarray(image_file._read_picture(path, (64, 64)).image)
    assert read.shape == (64, 64, 3)
    assert (read[:, 2:-2] == [0, 255, 0]).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".JPEG"])
def test_png_and_jpeg_are_read_whatever_their_size_and_colours(suffix, tmp_path):
    path = tmp_path / f"grey{suffix}"
    Image.new("L", (300, 500), 77).save(path)
    assert (np.asarray(image_file._read_picture(path, (64, 64)).image) == 77).all()


def test_other_files_beside_the_images_are_left_out(write):
    data_dir = write("image-folder")
    (data_dir / "train" / "cat" / "notes.txt").write_text("not an image")
    (data_dir / "train" / "README").write_text("not a class")
    dataset = load_dataset("image-folder", data_dir)
    assert len(dataset.train) + len(dataset.validation) == 20


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken", b"GIF89a"])
def test_an_unreadable_image_is_named(content, write):
    data_dir = write("image-folder")
    (data_dir / "train" / "dog" / "bad.png").write_bytes(content)
    with pytest.raises(UsageError, match=r"bad\.png: not a readable PNG or JPEG"):
        load_dataset("image-folder", data_dir)


def test_a_cut_image_is_named(write):
    data_dir = write("image-folder")
    path = data_dir / "val" / "dog" / "0.png"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UsageError, match=r"0\.png: not a readable PNG or JPEG"):
        load_dataset("image-folder", data_dir)


def test_a_validation_class_without_training_images_is_named(write):
    data_dir = write("image-folder")
    _save(data_dir / "val" / "emu" / "1.png", np.zeros((70, 70, 3)))
    with pytest.raises(UsageError, match="no training images of emu"):
        load_dataset("image-folder", data_dir)


def test_missing_and_empty_folders_show_the_expected_layout(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(UsageError, match=r"train has no class folders.*train/CLASS/\*\.png"):
        load_dataset("image-folder", tmp_path)


def test_too_few_images_are_refused(tmp_path):
    for part in ("train", "val"):
        _save(tmp_path / part / "cat" / "1.png", np.zeros((64, 64, 3)))
    with pytest.raises(UsageError, match="1 training and 1 test images are too few"):
        load_dataset("image-folder", tmp_path)


def test_more_images_than_memory_holds_are_streamed_and_are_the_same(write, monkeypatch):
    data_dir = write("image-folder")
    held = load_dataset("image-folder", data_dir)
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 100}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    streamed = load_dataset("image-folder", data_dir)
    assert not held.train.streamed
    assert streamed.train.streamed
    assert "streamed: 0.002 GB are more than 50%" in "\n".join(streamed.report.notes)
    assert streamed.normalisation == held.normalisation
    for part in ("train", "validation", "test"):
        there = streamed.split(part)
        read = there.at(torch.arange(len(there)))
        assert torch.equal(read.inputs, held.split(part).inputs)
        assert torch.equal(read.labels, held.split(part).labels)


def test_the_order_of_files_on_disk_does_not_matter(write, monkeypatch):
    data_dir = write("image-folder")
    before = load_dataset("image-folder", data_dir)
    listed = type(data_dir).iterdir
    monkeypatch.setattr(type(data_dir), "iterdir", lambda folder: reversed(list(listed(folder))))
    after = load_dataset("image-folder", data_dir)
    assert torch.equal(before.train.inputs, after.train.inputs)
