"""Files of arrays: what they promise is checked before anything is allocated."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from growsearch.datasets import content_hash, from_tensors, load_dataset, parse_augmentation
from growsearch.datasets.arrays import write_dataset
from growsearch.errors import UsageError

INPUTS = np.random.RandomState(0).rand(40, 4).astype(np.float32)
LABELS = np.arange(40) % 2


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _header(shape, kind="<f4", order="False"):
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def _write(folder, **members):
    with zipfile.ZipFile(folder / "data.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_header((10**6, 10**6)) + bytes(100), "promises 4,000,000,000,000 bytes and has 100"),
        (_header((10**300, 10**300)), "impossible shape"),
        (_header((-1, -4)) + bytes(16), "impossible shape"),
        (_header((0, 10**18)), "impossible shape"),
        (_header((40, 4)) + bytes(639), "promises 640 bytes and has 639"),
        (_header((40, 4)) + bytes(641), "promises 640 bytes and has 641"),
        (_header((40,), "|O") + bytes(320), "holds object values"),
        (_header((40,), "<M8[D]") + bytes(320), "holds datetime64.* values"),
        (_header("(40, 4), 'more': 1"), "cannot be read"),
        (_header("(" * 200 + ")" * 200), "cannot be read"),
        (_header("__import__('os').abort()"), "cannot be read"),
        (b"\x93NUMPY\1\0" + (60_000).to_bytes(2, "little") + b" " * 60_000, "cannot be read"),
        (b"\x93NUMPY\3\0" + _header((40, 4))[8:], "cannot be read"),
        (b"", "cannot be read"),
        (b"plain text", "cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(content, message, tmp_path):
    with pytest.raises(UsageError, match=rf"data\.npz.*{message}"):
        load_dataset("arrays", _write(tmp_path, inputs=content, labels=_npy(LABELS)))


def test_a_deflated_bomb_of_zeros_is_refused_by_memory(tmp_path, monkeypatch):
    np.savez_compressed(
        tmp_path / "data.npz", inputs=np.zeros((40, 10**6), np.uint8), labels=LABELS
    )
    assert (tmp_path / "data.npz").stat().st_size < 10**5
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 15_000}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    with pytest.raises(UsageError, match=r"arrays of 40,000,320 bytes, which need 1 GB of memory"):
        load_dataset("arrays", tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path):
    _write(tmp_path, inputs=_npy(INPUTS), labels=_npy(LABELS))
    with zipfile.ZipFile(tmp_path / "data.npz", "a") as archive:
        archive.writestr("inputs.npy", _npy(INPUTS + 1))
    with pytest.raises(UsageError, match="a name stands in it twice"):
        load_dataset("arrays", tmp_path)


def test_a_changed_byte_is_found_by_its_checksum(tmp_path):
    path = _write(tmp_path, inputs=_npy(INPUTS), labels=_npy(LABELS)) / "data.npz"
    content = bytearray(path.read_bytes())
    content[content.index(INPUTS.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"data\.npz: cannot be read: Bad CRC"):
        load_dataset("arrays", tmp_path)


def test_other_arrays_stay_unread_and_are_told(tmp_path):
    members = {"inputs": _npy(INPUTS), "labels": _npy(LABELS), "more": _header((10**9, 10**9))}
    data = load_dataset("arrays", _write(tmp_path, **members))
    assert [str(skipped) for skipped in data.report.skipped] == ["other arrays (1): more"]
    assert content_hash(data) == content_hash(from_tensors(INPUTS, LABELS))


def test_half_a_test_is_refused(tmp_path):
    members = {"inputs": _npy(INPUTS), "labels": _npy(LABELS), "test_inputs": _npy(INPUTS)}
    with pytest.raises(UsageError, match=r"data\.npz has test_inputs alone"):
        load_dataset("arrays", _write(tmp_path, **members))


def test_a_file_states_its_layout_and_its_classes(tmp_path):
    images = np.random.RandomState(0).randint(0, 255, (40, 8, 8, 3)).astype(np.uint8)
    stated = {"layout": np.array("channels-last"), "num_classes": np.array(5)}
    np.savez(tmp_path / "data.npz", inputs=images, labels=LABELS * 2, **stated)
    data = load_dataset("arrays", tmp_path)
    assert (data.num_classes, data.input_shape) == (5, (3, 8, 8))
    (tmp_path / "data.npz").unlink()
    tensors = {"inputs": images, "labels": LABELS * 2, "num_classes": np.array([5])}
    save_file(
        {name: torch.from_numpy(value) for name, value in tensors.items()},
        tmp_path / "data.safetensors",
        metadata={"layout": "channels-last"},
    )
    assert content_hash(load_dataset("arrays", tmp_path)) == content_hash(data)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"layout": np.array("NHWC")}, "unknown layout 'NHWC'"),
        ({"num_classes": np.array([3, 4])}, "num_classes is no whole number"),
        ({"num_classes": np.array(2.5)}, "num_classes is no whole number"),
        ({"num_classes": np.array(10**15)}, "give a whole number from 2 to 1,000,000"),
    ],
)
def test_what_a_file_states_wrongly_is_refused(stated, message, tmp_path):
    np.savez(tmp_path / "data.npz", inputs=INPUTS, labels=LABELS, **stated)
    with pytest.raises(UsageError, match=message):
        load_dataset("arrays", tmp_path)


def test_two_files_are_one_too_many(tmp_path):
    np.savez(tmp_path / "data.npz", inputs=INPUTS, labels=LABELS)
    write_dataset(from_tensors(INPUTS, LABELS), tmp_path)
    with pytest.raises(UsageError, match=r"has both data\.npz and data\.safetensors; remove one"):
        load_dataset("arrays", tmp_path)


@pytest.mark.parametrize("name", ["data.npz", "data.safetensors"])
def test_pipes_devices_and_folders_in_place_of_a_file_are_named_at_once(name, tmp_path):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(UsageError, match=rf"{name}: a named pipe, where a regular file is due"):
        load_dataset("arrays", tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=rf"{name}: a device, where a regular file is due"):
        load_dataset("arrays", tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match=rf"{name}: a folder, where a regular file is due"):
        load_dataset("arrays", tmp_path)


def _safetensors(header, content=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return len(text).to_bytes(8, "little") + text + content


def _entry(kind, *shape):
    return {"dtype": kind, "shape": shape, "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8 + b"{}",
        _safetensors({"inputs": _entry("F32", 10**12)}, bytes(4)),
        _safetensors({"inputs": _entry("F32", 2**62, 4)}, bytes(4)),
        _safetensors({"inputs": _entry("F99", 1)}, bytes(4)),
        _safetensors(b"[" * 100_000),
        _safetensors({"__metadata__": {"dataset": "[" * 100_000}}),
        _safetensors({"__metadata__": {"dataset": "{"}}),
        _safetensors({"__metadata__": {"dataset": "[]"}}),
        _safetensors({"__metadata__": {"dataset": "1e999"}}),
    ],
    ids=[str(number) for number in range(10)],
)
def test_a_damaged_tensor_file_is_named(content, tmp_path):
    (tmp_path / "data.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match=r"data\.safetensors"):
        load_dataset("arrays", tmp_path)


@pytest.mark.parametrize(
    ("about", "tensors", "message"),
    [
        ({"num_classes": 10**15}, {}, "num_classes is 1000000000000000"),
        ({"num_classes": 1e999}, {}, "num_classes is inf"),
        ({"num_classes": True}, {}, "num_classes is True"),
        ({"num_classes": 1}, {}, "num_classes is 1;"),
        ({}, {"train.labels": torch.full((33,), 7)}, "labels that are not from 0 to 1"),
        ({}, {"train.labels": torch.zeros(33)}, "give int64"),
        ({}, {"test.inputs": torch.zeros(4, 5)}, "inputs of another shape"),
        ({}, {"test.inputs": torch.full((4, 4), torch.inf)}, "inputs that are not finite"),
        ({}, {"test.inputs": torch.zeros(0, 4), "test.labels": torch.zeros(0).long()}, "one each"),
        ({"augmentation": {"shift_pixels": 10**9, "mirror": False}}, {}, "shifts by 1000000000 pi"),
        (
            {"normalisation": {"mean": [0.0], "deviation": [0.0]}},
            {},
            "a deviation that is not abov",
        ),
        ({"normalisation": {"mean": [0.0] * 3, "deviation": [1.0] * 3}}, {}, "not of 4 channels"),
        ({"normalisation": 5}, {}, "not written by growsearch"),
        ({"augmentation": {"rotate": 1}}, {}, "not written by growsearch"),
        ({"augmentation": [{"rotate": 1}]}, {}, ": not written by growsearch: unknown"),
        ({"augmentation": [{"mixup": {"alpha": 0}}]}, {}, "not written by growsearch"),
    ],
)
def test_a_data_set_of_a_run_that_no_longer_fits_together_is_refused(
    about, tensors, message, tmp_path
):
    write_dataset(from_tensors(INPUTS, LABELS), tmp_path)
    path = tmp_path / "data.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    known = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["dataset"])
    from safetensors.torch import load

    save_file({**load(content), **tensors}, path, metadata={"dataset": json.dumps(known | about)})
    with pytest.raises(UsageError, match=rf"data\.safetensors.*{message}"):
        load_dataset("arrays", tmp_path)


def test_augmentation_with_values_is_written_and_read(tmp_path):
    images = torch.randint(0, 256, (40, 3, 4, 4)).to(torch.uint8)
    augmentation = parse_augmentation([{"mixup": {"alpha": 0.3}}, "rand-augment"])
    made = from_tensors(images, torch.arange(40) % 2, augmentation=augmentation)
    write_dataset(made, tmp_path)
    assert load_dataset("arrays", tmp_path).augmentation == augmentation
