import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from growsearch.datasets import AUGMENTATIONS, UNLABELLED, content_hash, from_tensors, load_dataset
from growsearch.datasets.arrays import write_dataset
from growsearch.datasets.preprocessing import preprocessing_of
from growsearch.errors import UsageError
from growsearch.training import NextWords, Segmentation, task_of

SOME_PIXELS = torch.zeros(40, 4, 4).long()
SOME_PIXELS[7] = UNLABELLED


def made(count=100, **options):
    inputs = torch.arange(count * 4, dtype=torch.float32).view(count, 4)
    return from_tensors(inputs, torch.arange(count) % 5, **options)


def test_a_tenth_is_validation_a_tenth_test_and_no_example_stands_twice():
    data = made()
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert sizes == [81, 9, 10]
    rows = torch.cat([p.inputs for p in (data.train, data.validation, data.test)])
    assert len({tuple(row.tolist()) for row in rows}) == 100
    assert data.num_classes == 5
    assert torch.bincount(data.test.labels).tolist() == [2] * 5


def test_test_data_of_ones_own_is_kept_whole():
    data = made(test=(torch.zeros(7, 4), torch.zeros(7, dtype=torch.int64)))
    assert (len(data.train), len(data.validation), len(data.test)) == (90, 10, 7)


def test_images_of_bytes_are_normalised_with_the_training_images():
    images = torch.randint(256, (60, 3, 4, 4), dtype=torch.uint8)
    data = from_tensors(images, torch.arange(60) % 2)
    assert data.train.inputs.dtype == torch.float32
    assert data.train.inputs.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert len(data.normalisation.mean) == 3


def test_numpy_arrays_are_taken():
    data = from_tensors(np.zeros((40, 2)), np.arange(40) % 2)
    assert data.train.inputs.dtype == torch.float32


def test_one_class_a_pixel_may_leave_pixels_without_one():
    images = torch.randint(0, 256, (40, 3, 4, 5), dtype=torch.uint8)
    labels = torch.randint(0, 3, (40, 4, 5))
    labels[:, 0] = UNLABELLED
    data = from_tensors(images, labels)
    assert data.num_classes == 3
    assert [len(data.train), len(data.validation), len(data.test)] == [33, 3, 4]
    assert data.train.labels.shape[1:] == (4, 5)
    assert (data.test.labels[:, 0] == UNLABELLED).all()
    assert isinstance(task_of(data), Segmentation)


def test_one_label_a_word_makes_a_text():
    words = torch.arange(40 * 6).view(40, 6) % 7
    data = from_tensors(words.int(), words.roll(-1, dims=1).int())
    assert data.num_classes == 7
    assert data.train.inputs.dtype == data.train.labels.dtype == torch.int64
    assert isinstance(task_of(data), NextWords)
    # A word that is read and never follows, such as one that starts a sentence, is one too.
    words[:, 0] = 9
    assert from_tensors(words, torch.zeros_like(words)).num_classes == 10


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (torch.zeros(40, 2), torch.zeros(40), "labels are float32"),
        (torch.zeros(40, 3, 4, 4), torch.zeros(40, 4, 5).long(), "one a pixel; give images"),
        (torch.zeros(40, 3, 4, 4), torch.full((40, 4, 4), -1), "label -1 is below 0"),
        (torch.zeros(40, 4), torch.zeros(40, 4).long(), "one a word; give whole numbers"),
        (torch.zeros(40, 3).long(), torch.zeros(40, 4).long(), "one a word; give whole numbers"),
        (torch.full((40, 4), -2), torch.zeros(40, 4).long(), "word -2 is below 0"),
        (torch.zeros(40, 3, 4, 4), SOME_PIXELS, "some inputs have no pixel with a class"),
        (torch.zeros(39, 2), torch.zeros(40, dtype=torch.int64), "give one each"),
        (torch.zeros(40, 2, dtype=torch.int64), torch.zeros(40, dtype=torch.int64), "give float32"),
        (torch.zeros(40, 2, dtype=torch.uint8), torch.zeros(40, dtype=torch.int64), "N, C, H, W"),
        (torch.full((40, 2), torch.nan), torch.zeros(40, dtype=torch.int64), "not finite"),
        (torch.zeros(40, 2), torch.full((40,), -1), "below 0"),
        (torch.zeros(9, 2), torch.zeros(9, dtype=torch.int64), "too few"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_rule(inputs, labels, message):
    with pytest.raises(UsageError, match=message):
        from_tensors(inputs, labels)


def test_a_label_above_the_classes_and_a_test_of_another_shape_are_refused():
    with pytest.raises(UsageError, match="label 4 is not below num_classes = 3"):
        made(num_classes=3)
    with pytest.raises(UsageError, match="give both one shape and type"):
        made(test=(torch.zeros(7, 5), torch.zeros(7, dtype=torch.int64)))


NAMES = ["ant", "bee", "cat", "dog", "eel"]


def test_classes_have_the_names_that_they_are_given_and_keep_them_in_a_file(tmp_path):
    data = made(classes=NAMES)
    assert data.report.class_names == tuple(NAMES)
    assert preprocessing_of(data).classes == tuple(NAMES)
    assert content_hash(data) == content_hash(made())
    write_dataset(data, tmp_path)
    assert load_dataset("arrays", tmp_path).report.class_names == tuple(NAMES)
    labels = torch.arange(640).view(40, 4, 4) % 2
    pixels = from_tensors(torch.zeros(40, 1, 4, 4), labels, classes=("a", "b"))
    assert preprocessing_of(pixels).classes == ("a", "b")
    assert made(num_classes=6, classes=[*NAMES, "fox"]).report.class_names[5] == "fox"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[:4], "classes has 4 names, and the labels have 5 classes"),
        ([*NAMES, "fox"], "classes has 6 names, and the labels have 5 classes"),
        ([*NAMES[:4], "ant"], "classes has 'ant' twice"),
        ([*NAMES[:4], " "], r"classes\[4\] = ' '; give one text a class"),
        ([*NAMES[:4], 4], r"classes\[4\] = 4; give one text a class"),
        ("abcde", "classes is a str; give one text a class"),
        (dict.fromkeys(NAMES), "classes is a dict; give one text a class"),
    ],
)
def test_names_that_do_not_fit_the_classes_are_refused(names, message):
    with pytest.raises(UsageError, match=message):
        made(classes=names)


