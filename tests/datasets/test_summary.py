"""What a person is told at the start: splits, classes, files, changes and what was left out."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from growsearch.datasets import DATASETS, from_tensors, load_dataset, summary_lines
from growsearch.datasets.report import DataReport, Skipped, skipped_of


def test_a_folder_of_images_is_told_in_a_few_lines(write):
    data_dir = write("image-folder")
    Image.new("LA", (20, 30), (5, 100)).save(data_dir / "train" / "dog" / "clear.png")
    Image.fromarray(np.full((900, 800), 999, np.uint16)).save(data_dir / "val" / "cat" / "deep.png")
    (data_dir / "train" / ".ipynb_checkpoints").mkdir()
    (data_dir / "train" / "dog" / "notes.txt").write_text("a dog")
    assert summary_lines(load_dataset("image-folder", data_dir)) == (
        "Data image-folder: 19 training, 2 validation and 5 test images of 3 x 224 x 224",
        "  classes: 2 (training + validation + test): cat 9 + 1 + 3, dog 10 + 1 + 2",
        "  files: images of 20 x 30 to 800 x 900 pixels (width x height)",
        "  changed: laid on white where they are transparent (1); "
        "of 16 bits a channel, scaled to 8 (1)",
        "  not read: hidden, or left by an operating system (1): train/.ipynb_checkpoints",
        "  not read: no image (1): train/dog/notes.txt",
        "  note: validation is 10% of train/, the test val/",
        "  note: images of several sizes, read at 224 x 224; data.image_size says otherwise",
        "  note: held in memory: 0.02 GB are no more than 50% of this machine's memory "
        "(data.memory)",
        "  note: normalised with the statistics of 19 training images",
    )


def test_masks_are_told_by_the_shares_of_their_pixels(write):
    assert summary_lines(load_dataset("mask-folder", write("mask-folder"))) == (
        "Data mask-folder: 18 training, 2 validation and 3 test images of 3 x 64 x 64",
        # 31 columns of class 0, 2 without one and 31 of class 2, of 64.
        "  classes: 3; training pixels: class 0 48.4%, class 1 0.0%, class 2 48.4%, "
        "without a class 3.1%",
        "  files: images of 64 x 64 pixels (width x height)",
        "  note: no mask of train has class 1; 3 classes are counted",
    )


def test_words_and_plain_inputs_are_told_as_what_they_are():
    words = torch.arange(240).view(40, 6) % 7
    lines = summary_lines(from_tensors(words, words))
    assert lines[:2] == (
        "Data own: 33 training, 3 validation and 4 test texts of 6 words",
        "  words: 7",
    )
    inputs = torch.linspace(0, 1, 80).view(40, 2)
    assert summary_lines(from_tensors(inputs, torch.arange(40) % 2)) == (
        "Data own: 33 training, 3 validation and 4 test inputs of 2",
        "  classes: 2 (training + validation + test): class 0 16 + 2 + 2, class 1 17 + 1 + 2",
        "  note: training inputs are float32 from 0 to 1, and are taken as they are",
    )


def test_many_classes_are_told_by_the_smallest_and_the_largest():
    labels = torch.arange(200) % 20
    labels[20:60] = 3
    lines = summary_lines(from_tensors(torch.rand(200, 2), labels))
    assert lines[1] == "  classes: 20, of 6 (class 0) to 39 (class 3) training examples"


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_told_in_lines_that_a_terminal_shows_as_they_are(name, write):
    dataset = load_dataset(name, write(name))
    lines = summary_lines(dataset)
    assert lines[0].startswith(f"Data {name}: {len(dataset.train):,} training, ")
    assert all(line.isprintable() for line in lines)


def test_names_from_files_are_escaped():
    data = from_tensors(torch.rand(40, 2), torch.arange(40) % 2)
    report = DataReport(
        class_names=("a\x1b[1m", "b"),
        skipped=(Skipped(reason="no image", count=7, examples=("x\ny",)),),
        notes=("c\r",),
    )
    lines = summary_lines(dataclasses.replace(data, name="own\x07", report=report))
    assert all(line.isprintable() for line in lines)
    assert r"  not read: no image (7): x\ny, ..." in lines


def test_what_is_left_out_is_counted_by_reason_with_the_first_names():
    found = [("no image", f"{number}.txt") for number in range(9)] + [("hidden", ".a")]
    assert [str(skipped) for skipped in skipped_of(found)] == [
        "no image (9): 0.txt, 1.txt, 2.txt, ...",
        "hidden (1): .a",
    ]
