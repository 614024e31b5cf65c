"""Which files of a folder are read, which are left out and told, and which stop everything."""

import os
import shutil
import socket

import numpy as np
import pytest
from PIL import Image

from growsearch.datasets import image_folder, load_dataset, mask_folder, summary_lines
from growsearch.errors import UsageError

GREY = Image.new("L", (64, 64), 90)


@pytest.fixture
def folder(write):
    return write("image-folder")


def _counts(data_dir):
    dataset = image_folder.load(data_dir)
    return dataset.num_classes, len(dataset.train) + len(dataset.validation), len(dataset.test)


def _told(data_dir):
    return "\n".join(summary_lines(image_folder.load(data_dir)))


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN", "__pycache__"]
)
@pytest.mark.parametrize("place", ["train", "val", "train/cat"])
def test_hidden_folders_and_those_of_systems_are_no_classes_and_are_told(name, place, folder):
    (folder / place / name).mkdir()
    GREY.save(folder / place / name / "0-checkpoint.png")
    assert _counts(folder) == (2, 20, 4)
    assert f"not read: hidden, or left by an operating system (1): {place}/{name}" in _told(folder)


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "desktop.ini", "._1.png", ".1.png"])
def test_files_that_systems_leave_are_no_images_and_are_told(name, folder):
    (folder / "train" / "cat" / name).write_bytes(b"\0\5\x16\7")
    assert _counts(folder) == (2, 20, 4)
    assert f"not read: hidden, or left by an operating system (1): train/cat/{name}" in _told(
        folder
    )


def test_files_that_are_no_images_are_counted_and_named(folder):
    for number in range(5):
        (folder / "train" / "cat" / f"label{number}.txt").write_text("cat")
    (folder / "readme.md").write_text("Cats and dogs.")
    (folder / "holdout").mkdir()
    told = _told(folder)
    first = ", ".join(f"train/cat/label{number}.txt" for number in range(3))
    assert f"not read: no image (5): {first}, ..." in told
    assert "not read: beside train and val (2): holdout, readme.md" in told


@pytest.mark.parametrize("suffix", [".PNG", ".Jpg", ".JPEG", ".jfif", ".jpe"])
def test_suffixes_are_read_in_capitals_too(suffix, folder):
    kind = "PNG" if suffix == ".PNG" else "JPEG"
    GREY.save(folder / "train" / "cat" / f"more{suffix}", format=kind)
    assert _counts(folder) == (2, 21, 4)


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".gif", ".tif", ".TIFF", ".avif", ".ppm"])
@pytest.mark.parametrize("place", ["train/cat", "val/dog", "train/fox"])
def test_images_of_other_formats_are_never_left_out_in_silence(suffix, place, folder):
    (folder / place).mkdir(exist_ok=True)
    for number in range(8):
        (folder / place / f"{number}{suffix}").write_bytes(b"whatever")
    with pytest.raises(UsageError, match=rf"{place}: 8 images of {suffix.lower()}, which are not"):
        image_folder.load(folder)


@pytest.mark.parametrize("place", ["train/fox/2024", "train/cat/deeper/still", "val/cat/2024"])
def test_images_in_deeper_folders_are_never_left_out_in_silence(place, folder):
    (folder / place).mkdir(parents=True)
    for number in range(8):
        GREY.save(folder / place / f"{number}.png")
    with pytest.raises(UsageError, match=rf"8 images in folders below it.*{place}/0\.png"):
        image_folder.load(folder)


def test_a_deeper_folder_without_images_is_told(folder):
    (folder / "train" / "cat" / "notes").mkdir()
    (folder / "train" / "cat" / "notes" / "a.txt").write_text("a cat")
    assert _counts(folder) == (2, 20, 4)
    assert "a folder without images (1): train/cat/notes" in _told(folder)


def test_an_image_beside_the_class_folders_is_named(folder):
    GREY.save(folder / "train" / "stray.jpg")
    with pytest.raises(UsageError, match=r"stray\.jpg: an image beside the class folders"):
        image_folder.load(folder)


def test_a_class_without_images_is_named_and_one_that_val_lacks_is_told(folder):
    for part in ("train", "val"):
        (folder / part / "fox").mkdir()
    with pytest.raises(UsageError, match=r"train: no images of class fox"):
        image_folder.load(folder)
    for number in range(8):
        GREY.save(folder / "train" / "fox" / f"{number}.png")
    assert "note: val has no images of fox" in _told(folder)
    shutil.rmtree(folder / "val" / "fox")
    assert _counts(folder) == (3, 28, 4)
    assert "note: val has no images of fox" in _told(folder)


def test_one_class_is_refused(folder):
    for part in ("train", "val"):
        shutil.rmtree(folder / part / "dog")
    with pytest.raises(UsageError, match="one class, cat, can teach nothing"):
        image_folder.load(folder)


def test_a_class_whose_only_image_is_held_out_is_refused(folder):
    # One image of each of many classes: one of them is held out for validation.
    for number in range(30):
        (folder / "train" / f"x{number}").mkdir()
        GREY.save(folder / "train" / f"x{number}" / "1.png")
    with pytest.raises(UsageError, match=r"class \d+ is held out whole \(1 of 50 examples\)"):
        image_folder.load(folder)


def test_a_missing_part_says_what_is_there_instead(folder):
    (folder / "val").rename(folder / "vla")
    with pytest.raises(UsageError, match=r"val is missing \(found there: train, vla\)"):
        image_folder.load(folder)


