import numpy as np
import pytest
import torch

from growsearch.datasets import load_cifar100_test, load_dataset
from growsearch.datasets.augmentation import SHIFT_MIRROR
from growsearch.datasets.normalisation import Normalisation
from growsearch.datasets.reading.cifar_files import read_records
from growsearch.errors import UsageError


def test_a_record_is_a_label_then_the_red_the_green_and_the_blue_plane_row_by_row(tmp_path):
    record = np.zeros(3073, dtype=np.uint8)
    record[0] = 9
    record[1 + 0] = 11  # red, row 0, column 0
    record[1 + 1024 + 32 + 5] = 22  # green, row 1, column 5
    record[1 + 2048 + 31 * 32 + 31] = 33  # blue, the last pixel
    record.tofile(tmp_path / "one.bin")
    raw = read_records(
        [tmp_path / "one.bin"], label_bytes=1, num_classes=10, official_records=10_000
    )
    assert raw.labels.tolist() == [9]
    assert raw.images.shape == (1, 3, 32, 32)
    assert raw.images.nonzero().tolist() == [[0, 0, 0, 0], [0, 1, 1, 5], [0, 2, 31, 31]]
    assert raw.images[raw.images > 0].tolist() == [11, 22, 33]


def test_the_second_label_byte_of_cifar100_counts(tmp_path):
    record = np.zeros(3074, dtype=np.uint8)
    record[:3] = 19, 99, 200
    record.tofile(tmp_path / "one.bin")
    raw = read_records(
        [tmp_path / "one.bin"], label_bytes=2, num_classes=100, official_records=10_000
    )
    assert raw.labels.tolist() == [99]
    assert raw.images[0, 0, 0, 0] == 200


@pytest.mark.parametrize(
    ("name", "folder"), [("cifar10", "cifar-10-batches-bin"), ("cifar100", "cifar-100-binary")]
)
def test_the_python_layout_gives_the_same_data_as_the_binary_one(name, folder, write):
    data_dir = write(name)
    binary = load_dataset(name, data_dir)
    (data_dir / folder).rename(data_dir / "away")
    python = load_dataset(name, data_dir)
    for one, two in ((binary.train, python.train), (binary.test, python.test)):
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.labels, two.labels)
    assert binary.normalisation == python.normalisation


def test_a_tenth_of_the_training_images_is_held_out_evenly_over_classes(write):
    dataset = load_dataset("cifar10", write("cifar10"))
    assert dataset.train.labels.bincount().tolist() == [9] * 10
    assert dataset.validation.labels.bincount().tolist() == [1] * 10
    assert dataset.test.labels.tolist() == list(range(10))
    assert dataset.augmentation is SHIFT_MIRROR


def test_data_dir_may_be_the_unpacked_folder_itself(write):
    data_dir = write("cifar10")
    inside = load_dataset("cifar10", data_dir / "cifar-10-batches-bin")
    assert torch.equal(inside.test.inputs, load_dataset("cifar10", data_dir).test.inputs)


def test_a_cut_file_is_named_with_its_expected_size(write):
    data_dir = write("cifar10")
    path = data_dir / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"data_batch_3\.bin: 61,459 bytes.*30,730,000"):
        load_dataset("cifar10", data_dir)


def test_an_empty_file_is_named(write):
    data_dir = write("cifar100")
    (data_dir / "cifar-100-binary" / "train.bin").write_bytes(b"")
    with pytest.raises(UsageError, match=r"train\.bin: 0 bytes.*153,700,000"):
        load_dataset("cifar100", data_dir)


def test_a_label_that_is_no_class_is_named(write):
    data_dir = write("cifar10")
    path = data_dir / "cifar-10-batches-bin" / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[3 * 3073] = 10
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"test_batch\.bin: record 4 has label 10, .* below 10"):
        load_dataset("cifar10", data_dir)


def test_a_missing_file_is_named_with_where_to_get_it(write):
    data_dir = write("cifar10")
    (data_dir / "cifar-10-batches-bin" / "data_batch_2.bin").unlink()
    with pytest.raises(UsageError, match=r"data_batch_2\.bin missing") as caught:
        load_dataset("cifar10", data_dir)
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in str(caught.value)
    assert "c32a1d4ab5d03f1284b67883e8d87530" in str(caught.value)


@pytest.mark.parametrize(
    "batch",
    [
        {"labels": [0]},
        {"data": np.zeros((1, 3072), np.uint8)},
        {"data": np.zeros((1, 3072), np.uint8), "labels": [0, 1]},
        {"data": np.zeros((1, 3071), np.uint8), "labels": [0]},
        {"data": np.zeros((1, 3072), np.int64), "labels": [0]},
        {"data": np.zeros((0, 3072), np.uint8), "labels": []},
        {"data": np.zeros((1, 3072), np.uint8), "labels": ["0"]},
        {"data": [[0] * 3072], "labels": [0]},
    ],
)
def test_a_python_batch_with_wrong_contents_is_refused(batch, write, python2_pickle):
    data_dir = write("cifar10")
    (data_dir / "cifar-10-batches-bin").rename(data_dir / "away")
    (data_dir / "cifar-10-batches-py" / "data_batch_1").write_bytes(python2_pickle(batch))
    with pytest.raises(UsageError, match=r"data_batch_1: expected data \(N, 3072\)"):
        load_dataset("cifar10", data_dir)


def test_a_negative_label_in_a_python_batch_is_refused(write, python2_pickle):
    data_dir = write("cifar10")
    (data_dir / "cifar-10-batches-bin").rename(data_dir / "away")
    batch = {"data": np.zeros((1, 3072), np.uint8), "labels": [-1]}
    (data_dir / "cifar-10-batches-py" / "data_batch_1").write_bytes(python2_pickle(batch))
    with pytest.raises(UsageError, match=r"data_batch_1: record 1 has label -1"):
        load_dataset("cifar10", data_dir)


@pytest.mark.parametrize("folder", ["cifar-100-binary", "cifar-100-python"])
def test_cifar100_test_images_alone_load_for_out_of_distribution_use_only(folder, write):
    data_dir = write("cifar100")
    whole = load_dataset("cifar100", data_dir)
    for path in data_dir.iterdir():
        if path.name != folder:
            path.rename(data_dir / f"{path.name}.away")
    next((data_dir / folder).glob("train*")).unlink()
    split = load_cifar100_test(data_dir, whole.normalisation)
    assert torch.equal(split.inputs, whole.test.inputs)
    assert torch.equal(split.labels, whole.test.labels)
    with pytest.raises(UsageError, match=r"test images alone.*cannot be trained on.*03b5dce0191"):
        load_dataset("cifar100", data_dir)


def test_cifar100_test_images_take_the_normalisation_of_the_training_data(write):
    data_dir = write("cifar100")
    plain = load_cifar100_test(data_dir, Normalisation())
    other = load_cifar100_test(data_dir, Normalisation(mean=(1, 2, 3), deviation=(2, 4, 8)))
    expected = (plain.inputs - torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)) / torch.tensor(
        [2.0, 4, 8]
    ).view(1, 3, 1, 1)
    assert torch.equal(other.inputs, expected)


def test_an_empty_cifar100_folder_names_both_missing_files_in_turn(tmp_path):
    (tmp_path / "cifar-100-binary").mkdir()
    with pytest.raises(UsageError, match=r"train\.bin missing"):
        load_dataset("cifar100", tmp_path)
    with pytest.raises(UsageError, match=r"test\.bin missing"):
        load_cifar100_test(tmp_path, Normalisation())
