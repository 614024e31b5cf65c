import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from growsearch.datasets.reading.array_pickle import load_array_pickle
from growsearch.errors import UsageError

KINDS = ["u1", "i2", "<u4", ">i8", "f4", ">f8", "?"]


class _Runs:
    """Unpickled by pickle.load, this would run a command."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return os.system, (f"touch {self._path}",)


def _saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "batch"
    path.write_bytes(content)
    return path


@given(array=st.sampled_from(KINDS).flatmap(lambda kind: arrays.arrays(kind, (2, 3))))
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_arrays_of_numbers_come_back_as_they_were(array, layout, tmp_path, python2_pickle):
    array = np.asarray(array, order=layout)
    content = {"data": array, "labels": [1, 2], "batch_label": "training batch 1 of 5"}
    loaded = load_array_pickle(_saved(tmp_path, python2_pickle(content)))
    assert loaded[b"data"].tobytes() == array.tobytes()
    assert loaded[b"data"].dtype == array.dtype
    assert loaded[b"data"].shape == array.shape
    assert loaded[b"labels"] == [1, 2]
    assert loaded[b"batch_label"] == b"training batch 1 of 5"


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickles_of_python_3_are_read_as_well(protocol, tmp_path):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = pickle.dumps({b"data": array, b"name": b"\xff\x00"}, protocol=protocol)
    loaded = load_array_pickle(_saved(tmp_path, content))
    assert np.array_equal(loaded[b"data"], array)
    assert loaded[b"name"] == b"\xff\x00"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_a_command_is_refused_and_runs_nothing(protocol, tmp_path):
    trace = tmp_path / "ran"
    content = pickle.dumps({b"data": _Runs(trace)}, protocol=protocol)
    pickle.loads(content)
    assert trace.exists(), "the attack itself must work, or the test shows nothing"
    trace.unlink()
    with pytest.raises(UsageError, match=r"batch: .*asks for \w+\.system"):
        load_array_pickle(_saved(tmp_path, content))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins\neval", "numpy\nload", "os\nsystem", "numpy\nmemmap"])
def test_names_that_no_array_needs_are_refused(name, tmp_path):
    content = b"\x80\x02c" + name.encode() + b"\n."
    with pytest.raises(UsageError, match="asks for " + name.replace("\n", r"\.")):
        load_array_pickle(_saved(tmp_path, content))


@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}], dtype=object),
        np.zeros(2, dtype=[("x", "u1"), ("y", "f4")]),
        np.array(["text"]),
        np.array(["2020-01-01"], dtype="M8[D]"),
    ],
    ids=["objects", "records", "text", "dates"],
)
def test_arrays_of_anything_but_numbers_are_refused(array, tmp_path, python2_pickle):
    with pytest.raises(UsageError, match="batch: damaged, or not the official file"):
        load_array_pickle(_saved(tmp_path, python2_pickle({"data": array})))


def test_a_pickle_cannot_change_the_stand_ins_for_later_files(tmp_path):
    # GLOBAL numpy dtype, then BUILD with the slot state (None, {"type": 5}).
    content = b"\x80\x02cnumpy\ndtype\nN}U\x04typeK\x05s\x86b."
    with pytest.raises(UsageError):
        load_array_pickle(_saved(tmp_path, content))
    array = np.arange(3, dtype=np.uint8)
    loaded = load_array_pickle(_saved(tmp_path, pickle.dumps({b"data": array}, protocol=2)))
    assert np.array_equal(loaded[b"data"], array)


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cut_pickle_is_always_named(share, tmp_path, python2_pickle):
    content = python2_pickle({"data": np.zeros((2, 5), np.uint8), "labels": [3, 4]})
    cut = content[: int(share * len(content))]
    with pytest.raises(UsageError, match=r"batch: damaged, or not the official file: ."):
        load_array_pickle(_saved(tmp_path, cut))


def test_something_else_than_a_dictionary_is_refused(tmp_path):
    file = io.BytesIO()
    pickle.dump([1, 2], file)
    with pytest.raises(UsageError, match="it holds no dictionary"):
        load_array_pickle(_saved(tmp_path, file.getvalue()))
