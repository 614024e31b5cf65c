"""What a network was right about is kept a bit an example, and read without trust."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from growsearch.errors import GrowsearchError, UsageError
from growsearch.trial.judged_examples import (
    JUDGED_FILE,
    MAX_EXAMPLES,
    examples_of,
    read_judged,
    write_judged,
)
from growsearch.trial.record import Trial


def trial(accuracy: float, name: str = "abc") -> Trial:
    metrics = {"accuracy": accuracy}
    return Trial(
        id=name, number=0, kind="growth", status="finished", config={}, seed=0, metrics=metrics
    )


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "trials" / "abc"
    place.mkdir(parents=True)
    return place


def test_the_file_is_plain_data_whose_bits_are_counted_by_hand(tmp_path, folder):
    # 1011 0000 | 0100 0000: the first example is the highest bit.
    right = np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 1], dtype=bool)
    write_judged(folder, right)
    data = json.loads((folder / JUDGED_FILE).read_text())
    assert data == {
        "format": 1,
        "split": "validation",
        "examples": 10,
        "right": base64.b64encode(bytes([0b10110000, 0b01000000])).decode(),
    }
    found = read_judged(tmp_path, trial(0.4))
    assert found.right.tolist() == right.tolist()
    assert (found.examples, found.accuracy) == (10, 0.4)
    assert examples_of(tmp_path, [trial(0.4, "other"), trial(0.4)]) == 10


@settings(deadline=None)
@given(right=arrays(bool, st.integers(1, 200)))
def test_what_is_written_is_what_is_read(tmp_path_factory, right):
    run = tmp_path_factory.mktemp("run")
    (run / "trials" / "abc").mkdir(parents=True)
    write_judged(run / "trials" / "abc", right)
    found = read_judged(run, trial(int(right.sum()) / len(right)))
    assert np.array_equal(found.right, right)


def test_runs_of_before_have_none(tmp_path, folder):
    assert read_judged(tmp_path, trial(0.4)) is None
    assert examples_of(tmp_path, [trial(0.4)]) is None


def test_nothing_is_written_of_no_examples(folder):
    write_judged(folder, np.zeros(0, dtype=bool))
    assert not (folder / JUDGED_FILE).exists()


SOUND = {"format": 1, "split": "validation", "examples": 10, "right": "sEA="}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is no file of format 1"),
        ({"examples": 0}, "examples is no whole number from 1"),
        ({"examples": True}, "examples is no whole number from 1"),
        ({"examples": 10.0}, "examples is no whole number from 1"),
        ({"examples": MAX_EXAMPLES + 1}, "examples is no whole number from 1"),
        ({"examples": 17}, "right has 2 bytes, and 17 examples take another number"),
        ({"examples": 9}, "right has bits behind its last example"),
        ({"right": [1, 0]}, "right is no text"),
        ({"right": "sEA"}, "right is no base64"),
        ({"right": "ü==="}, "right is no base64"),
        ({"right": "8EA="}, "0.5000 of its examples are right, and the ledger says accuracy = 0.4"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_rule_and_remedy(tmp_path, folder, change, message):
    (folder / JUDGED_FILE).write_text(json.dumps({**SOUND, **change}))
    with pytest.raises(UsageError, match="remove it to go without") as told:
        read_judged(tmp_path, trial(0.4))
    assert message in str(told.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"format": NaN}', b"[" * 10_000])
def test_what_is_no_json_object_is_refused(tmp_path, folder, content):
    (folder / JUDGED_FILE).write_bytes(content)
    with pytest.raises(UsageError, match="remove it to go without"):
        read_judged(tmp_path, trial(0.4))


def test_a_large_file_is_not_read(tmp_path, folder):
    (folder / JUDGED_FILE).write_bytes(b" " * (3 * 2**20 + 1))
    with pytest.raises(UsageError):
        read_judged(tmp_path, trial(0.4))


def test_no_link_is_followed_out_of_the_run(tmp_path, folder):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / JUDGED_FILE).write_text(json.dumps(SOUND))
    folder.rmdir()
    folder.symlink_to(outside)
    with pytest.raises(GrowsearchError):
        read_judged(tmp_path, trial(0.4))


def test_a_trial_without_accuracy_has_no_such_file(tmp_path, folder):
    (folder / JUDGED_FILE).write_text(json.dumps(SOUND))
    bare = dataclasses.replace(trial(0.4), metrics={})
    assert examples_of(tmp_path, [bare]) is None
    with pytest.raises(UsageError, match="accuracy = None"):
        read_judged(tmp_path, bare)
