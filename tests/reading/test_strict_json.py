import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import GrowsearchError, UsageError
from growsearch.reading import check_json, parse_json, read_json


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "not a finite number"),
        ("[-Infinity]", "not a finite number"),
        ("1e999", "too large"),
        ('{"a": -1e400}', "too large"),
        ("9" * 41, "41 digits"),
        ("9" * 5000, "5000 digits"),
        ("1" + "0" * 400 + ".5", "too large"),
        ("[" * 100_000, "nested"),
        ("[" * 40 + "]" * 40, "nested more than 32 deep"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested more than 32 deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested"),
        (r'"\ud800"', "half a character"),
        (r'{"\udfff": 1}', "half a character"),
        ("{'a': 1}", "Expecting"),
        ("", "Expecting"),
        (b"\xff", "decode"),
    ],
)
def test_what_no_later_step_could_bear_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_what_looks_suspicious_and_is_sound_is_read_as_ever():
    text = r'["\ud83d\ude00", 1e100, 12345678901234567890, 0.00012345678901234567, "NaN"]'
    assert parse_json(text) == json.loads(text)


_scalars = st.none() | st.booleans() | st.integers(-(10**38), 10**38)
_scalars |= st.floats(allow_nan=False, allow_infinity=False)
_scalars |= st.text(st.characters(exclude_categories=["Cs"]))
_data = st.recursive(_scalars, lambda x: st.lists(x) | st.dictionaries(st.text("ab"), x))


@given(_data)
def test_sound_data_is_what_the_standard_library_reads(data):
    assert parse_json(json.dumps(data)) == data
    assert parse_json(json.dumps(data, ensure_ascii=False).encode()) == data


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "loop", "large", "not text", "long"])
def test_whatever_is_wrong_with_a_file_is_told_with_its_name_and_the_remedy(tmp_path, kind):
    import os

    path = tmp_path / "data.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "large":
        path.write_text("1" * 101)
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe")
    elif kind == "long":
        path = tmp_path / ("x" * 300)
    with pytest.raises(GrowsearchError) as caught:
        read_json(path, "make it again", most_bytes=100)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith("; make it again")
    assert "\n" not in message
    assert isinstance(caught.value, UsageError)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(UsageError, match=r"data\.json cannot be read \(the key 'b' stands twice\)"):
        read_json(path, "make it again")


@pytest.mark.parametrize("data", [1e999, {"a": [10**40]}, {"a": "\ud800"}, {"\udfff": 1}])
def test_what_another_decoder_has_read_can_be_held_against_the_same_rules(data):
    with pytest.raises(ValueError, match=r"too large|half a character"):
        check_json(data)
