"""Ledger file: which spoilt lines are a crash's, and which are somebody's mistake?"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.trial.ledger_file import read_ledger

WHOLE = [
    b'{"id": "ab"}',
    b'{"id": "a}b", "no": ["trial", {"at": "all"}]}',
    rb'{"id": "a\"}b", "no": "trial"}',
    rb'{"id": "a\\", "no": "trial}"}',
]


@pytest.mark.parametrize("line", WHOLE)
def test_a_whole_line_that_is_no_trial_is_a_mistake_that_is_named(
    line: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "trials.jsonl"
    file.write_bytes(line + b"\n" + b"{}\n")
    with pytest.raises(UsageError, match=r"trials\.jsonl:1: not a trial"):
        read_ledger(file)


@given(st.sampled_from(WHOLE), st.data())
def test_every_beginning_of_a_line_in_the_middle_is_what_a_crash_left(
    tmp_path_factory: pytest.TempPathFactory, line: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(line) - 1))
    file = tmp_path_factory.mktemp("ledger") / "trials.jsonl"
    file.write_bytes(line[:cut] + b"\n" + line[:1] + b"\n")
    found = read_ledger(file)
    assert found.trials == ()
    assert len(found.notes) == 2
    assert all("cut short by a crash" in note for note in found.notes)
