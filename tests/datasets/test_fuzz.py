"""Damaged data of every kind: what comes out is a data set that fits together, or one message.

GROWSEARCH_FUZZ_EXAMPLES is the number of damages for each kind of data; a longer run draws others.
"""

import functools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from growsearch.datasets import content_hash, from_tensors, load_dataset
from growsearch.datasets.arrays import write_dataset
from growsearch.datasets.checking.consistency import check_dataset
from growsearch.errors import GrowsearchError

EXAMPLES = int(os.environ.get("GROWSEARCH_FUZZ_EXAMPLES", "0"))
# Longer than any example takes on a busy machine; a reader that waits for ever is stopped.
PATIENCE_S = 60
OURS = (NameError, AssertionError, TimeoutError)
fuzz = settings(
    max_examples=EXAMPLES or 25,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# What numbers in headers like to be, little and big endian.
_NUMBERS = [
    value.to_bytes(size, order, signed=value < 0)
    for size in (1, 2, 4, 8)
    for value in (0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)))
    for order in ("little", "big")
]
_PIECES = [
    *_NUMBERS,
    b"\xff" * 16,
    b"\0" * 100,
    b"9" * 40,
    b"[" * 50,
    b"(" * 300,
    b"1e999",
    b"NaN",
    b"\xed\xb0\x80",
    b"|O8",
    b"cposix\nsystem\n",
]

# The first bytes hold the headers, the last the checksums and directories.
_PLACES = st.one_of(st.integers(0, 80), st.integers(-120, -1), st.integers(0, 10**6))


@st.composite
def _changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return what overwrites, inserts, cuts or repeats a piece somewhere."""
    how = draw(st.sampled_from(["flip", "overwrite", "insert", "cut", "drop", "repeat", "swap"]))
    place, piece, bit = draw(_PLACES), draw(st.sampled_from(_PIECES)), draw(st.integers(0, 7))
    length = draw(st.integers(1, 400))

    def change(content: bytes) -> bytes:
        at = place % max(1, len(content))
        head, tail = content[:at], content[at:]
        if how == "flip":
            return head + bytes(byte ^ (1 << bit) for byte in tail[:1]) + tail[1:]
        if how == "overwrite":
            return head + piece + tail[len(piece) :]
        if how == "insert":
            return head + piece + tail
        if how == "cut":
            return head
        if how == "drop":
            return head + tail[length:]
        return head + tail[:length] + tail if how == "repeat" else tail + head

    return change


contents = st.lists(_changes(), min_size=1, max_size=3)


def flipped(content: bytes, place: int, bit: int) -> bytes:
    """Return ``content`` with one bit changed."""
    at = place % len(content)
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    (path / "deeper").mkdir(parents=True)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


INSTEAD: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "pipe": _pipe,
    "folder": _folder,
    "zeros": _link("/dev/zero"),
    "null": _link("/dev/null"),
    "dangling": _link("nowhere"),
    "itself": lambda path: path.symlink_to(path.name),
    "above": _link(".."),
    "kernel": _link("/proc/self/status"),
    "sparse": lambda path: (path.write_bytes(b""), os.truncate(path, 2**40))[1],
}


@contextmanager
def replaced(path: Path, put: Callable[[Path], None]) -> Iterator[None]:
    """Put something else at ``path`` for the time of the block."""
    kept = path.with_name("." + path.name + ".kept")
    path.rename(kept)
    try:
        put(path)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        kept.rename(path)


def _write_small_images(data_dir, _writers):
    """Ten images a class, of every mode and of both formats."""
    random = np.random.RandomState(0)
    modes = ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"]
    for part, count in (("train", 8), ("val", 2)):
        for name in ("cat", "dog"):
            folder = data_dir / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                mode = modes[number % len(modes)]
                pixels = Image.fromarray(random.randint(0, 255, (12, 10, 3)).astype(np.uint8))
                suffix = "jpg" if mode == "CMYK" or number == 1 else "png"
                plain = pixels.convert("L") if mode == "LA" else pixels
                plain.convert(mode).save(folder / f"{number}.{suffix}")
    return data_dir


def _write_python_cifar(data_dir, writers):
    writers["cifar10"](data_dir)
    (data_dir / "cifar-10-batches-bin").rename(data_dir / "away")
    return data_dir


def _write_tensors(data_dir, writers):
    writers["arrays"](data_dir)
    dataset = load_dataset("arrays", data_dir)
    (data_dir / "data.npz").unlink()
    write_dataset(dataset, data_dir)
    return data_dir


def _write_compressed(data_dir, _writers):
    random = np.random.RandomState(0)
    inputs = random.randint(0, 256, (40, 1, 5, 5), dtype=np.uint8)
    np.savez_compressed(data_dir / "data.npz", inputs=inputs, labels=np.arange(40) % 2)
    return data_dir


# A name, what writes it where that is not the usual, and the files to damage.
KINDS = {
    "npz": ("arrays", None, "data.npz"),
    "compressed npz": ("arrays", _write_compressed, "data.npz"),
    "safetensors": ("arrays", _write_tensors, "data.safetensors"),
    "images": ("image-folder", _write_small_images, "*/*/*.*"),
    "masks": ("mask-folder", None, "*/*/[012].png"),
    "idx": ("fashion-mnist", None, "*/*/*.gz"),
    "records": ("cifar10", None, "cifar-10-batches-bin/*_1.bin"),
    "pickles": ("cifar10", _write_python_cifar, "cifar-10-batches-py/*_1"),
    "text": ("ptb", None, "ptb/*.txt"),
}


@pytest.fixture(scope="module", params=KINDS)
def data(request, tmp_path_factory, writers):
    """A data set's name, its folder and the files to damage."""
    name, writer, pattern = KINDS[request.param]
    empty = tmp_path_factory.mktemp("data")
    data_dir = writers[name](empty) if writer is None else writer(empty, writers)
    return name, data_dir, sorted(data_dir.glob(pattern))


