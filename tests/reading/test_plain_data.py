from pathlib import Path

import pytest

from growsearch.reading import PlainValueError, check_finite, check_plain


def _nested(depth):
    data = 1
    for _ in range(depth):
        data = [data]
    return data


def _in_itself():
    data = {"a": {}}
    data["a"]["b"] = data
    return data


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        ({"a": [1, 2**63]}, ("a", 1), "beyond 2\\^63"),
        ({"a": {"b": 10**5000}}, ("a", "b"), "beyond"),
        ({"a": "x\x1b"}, ("a",), "control code"),
        ({"a": "\ud800"}, ("a",), "half a character"),
        ({"a": "\0"}, ("a",), "control code"),
        ({"a": Path("x\0y")}, ("a",), "control code"),
        ({"a": "x" * 5000}, ("a",), "5,000 characters"),
        ({"a": {1: 2}}, ("a",), "key 1 is no text"),
        ({"a": {None: 2}}, ("a",), "key None is no text"),
        ({"a": _nested(40)}, ("a", 0), "nested more than 32 deep"),
        (_in_itself(), ("a", "b"), "nested more than 32 deep"),
    ],
)
def test_what_no_study_can_hold_is_refused_at_its_place(data, place, words):
    with pytest.raises(PlainValueError, match=words) as caught:
        check_plain(data)
    assert caught.value.place == place


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_at_its_place(value):
    with pytest.raises(PlainValueError, match="is no finite number; write one") as caught:
        check_finite({"a": [0.5, {"b": value}]})
    assert caught.value.place == ("a", 1, "b")


def test_of_a_norm_infinity_is_a_name():
    check_finite({"norm": float("inf"), "tickets": {"norm": [2, float("inf")]}})
    with pytest.raises(PlainValueError):
        check_finite({"norm": float("-inf")})


def test_plain_data_and_objects_that_others_know_pass():
    check_plain({"a": [1, 0.5, True, None, "ü"], "b": ({"c": print},), "d": Path("x")})


def test_what_is_hidden_in_texts_may_be_left_to_who_shows_it():
    check_plain({"a": "\x1b[31m\u2028"}, hidden=True)
