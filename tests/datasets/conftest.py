import gzip
import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

IMAGE_BYTES = 3072


class _Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2's str, as in the official CIFAR files."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_python2_string(self, value):
        content = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[bytes] = save_python2_string
    dispatch[str] = save_python2_string


def _python2_pickle(value) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.fixture
def python2_pickle() -> Callable[[object], bytes]:
    return _python2_pickle


def _pixels(count: int, seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (count, IMAGE_BYTES), dtype=np.uint8)


def _write_records(path: Path, labels: list[list[int]], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.array(labels, dtype=np.uint8)
    np.concatenate([rows, _pixels(len(rows), seed)], axis=1).tofile(path)


def _write_batch(path: Path, key: str, labels: list[int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_python2_pickle({"data": _pixels(len(labels), seed), key: labels}))


def write_cifar10(data_dir: Path) -> Path:
    """Five files of 20 images and a test file of 10, two of each class a file."""
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        labels = [n % 10 for n in range(10 if name == "test_batch" else 20)]
        binary = data_dir / "cifar-10-batches-bin" / f"{name}.bin"
        _write_records(binary, [[label] for label in labels], seed)
        _write_batch(data_dir / "cifar-10-batches-py" / name, "labels", labels, seed)
    return data_dir


def write_cifar100(data_dir: Path) -> Path:
    """200 training and 100 test images; the coarse label is 7 everywhere."""
    for seed, (name, count) in enumerate([("train", 200), ("test", 100)]):
        labels = [n % 100 for n in range(count)]
        binary = data_dir / "cifar-100-binary" / f"{name}.bin"
        _write_records(binary, [[7, label] for label in labels], seed)
        _write_batch(data_dir / "cifar-100-python" / name, "fine_labels", labels, seed)
    return data_dir


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def idx() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


def write_fashion_mnist(data_dir: Path) -> Path:
    folder = data_dir / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for seed, (name, count) in enumerate([("train", 40), ("t10k", 20)]):
        images = np.random.RandomState(seed).randint(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return data_dir


def write_image_folder(data_dir: Path) -> Path:
    """Class "cat" is bright and class "dog" dark: 10 training and 2 validation images each."""
    random = np.random.RandomState(0)
    for part, count in (("train", 10), ("val", 2)):
        for name, base in (("cat", 160), ("dog", 0)):
            folder = data_dir / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = base + random.randint(0, 90, (70, 80, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return data_dir


def write_arrays(data_dir: Path) -> Path:
    images = np.random.RandomState(0).randint(0, 256, (60, 2, 5, 5), dtype=np.uint8)
    np.savez(data_dir / "data.npz", inputs=images, labels=np.arange(60) % 3)
    return data_dir


def write_pair(folder: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    """Write folder/images/NAME.png and folder/masks/NAME.png."""
    for kind, pixels in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{name}.png")


def write_mask_folder(data_dir: Path) -> Path:
    """Left halves are dark, of class 0; right halves bright, of class 2; a void line between."""
    random = np.random.RandomState(0)
    mask = np.repeat([0] * 31 + [255] * 2 + [2] * 31, 64).reshape(64, 64).T
    for part, count in (("train", 20), ("val", 3)):
        for number in range(count):
            image = random.randint(0, 90, (64, 64, 3)) + 150 * (mask == 2)[..., None]
            write_pair(data_dir / part, str(number), image, mask)
    return data_dir


def write_ptb(data_dir: Path) -> Path:
    """A few different sentences a file: more than a window of 35 words each."""
    (data_dir / "ptb").mkdir()
    words = [f"w{number}" for number in range(12)]
    for part, (start, count) in {"train": (0, 30), "valid": (3, 12), "test": (5, 15)}.items():
        lines = [" ".join(words[(start + n * n + k) % 12] for k in range(9)) for n in range(count)]
        (data_dir / "ptb" / f"ptb.{part}.txt").write_text("".join(f"{line}\n" for line in lines))
    return data_dir


def write_hf_disk(data_dir: Path) -> Path:
    """Twenty different pictures of two classes, in one split."""
    datasets = pytest.importorskip("datasets")
    random, pictures = np.random.RandomState(0), []
    for number in range(20):
        file = io.BytesIO()
        pixels = 100 * (number % 2) + random.randint(0, 90, (8, 9, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": None})
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "bright"])}
    )
    rows = {"image": pictures, "label": [number % 2 for number in range(20)]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(data_dir)
    return data_dir


WRITERS = {
    "arrays": write_arrays,
    "digits": None,
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "fashion-mnist": write_fashion_mnist,
    "hf-disk": write_hf_disk,
    "image-folder": write_image_folder,
    "mask-folder": write_mask_folder,
    "ptb": write_ptb,
}


@pytest.fixture(scope="session")
def writers() -> dict[str, Callable[[Path], Path] | None]:
    """What writes a tiny copy of each data set into an empty folder."""
    return WRITERS


@pytest.fixture
def write(tmp_path) -> Callable[[str], Path | None]:
    """Write a tiny copy of a data set in its official layout; returns its data_dir."""

    def written(name: str) -> Path | None:
        writer = WRITERS[name]
        return writer(tmp_path) if writer else None

    return written