@contextmanager
def _patience():
    def late(*_):
        raise TimeoutError("a reader waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _read(load):
    """Load; return the data set, or None where one message came out."""
    try:
        with _patience():
            dataset = load()
    except GrowsearchError as error:
        _check_message(error)
        return None
    check_dataset(dataset, "fuzz")
    return dataset


def _check_message(error):
    assert str(error).isprintable()
    cause = error
    while cause is not None:
        assert not isinstance(cause, OURS), f"a mistake of ours came out as {error}"
        cause = cause.__cause__


@given(st.data())
@fuzz
def test_damaged_bytes_give_a_data_set_or_a_message(data, drawn):
    name, data_dir, files = data
    path = drawn.draw(st.sampled_from(files))
    content = path.read_bytes()
    for change in drawn.draw(contents):
        content = change(content)
    with replaced(path, lambda there: there.write_bytes(content)):
        _read(functools.partial(load_dataset, name, data_dir))


@pytest.mark.parametrize("kind", INSTEAD)
def test_something_else_in_place_of_a_file_gives_a_data_set_or_a_message(data, kind):
    name, data_dir, files = data
    for path in (files[0], files[-1]):
        with replaced(path, INSTEAD[kind]):
            _read(functools.partial(load_dataset, name, data_dir))


@given(st.data())
@fuzz
def test_a_flipped_bit_is_refused_or_changes_nothing_where_there_are_checksums(data, drawn):
    name, data_dir, files = data
    with_checksums = [path for path in files if path.suffix in (".png", ".gz", ".npz")]
    if not with_checksums:
        pytest.skip("a kind of file without checksums")
    before = content_hash(load_dataset(name, data_dir))
    path = drawn.draw(st.sampled_from(with_checksums))
    place, bit = drawn.draw(st.integers(0, 10**6)), drawn.draw(st.integers(0, 7))
    content = flipped(path.read_bytes(), place, bit)
    with replaced(path, lambda there: there.write_bytes(content)):
        dataset = _read(functools.partial(load_dataset, name, data_dir))
    assert dataset is None or content_hash(dataset) == before


_KINDS_OF_NUMBERS = st.one_of(
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays.boolean_dtypes(),
    arrays.complex_number_dtypes(),
    arrays.datetime64_dtypes(),
    arrays.unicode_string_dtypes(),
)


def _drawn_array(draw, count):
    rest = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    kind = draw(_KINDS_OF_NUMBERS)
    # Filled with few numbers: each element drawn would take long, and classes repeat.
    few = draw(arrays.arrays(kind, 3))
    return np.resize(few, (count, *rest))


@given(st.data())
@fuzz
def test_arrays_of_any_type_and_shape_give_a_data_set_or_a_message(drawn):
    inputs = _drawn_array(drawn.draw, 40)
    labels = _drawn_array(drawn.draw, drawn.draw(st.sampled_from([40, 40, 40, 39, 0])))
    _read(functools.partial(from_tensors, inputs, labels))
    plain = np.arange(40) % 2
    _read(functools.partial(from_tensors, inputs, plain))
    _read(functools.partial(from_tensors, np.linspace(0, 1, 80).reshape(40, 2), labels))


def test_the_fuzzed_readers_read_what_is_not_damaged(data):
    name, data_dir, files = data
    assert len(files) > 0
    assert _read(functools.partial(load_dataset, name, Path(data_dir))) is not None