@pytest.mark.parametrize("task", ["regression", "multi-label", None])
def test_what_is_no_class_has_no_names(task):
    x = torch.zeros(60, 3, dtype=torch.long) if task is None else torch.zeros(60, 3)
    y = torch.arange(180).view(60, 3) % 2
    if task == "regression":
        y = y.float() + torch.arange(60)[:, None]
    with pytest.raises(UsageError, match="classes are names of classes of examples or pixels"):
        from_tensors(x, y, task=task, classes=["a", "b", "c"])


def test_a_file_with_names_that_do_not_fit_is_refused(tmp_path):
    data = made(classes=NAMES)
    short = dataclasses.replace(data.report, class_names=("ant",))
    write_dataset(dataclasses.replace(data, report=short), tmp_path)
    with pytest.raises(UsageError, match="classes has 1 names, and the labels have 5 classes"):
        load_dataset("arrays", tmp_path)


def test_the_hash_is_of_everything_that_a_trial_sees():
    hashes = {
        content_hash(made()),
        content_hash(made(num_classes=6)),
        content_hash(made(101)),
        content_hash(made(augmentation=AUGMENTATIONS["shift-mirror"])),
    }
    assert len(hashes) == 4
    assert content_hash(made()) == content_hash(made(name="another name"))


def test_a_data_set_is_read_back_from_its_file_as_it_was(tmp_path):
    data = made(augmentation=AUGMENTATIONS["shift-mirror"])
    write_dataset(data, tmp_path)
    again = load_dataset("arrays", tmp_path)
    assert content_hash(again) == content_hash(data)
    assert again.name == data.name
    assert again.normalisation == data.normalisation


@pytest.mark.parametrize("kind", ["numpy", "safetensors"])
def test_arrays_in_a_file_are_a_data_set(tmp_path, kind):
    inputs, labels = torch.randn(50, 3), torch.arange(50) % 2
    if kind == "numpy":
        np.savez(tmp_path / "data.npz", inputs=inputs.numpy(), labels=labels.numpy())
    else:
        save_file({"inputs": inputs, "labels": labels}, tmp_path / "data.safetensors")
    assert content_hash(load_dataset("arrays", tmp_path)) == content_hash(
        from_tensors(inputs, labels)
    )


def test_a_pickle_in_a_file_is_not_run(tmp_path):
    np.savez(tmp_path / "data.npz", inputs=np.array([{}], dtype=object), labels=np.zeros(1))
    with pytest.raises(UsageError, match="cannot be read"):
        load_dataset("arrays", tmp_path)


def test_missing_files_and_arrays_say_what_is_expected(tmp_path):
    with pytest.raises(UsageError, match=r"is missing. Expected: data_dir/data.npz"):
        load_dataset("arrays", tmp_path)
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    with pytest.raises(UsageError, match="has no inputs; it has: x"):
        load_dataset("arrays", tmp_path)


def test_data_that_has_changed_is_refused(tmp_path):
    write_dataset(made(), tmp_path)
    name = f"arrays@{content_hash(made())}"
    assert len(load_dataset(name, tmp_path).train) == 81
    write_dataset(made(90), tmp_path)
    with pytest.raises(UsageError, match="holds other data than it did"):
        load_dataset(name, tmp_path)
