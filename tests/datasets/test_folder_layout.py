import numpy as np
import pytest
import torch
from PIL import Image

from growsearch.datasets import (
    DataKeys,
    Loading,
    TaskChoice,
    for_task,
    load_dataset,
    loaded_by,
    summary_lines,
)
from growsearch.errors import MachineError, UsageError


def _write(folder, names, count, size=(12, 12), seed=0):
    """So many images a class, each of one level; the class is in its red channel."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.full((size[1], size[0], 3), (index + 50 * seed) % 256, np.uint8)
            pixels[..., 0] = 100 * number
            Image.fromarray(pixels).save(folder / name / f"{index:03}.png")


def _load(folder, **keys):
    return load_dataset("image-folder", folder, keys=DataKeys(**keys))


def _counts(data):
    return len(data.train), len(data.validation), len(data.test)


def _levels(split, data):
    pixels = data.normalisation.to_pixels(split.inputs) * 255
    return {(round(float(p[0].mean())), round(float(p[1].mean()))) for p in pixels}


@pytest.fixture
def three(tmp_path):
    for seed, (part, count) in enumerate((("train", 30), ("val", 4), ("test", 5))):
        _write(tmp_path / part, ["cat", "dog"], count, seed=seed)
    return tmp_path


def test_three_folders_are_the_three_splits(three):
    data = _load(three)
    assert _counts(data) == (60, 8, 10)
    assert any("validation is val/, the test test/" in line for line in summary_lines(data))
    assert {green for _, green in _levels(data.validation, data)} == {50, 51, 52, 53}


def test_shares_take_the_place_of_folders_and_the_rest_is_told(three):
    data = _load(three, validation=0.2)
    assert _counts(data) == (48, 12, 10)
    assert data.validation.labels.bincount().tolist() == [6, 6]
    assert not _levels(data.train, data) & _levels(data.validation, data)
    assert any(
        "beside test and train (1): val" in line or "beside train and test (1): val" in line
        for line in summary_lines(data)
    )
    data = _load(three, test="val", validation="test")
    assert _counts(data) == (60, 10, 8)
    data = _load(three, test=0.1, validation=0.5)
    assert _counts(data) == (24, 30, 6)


def test_with_two_folders_the_other_one_is_the_test_as_it_was(write):
    folder = write("image-folder")
    data = load_dataset("image-folder", folder, keys=DataKeys(image_size=(64, 64)))
    assert _counts(data) == (18, 2, 4)
    data = _load(folder, validation="val", test=0.1)
    assert _counts(data) == (18, 4, 2)


def test_class_folders_alone_are_split_by_class_and_always_the_same(tmp_path):
    _write(tmp_path, ["cat", "dog", "emu"], 20)
    data, again = _load(tmp_path), _load(tmp_path, layout="classes")
    assert _counts(data) == (48, 6, 6)
    assert data.report.class_names == ("cat", "dog", "emu")
    for part in ("train", "validation", "test"):
        assert data.split(part).labels.bincount().tolist() == [len(data.split(part)) // 3] * 3
        assert torch.equal(data.split(part).inputs, again.split(part).inputs)
    seen = [_levels(data.split(part), data) for part in ("train", "validation", "test")]
    assert len(set.union(*seen)) == sum(map(len, seen)) == 60


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"test": "tset"}, r"tset is missing \(found there: test, train, val\)"),
        ({"test": "val", "validation": "val"}, "judged by what it is reported on"),
        ({"validation": "train"}, "data.validation = 'train': that is learned"),
        ({"validation": 0.01}, "data.validation = 1%: of 60 examples that is none"),
        ({"validation": 0.6, "test": 0.5}, "nothing would be left to train on"),
        ({"layout": "classes", "validation": "val"}, "data.validation = 'val': with layout"),
        ({"layout": "classes"}, "in folders below it, which are not read"),
    ],
)
def test_what_does_not_fit_together_is_refused(three, keys, said):
    with pytest.raises(UsageError, match=said):
        _load(three, **keys)


def test_a_class_that_is_only_judged_is_refused_in_every_folder(three):
    _write(three / "val", ["emu"], 3)
    with pytest.raises(UsageError, match=r"val: no training images of emu"):
        _load(three)


def test_images_are_as_large_as_they_lie_if_all_agree(tmp_path):
    _write(tmp_path, ["cat", "dog"], 20, size=(20, 10))
    data = _load(tmp_path)
    assert data.input_shape == (3, 10, 20)
    assert "all images are 20 x 10, and read so" in "\n".join(summary_lines(data))
    # Nothing was resampled.
    assert _levels(data.train, data) <= {(red, green) for red in (0, 100) for green in range(20)}


def test_images_of_several_sizes_cover_224_or_what_is_asked_for(tmp_path):
    _write(tmp_path, ["cat", "dog"], 20, size=(20, 10))
    Image.new("RGB", (10, 20), (9, 9, 9)).save(tmp_path / "cat" / "turned.png")
    assert _load(tmp_path).input_shape == (3, 224, 224)
    assert _load(tmp_path, image_size=(6, 9)).input_shape == (3, 6, 9)


def test_the_size_of_a_photograph_is_the_upright_one(tmp_path):
    _write(tmp_path, ["cat", "dog"], 20, size=(20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("cat", "dog"):
        Image.new("RGB", (10, 20), (9, 9, 9)).save(tmp_path / name / "turned.jpg", exif=exif)
    data = _load(tmp_path)
    assert data.input_shape == (3, 10, 20)
    assert "turned upright by their EXIF orientation (2)" in "\n".join(summary_lines(data))


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_files_are_those_in_memory(three, workers):
    held, streamed = _load(three), _load(three, memory=1e-9)
    streamed = loaded_by(streamed, Loading(workers=workers))
    assert streamed.train.streamed
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for (x, y), (a, b) in zip(
        streamed.train.batches(16, order), held.train.batches(16, order), strict=True
    ):
        assert torch.equal(x, a)
        assert torch.equal(y, b)
        assert x.stride() == a.stride()
    assert streamed.report.class_names == held.report.class_names
    lines = "\n".join(summary_lines(streamed))
    assert "classes: 2 (training + validation + test): cat 30 + 4 + 5, dog 30 + 4 + 5" in lines


def test_class_folders_are_numbers_of_a_regression_streamed_or_not(three):
    choice = TaskChoice(name="regression")
    held, streamed = (for_task(_load(three, **keys), choice) for keys in ({}, {"memory": 1e-9}))
    assert streamed.train.streamed
    for part in ("train", "validation", "test"):
        one, other = streamed.split(part), held.split(part)
        assert torch.equal(one.labels, other.labels)
        assert (one.label_kind, one.label_type) == ("numbers", torch.float32)
    assert streamed.num_classes == held.num_classes == 1
    assert any(line.startswith("  targets: 0 to 1") for line in summary_lines(streamed))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_of_a_stream_is_named(three, workers):
    data = loaded_by(_load(three, memory=1e-9), Loading(workers=workers))
    (three / "val" / "dog" / "002.png").write_bytes(b"no longer an image")
    with pytest.raises(MachineError, match=r"val/dog/002\.png: not a readable PNG or JPEG"):
        list(data.validation.batches(4))


def test_more_copies_are_streamed_sooner(three):
    # 78 images of 12 x 12 take 0.17 MB.
    share = 1e6 / 24e9
    assert not _load(three, memory=share).train.streamed
    assert _load(three, memory=share, copies=100).train.streamed
