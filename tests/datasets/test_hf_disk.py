import importlib.util
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from growsearch.datasets import (
    AUGMENTATIONS,
    DataKeys,
    TaskChoice,
    load_dataset,
    summary_lines,
)
from growsearch.errors import MachineError, UsageError

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="the package datasets is not installed"
)


def _rows(count, *, size=(9, 7), broken=None, names=("cat", "dog")):
    import datasets

    pictures = []
    for index in range(count):
        level = np.full((size[1], size[0], 3), index, np.uint8)
        level[..., 0] = 100 * (index % 2)
        file = io.BytesIO()
        Image.fromarray(level).save(file, "PNG")
        content = b"no picture" if index == broken else file.getvalue()
        pictures.append({"bytes": content, "path": None})
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(names)),
            "weight": datasets.Value("float32"),
        }
    )
    columns = {"image": pictures, "label": [i % 2 for i in range(count)], "weight": [1.0] * count}
    return datasets.Dataset.from_dict(columns, features=features)


def _load(folder, **keys):
    return load_dataset("hf-disk", folder, keys=DataKeys(**keys))


def test_without_the_library_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(UsageError, match=r"pip install 'growsearch\[hf\]'"):
        _load(tmp_path)


@needs_library
def test_a_saved_data_set_is_split_and_streamed(tmp_path):
    _rows(40).save_to_disk(tmp_path)
    data = _load(tmp_path)
    assert data.train.streamed
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 4, 4)
    assert data.input_shape == (3, 7, 9)
    assert data.report.class_names == ("cat", "dog")
    assert data.test.labels.tolist().count(0) == 2
    some = data.train.at(torch.arange(32))
    pixels = (data.normalisation.to_pixels(some.inputs) * 255).round()
    # The red channel is the class, the others the row.
    assert torch.equal(pixels[:, 0, 0, 0], 100.0 * some.labels)
    assert len(set(pixels[:, 1, 0, 0].tolist())) == 32
    assert "images of 3 x 7 x 9" in summary_lines(data)[0]


@needs_library
def test_its_own_splits_are_used_and_keys_name_others(tmp_path):
    import datasets

    parts = {"train": _rows(20), "val": _rows(6), "test": _rows(8)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path)
    data = _load(tmp_path, image_size=(8, 8))
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 6, 8)
    assert data.input_shape == (3, 8, 8)
    data = _load(tmp_path, validation=0.5, test="val", input="image", label="label")
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 10, 6)


@needs_library
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"input": "picture"}, "data.input = 'picture': no such column"),
        ({"input": "weight"}, "data.input = 'weight': a Value, and no column of images"),
        ({"label": "weight"}, "data.label = 'weight': float32"),
        ({"validation": "dev"}, "data.validation = 'dev': no other split"),
        ({"test": 0.01}, "data.test = 1%: of 40 examples that is none"),
    ],
)
def test_wrong_keys_are_refused(tmp_path, keys, said):
    _rows(40).save_to_disk(tmp_path)
    with pytest.raises(UsageError, match=said):
        _load(tmp_path, **keys)


@needs_library
def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no data set of Hugging Face's on disk"):
        _load(tmp_path)
    _rows(40).remove_columns("image").save_to_disk(tmp_path / "flat")
    with pytest.raises(UsageError, match="has 0 columns of type Image"):
        _load(tmp_path / "flat")


@needs_library
def test_a_damaged_picture_is_named_by_split_and_row(tmp_path):
    import datasets

    parts = {"train": _rows(20), "val": _rows(6, broken=3), "test": _rows(8)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path)
    with pytest.raises(MachineError, match=r"split val, row 3: not a readable PNG or JPEG"):
        list(_load(tmp_path).validation.batches(6))


@needs_library
@pytest.mark.parametrize(
    ("task", "kind", "made"),
    [
        ("regression", "numbers", lambda i: 10.0 + i),
        ("regression", "numbers", lambda i: [float(i), 2.0 * i]),
        ("multi-label", "several an example", lambda i: [i % 2, i % 3 % 2, 1]),
        ("my_tasks:Boxes", "of another kind", lambda i: [[0.5 * i, 1.0], [2.0, 3.0]]),
    ],
)
def test_a_column_of_numbers_or_lists_is_what_a_stated_task_learns(tmp_path, task, kind, made):
    rows = [made(i) for i in range(40)]
    _with_labels(rows).save_to_disk(tmp_path)
    choice = TaskChoice(name=task)
    data = load_dataset("hf-disk", tmp_path, choice, keys=DataKeys(label="wanted"))
    assert data.train.label_kind == kind
    assert data.train.labels_are_known
    assert data.task == choice
    wanted = torch.tensor(rows)
    assert data.num_classes == wanted[0].numel()
    some = data.train.at(torch.arange(32))
    pixels = (data.normalisation.to_pixels(some.inputs) * 255).round()
    assert torch.equal(some.labels, wanted[pixels[:, 1, 0, 0].long()].to(some.labels.dtype))
    assert (data.augmentation == AUGMENTATIONS["none"]) == ("Boxes" in task)
    assert not data.report.class_names


def _with_labels(labels):
    import datasets

    whole = _rows(len(labels))
    return datasets.concatenate_datasets(
        [whole, datasets.Dataset.from_dict({"wanted": labels})], axis=1
    )


@needs_library
def test_classes_on_disk_are_numbers_of_a_regression(tmp_path):
    _rows(40).save_to_disk(tmp_path)
    data = load_dataset("hf-disk", tmp_path, TaskChoice(name="regression"), keys=DataKeys())
    assert (data.train.label_kind, data.num_classes) == ("numbers", 1)
    assert set(data.train.labels.tolist()) == {0.0, 1.0}


@needs_library
@pytest.mark.parametrize(
    ("task", "labels", "said"),
    [
        ("regression", [float("nan") if i == 7 else 1.0 * i for i in range(40)], "row 7 of split"),
        ("regression", ["a"] * 40, "in split train, of which the task regression can make nothing"),
        ("regression", [[1.0] * (1 + i % 2) for i in range(40)], "of lists of one length"),
        ("multi-label", [[0, i % 3] for i in range(40)], "row 2 .* has labels other than 0 and 1"),
        ("multi-label", [0] * 40, "the task multi-label can make nothing"),
        (None, [0.5] * 40, r"say what is learned \(task: regression"),
    ],
)
def test_a_column_that_cannot_be_learned_is_refused(tmp_path, task, labels, said):
    _with_labels(labels).save_to_disk(tmp_path)
    keys = DataKeys(label="wanted")
    with pytest.raises(UsageError, match=said):
        load_dataset("hf-disk", tmp_path, TaskChoice(name=task), keys=keys)
