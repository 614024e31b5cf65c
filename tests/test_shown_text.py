import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.shown_text import shown, shown_data, shown_lines, table_cell


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ü 漢字 😀 µs", "plain ü 漢字 😀 µs"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\rc\td", r"a\x0ab\x0dc\x09d"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("\u200b\ufeff", r"\u200b\ufeff"),
        ("क्‍ष", "क्‍ष"),  # a joiner that scripts need
    ],
)
def test_what_cannot_be_seen_is_written_out(text, seen):
    assert shown(text) == seen


@given(st.text())
def test_no_control_code_and_no_half_character_is_left(text):
    seen = shown(text)
    assert not [c for c in seen if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert shown(seen) == seen
    seen.encode()


@given(st.text())
def test_lines_keep_their_breaks_and_nothing_else_hidden(text):
    kept = [c for c in shown_lines(text) if unicodedata.category(c) == "Cc"]
    assert set(kept) <= {"\n", "\t"}
    assert kept == [c for c in text if c in "\n\t"]


def test_data_is_the_same_but_for_what_is_hidden_in_its_texts():
    data = {"a\x1b": [1, 0.5, None, True, "x\x07", {"b": ("\u202e",)}]}
    assert shown_data(data) == {r"a\x1b": [1, 0.5, None, True, r"x\x07", {"b": [r"\u202e"]}]}


# OWASP's list of what a spreadsheet may run, and its full-width twins.
@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A1", "  =1"],
)
def test_a_text_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text):
    assert str(table_cell(text)).startswith("'")


@pytest.mark.parametrize("value", [-1, -0.5, 1e-9, None, True, "", "a=1", "10 %", "a-b", "{}"])
def test_numbers_and_other_texts_stay_what_they_are(value):
    assert table_cell(value) == value


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_row_stays_a_row_whatever_its_cells_hold(cells):
    buffer = io.StringIO()
    csv.writer(buffer).writerow(map(table_cell, cells))
    (row,) = csv.reader(io.StringIO(buffer.getvalue()))
    assert len(row) == len(cells)
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
