"""Official files that are bombs, pipes or programs, and a machine that fails while it reads."""

import errno
import gzip
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from growsearch.datasets import load_dataset, load_token_dataset
from growsearch.datasets.reading import idx, memory, regular_file
from growsearch.datasets.reading.array_pickle import load_array_pickle
from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.memory import check_memory_for, memory_bytes
from growsearch.datasets.reading.regular_file import read_regular
from growsearch.errors import GrowsearchError, UsageError

OFFICIAL = {
    "cifar10": "cifar-10-batches-bin/data_batch_1.bin",
    "cifar100": "cifar-100-binary/train.bin",
    "fashion-mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz",
    "ptb": "ptb/ptb.train.txt",
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_pipe_in_place_of_an_official_file_is_named_and_never_waited_for(name, write):
    data_dir = write(name)
    path = data_dir / OFFICIAL[name]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(
        UsageError, match=rf"{path.name}: a named pipe, where a regular file is due"
    ):
        load_dataset(name, data_dir)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_device_in_place_of_an_official_file_is_named_and_never_read(name, write):
    path = write(name) / OFFICIAL[name]
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=rf"{path.name}: a device, where a regular file is due"):
        load_dataset(name, path.parents[len(OFFICIAL[name].split("/")) - 1])


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_file_without_end_is_refused_by_its_size(name, write, monkeypatch):
    data_dir = write(name)
    path = data_dir / OFFICIAL[name]
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match=rf"{path.name}: a file of 1,099,511,627,776 bytes; at mo"):
        load_dataset(name, data_dir)


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    assert read_regular(path, most_bytes=10) == bytes(10)
    with pytest.raises(UsageError, match="a file of 10 bytes; at most 9 are read"):
        read_regular(path, most_bytes=9)
    # The files of the kernel say that they are empty, and are not.
    with pytest.raises(UsageError, match="it grows while it is read"):
        read_regular(Path("/proc/self/status"))


def test_a_gzip_bomb_is_stopped_where_no_official_file_ends(tmp_path, monkeypatch):
    assert idx._MAX_BYTES > 5 * 60_000 * 28 * 28
    monkeypatch.setattr(idx, "_MAX_BYTES", 2**22)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(2**26), mtime=0))
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"a\.gz: more than 4,194,304 bytes after unpacking"):
            idx.read_idx(path, axes=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**24


def _pickle_file(tmp_path, content):
    path = tmp_path / "batch"
    path.write_bytes(content)
    return path


def _memo_of(place):
    return b"\x80\x02Nr" + place.to_bytes(4, "little") + b"."


def _nested_key(depth):
    return b"\x80\x02})" + b"\x85" * depth + b"Ns."


def _doubled_key(times):
    # ((x, x), (x, x)) and so on: small to write down, and endless to hash.
    steps = b"".join(b"q\0h\0\x86" for _ in range(times))
    return b"\x80\x02})" + steps + b"Ns."


PROGRAMS = {
    "a memo of billions": (_memo_of(2**32 - 1), "it holds no dictionary"),
    "a key as deep as the stack": (_nested_key(10**4), "neither text nor a number"),
    "a key that takes for ever to hash": (_doubled_key(200), "neither text nor a number"),
    "text of exabytes": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "damaged"),
    "bytes of gigabytes": (b"\x80\x02T\xff\xff\xff\x7fabc.", "damaged"),
    "a number of many digits": (b"I" + b"9" * 10**5 + b"\n.", "damaged"),
    "a persistent object": (b"\x80\x02U\x01aQ.", "instruction BINPERSID"),
    "an extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "an object of a class": (b"\x80\x02cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
    "a frozen set": (b"\x80\x04(\x91.", "instruction FROZENSET"),
    "a buffer from outside": (b"\x80\x05\x97.", "instruction NEXT_BUFFER"),
    "a call of what is no function": (b"\x80\x02U\x01a)R.", "it calls what is no function"),
    "a state for a list": (b"\x80\x02]}b.", "a state to what has none"),
    "values from below a mark": (b"\x80\x02NN(\x86.", "it takes what is not there"),
    "values from nowhere": (b"\x80\x02\x86.", "it takes what is not there"),
    "a mark that is not there": (b"\x80\x02t.", "damaged"),
    "an unknown place": (b"\x80\x02h\x07.", "damaged"),
    "an array without content": (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs.",
        "damaged",
    ),
    "nothing": (b"", "damaged"),
    "no end": (b"\x80\x02}", "damaged"),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_pickle_that_is_a_program_ends_at_once_and_takes_no_memory(kind, tmp_path):
    content, message = PROGRAMS[kind]
    path = _pickle_file(tmp_path, content)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"batch: damaged, or not the official fi") as caught:
            load_array_pickle(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert peak < 2**26


def test_labels_that_no_machine_number_holds_are_named(write, python2_pickle):
    data_dir = write("cifar10")
    (data_dir / "cifar-10-batches-bin").rename(data_dir / "away")
    batch = {"data": np.zeros((1, 3072), np.uint8), "labels": [2**70]}
    (data_dir / "cifar-10-batches-py" / "data_batch_1").write_bytes(python2_pickle(batch))
    with pytest.raises(UsageError, match=r"data_batch_1: labels that are no classes"):
        load_dataset("cifar10", data_dir)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_numbers_text_and_lists_come_back_whatever_the_protocol(protocol, tmp_path):
    value = {"a": [1, -5, 2**40, True, None, 1.5], "b": {"c": "é", "d": ()}, 3: [[], ["x"] * 3]}
    path = _pickle_file(tmp_path, pickle.dumps(value, protocol=protocol))
    assert load_array_pickle(path) == value


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        (folder / f"ptb.{part}.txt").write_text("the cat\nthe dog\n")
    return folder


def _words(folder):
    text = load_token_dataset("ptb", folder.parent)
    return [text.vocabulary[number] for number in text.train]


@pytest.mark.parametrize(
    "content",
    [
        "the cat\nthe dog\n",
        "the cat\nthe dog",
        "the cat\r\nthe dog\r\n",
        "the cat\rthe dog\r",
        "\ufeffthe cat\nthe dog\n",
    ],
)
def test_a_text_is_the_same_whichever_system_wrote_it(content, texts):
    (texts / "ptb.train.txt").write_bytes(content.encode())
    assert _words(texts) == ["the", "cat", "<eos>", "the", "dog", "<eos>"]


def test_only_line_breaks_end_a_line(texts):
    (texts / "ptb.train.txt").write_bytes("the\u2028cat\x0bdog\x85the\n".encode())
    assert _words(texts).count("<eos>") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "no words"),
        ("the cat\n".encode("utf-16"), "not UTF-8 text"),
        (b"the\xed\xb0\x80cat\n", "not UTF-8 text"),
    ],
)
def test_what_is_no_text_is_named(content, message, texts):
    (texts / "ptb.train.txt").write_bytes(content)
    with pytest.raises(UsageError, match=rf"ptb\.train\.txt: {message}"):
        load_token_dataset("ptb", texts.parent)