def test_the_report_has_the_names_and_the_extreme_sizes(folder):
    Image.new("L", (200, 20)).save(folder / "val" / "cat" / "wide.png")
    Image.new("L", (20, 20)).save(folder / "val" / "cat" / "small.png")
    report = image_folder.load(folder).report
    assert report.class_names == ("cat", "dog")
    assert report.sizes == ((20, 20), (80, 70))


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "dangling"])
def test_what_only_looks_like_an_image_is_named_and_never_waited_for(kind, folder, monkeypatch):
    path = folder / "train" / "cat" / "a.png"
    words = {
        "pipe": "a named pipe",
        "socket": "a socket",
        "device": "a device",
        "dangling": "a link that leads nowhere",
    }
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        # Names of sockets are short.
        monkeypatch.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(UsageError, match=rf"a\.png: {words[kind]}, where an image is due"):
        image_folder.load(folder)


def test_pipes_and_dangling_links_of_other_names_are_told(folder):
    os.mkfifo(folder / "train" / "cat" / "pipe")
    (folder / "train" / "cat" / "link").symlink_to("nowhere")
    told = _told(folder)
    assert "a named pipe (1): train/cat/pipe" in told
    assert "a link that leads nowhere (1): train/cat/link" in told


def test_links_to_images_and_to_classes_are_followed_and_loops_are_not(folder, tmp_path):
    away = tmp_path / "away"
    shutil.move(folder / "train" / "dog", away)
    (folder / "train" / "dog").symlink_to(away)
    (folder / "train" / "cat" / "linked.png").symlink_to(away / "0.png")
    (folder / "train" / "loop").symlink_to(folder)
    (folder / "train" / "cat" / "loop").symlink_to("..")
    (folder / "train" / "cat" / "self").symlink_to("self")
    assert _counts(folder) == (2, 21, 4)
    assert "a link to a folder above it (2): train/cat/loop, train/loop" in _told(folder)


@pytest.mark.parametrize(("link", "target"), [("train/dog", "cat"), ("val", "train")])
def test_one_folder_under_two_names_is_refused(link, target, folder):
    shutil.rmtree(folder / link)
    (folder / link).symlink_to(target)
    with pytest.raises(UsageError, match=r"(dog|cat) is a link to .*train/cat; give each a folder"):
        image_folder.load(folder)


def test_names_that_a_terminal_would_obey_are_shown_escaped(folder):
    name = os.fsdecode(b"\xff\x1b[31m.txt")
    (folder / "train" / "cat" / name).write_text("")
    assert r"train/cat/\udcff\x1b[31m.txt" in _told(folder)
    bad = folder / "train" / "cat" / os.fsdecode(b"\x1b]0;\xff\n.png")
    bad.write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"\\x1b\]0;\\udcff\\n\.png: not a readable") as caught:
        image_folder.load(folder)
    assert str(caught.value).isprintable()


@pytest.fixture
def masks(write):
    return write("mask-folder")


def test_masks_without_an_image_are_told(masks):
    Image.new("L", (64, 64)).save(masks / "train" / "masks" / "lonely.png")
    (masks / "train" / "masks" / ".hidden").write_text("")
    told = summary_lines(mask_folder.load(masks))
    assert "  not read: in masks that no image goes with (1): train/masks/lonely.png" in told
    assert any("train/masks/.hidden" in line for line in told)


def test_two_images_with_one_mask_are_refused(masks):
    GREY.convert("RGB").save(masks / "train" / "images" / "3.jpg")
    with pytest.raises(UsageError, match=r"3\.jpg and 3\.png have one mask between them"):
        mask_folder.load(masks)


def test_an_image_that_exif_data_turn_may_have_no_mask(masks):
    exif = Image.Exif()
    exif[0x112] = 3
    Image.new("RGB", (64, 64)).save(masks / "train" / "images" / "3.png", exif=exif)
    with pytest.raises(UsageError, match=r"3\.png: its EXIF orientation turns it, and its mask"):
        mask_folder.load(masks)


def _write_masks(masks, numbers):
    for path in masks.glob("*/masks/*.png"):
        mask = np.resize(np.array(numbers, dtype=np.uint8), (64, 64))
        Image.fromarray(mask).save(path)


def test_masks_to_train_on_and_to_test_with_are_two_folders(masks):
    shutil.rmtree(masks / "val")
    (masks / "val").symlink_to("train")
    with pytest.raises(UsageError, match="has one folder as train and val; give two"):
        mask_folder.load(masks)


def test_masks_of_one_class_are_refused_as_those_are_whose_foreground_is_255(masks):
    _write_masks(masks, [0, 255])
    with pytest.raises(
        UsageError, match=r"one class, 0, in all masks .* 255 means a pixel without"
    ):
        mask_folder.load(masks)


def test_masks_with_few_of_many_numbers_are_refused_and_single_gaps_are_told(masks):
    _write_masks(masks, [0, 128])
    with pytest.raises(UsageError, match=r"2 numbers occur in the masks \(0, 128\).*129 classes"):
        mask_folder.load(masks)
    _write_masks(masks, [0, 2])
    assert mask_folder.load(masks).report.notes == (
        "no mask of train has class 1; 3 classes are counted",
    )


def test_images_of_masks_are_left_out_by_the_same_rules(masks):
    (masks / "train" / "images" / "a.webp").write_bytes(b"")
    with pytest.raises(UsageError, match=r"images: 1 image of \.webp, which are not read"):
        mask_folder.load(masks)


def test_loading_by_name_says_the_same(folder):
    os.mkfifo(folder / "train" / "cat" / "a.png")
    with pytest.raises(UsageError, match=r"a\.png: a named pipe"):
        load_dataset("image-folder", folder)
