import gzip

import numpy as np
import pytest
import torch

from growsearch.datasets import load_dataset
from growsearch.datasets.reading.idx import read_idx
from growsearch.errors import UsageError


def test_an_idx_file_is_a_header_of_sizes_and_the_bytes_in_order(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])))
    assert read_idx(path, axes=2).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"plain text", "damaged gzip"),
        (gzip.compress(bytes(1000), mtime=0)[:-9], "damaged gzip"),
        (b"", "no idx file"),
        (gzip.compress(b"", mtime=0), "no idx file"),
        (gzip.compress(bytes([0, 0, 13, 1, 0, 0, 0, 1, 1]), mtime=0), "no idx file"),
        (gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 1]), mtime=0), "no idx file"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0]), mtime=0), "no idx file"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2]), mtime=0), "10 bytes .* expected 11"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 2]), mtime=0), "10 bytes .* expected 9"),
    ],
    # Named by number: bytes make poor names, and workers must agree on them.
    ids=[str(number) for number in range(9)],
)
def test_a_damaged_idx_file_is_named(content, message, tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.gz: .*" + message):
        read_idx(path, axes=1)


def test_sizes_of_more_than_memory_are_refused_before_they_are_multiplied(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"1"))
    with pytest.raises(UsageError, match="expected 79,"):
        read_idx(path, axes=3)


def test_images_and_labels_come_out_in_the_order_of_the_files(write):
    dataset = load_dataset("fashion-mnist", write("fashion-mnist"))
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.test.labels.tolist() == [n % 10 for n in range(20)]
    official = np.random.RandomState(1).randint(0, 256, (20, 28, 28), dtype=np.uint8)
    expected = dataset.normalisation.apply(torch.from_numpy(official).unsqueeze(1))
    assert torch.equal(dataset.test.inputs, expected)


def test_labels_that_do_not_fit_the_images_are_refused(write, idx):
    data_dir = write("fashion-mnist")
    path = data_dir / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(19, np.uint8))))
    with pytest.raises(UsageError, match="19 labels up to 0 do not fit 20 images"):
        load_dataset("fashion-mnist", data_dir)
    path.write_bytes(gzip.compress(idx(np.full(20, 10, np.uint8))))
    with pytest.raises(UsageError, match="20 labels up to 10 do not fit 20 images of 10 classes"):
        load_dataset("fashion-mnist", data_dir)


def test_a_missing_file_comes_with_its_checksum(write):
    data_dir = write("fashion-mnist")
    (data_dir / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=r"train-labels-idx1-ubyte\.gz missing") as caught:
        load_dataset("fashion-mnist", data_dir)
    assert "train-labels-idx1-ubyte.gz (MD5 25c81989df183df01b3e8a0aad5dffbe)" in str(caught.value)