def test_a_text_larger_than_memory_is_refused(texts, monkeypatch):
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 200}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    with pytest.raises(UsageError, match=r"ptb\.train\.txt has 16 bytes of text, which need 1 GB"):
        load_token_dataset("ptb", texts.parent)


def test_memory_is_the_machines_or_less_where_a_container_has_less(tmp_path, monkeypatch):
    limits = tmp_path / "2", tmp_path / "1", tmp_path / "none"
    monkeypatch.setattr(memory, "_LIMITS", limits)
    limits[0].write_text("max\n")
    whole = memory_bytes()
    limits[1].write_text("12345\n")
    assert memory_bytes() == 12345 < whole
    with pytest.raises(
        UsageError, match="x has y, which need 1 GB of memory; this machine has 1 GB"
    ):
        check_memory_for("x", "y", 12346)
    check_memory_for("x", "y", 12345)
    # More than a float holds.
    with pytest.raises(UsageError, match="0,000 GB of memory"):
        check_memory_for("x", "y", 10**400)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
    ],
)
def test_a_machine_that_fails_is_no_fault_of_the_file(error):
    with (
        pytest.raises(GrowsearchError, match=r"a\.png: could not be read here") as caught,
        reading("a.png", "not an image", "remove it"),
    ):
        raise error
    assert not isinstance(caught.value, UsageError)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("two\nlines \x1b[31m"),
        RecursionError(),
        OverflowError("too large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        OSError(errno.EACCES, "Permission denied"),
        KeyError("inputs"),
        Image.DecompressionBombError("large"),
        ValueError("x" * 10_000),
    ],
)
def test_whatever_a_parser_raises_comes_out_in_one_printable_line(error):
    with (
        pytest.raises(UsageError, match=r"^a\.png: not an image: .+; remove it$") as caught,
        reading("a.png", "not an image", "remove it"),
    ):
        raise error
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_our_own_errors_pass_a_boundary_as_they_are():
    with pytest.raises(UsageError, match=r"^label 3: too large$"), reading("a", "b", "c"):
        raise UsageError("label 3: too large")


def test_what_is_shown_has_no_codes_that_a_terminal_obeys():
    assert shown("a\x1b[1mb\n\u202e\udcff é") == r"a\x1b[1mb\n\u202e\udcff é"


def test_an_image_that_may_not_be_read_is_named(write, monkeypatch):
    data_dir = write("image-folder")

    def refused(path, *_arguments, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(regular_file.os, "open", refused)
    with pytest.raises(UsageError, match=r"0\.png: not a readable PNG or JPEG.*Permission denied"):
        load_dataset("image-folder", data_dir)


@pytest.mark.parametrize("data_dir", ["a\0b", "x" * 5000, "\udcff"])
def test_a_folder_of_an_impossible_name_is_refused(data_dir, tmp_path):
    with pytest.raises(UsageError, match="data_dir: "):
        load_dataset("image-folder", tmp_path / data_dir)
