"""Plain data: what is read is what was written, and a mistake is told with its place and value."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from cost_models.plain_data import Count, MistakeError, Number, Share, from_plain, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    share: Share = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    size: Count
    score: Number = 0.0
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, Number] = field(default_factory=dict)


def test_numbers_keep_their_type():
    data = {"size": 3, "score": 2, "parts": ({"name": "a", "share": 1},), "by_name": {"x": 0.5}}
    assert repr(to_plain(Whole, from_plain(Whole, data))) == repr(data)


def test_a_whole_number_may_be_written_with_a_point():
    assert repr(from_plain(Whole, {"size": 3.0}).size) == "3"


def test_a_key_that_is_not_known_is_left_alone():
    assert from_plain(Whole, {"size": 1, "later": [1]}) == Whole(size=1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "size is missing"),
        ([], "is not an object"),
        ({"size": "3"}, "size = '3' is not a whole number"),
        ({"size": True}, "size = True is not a whole number"),
        ({"size": 1.5}, "size = 1.5 is not a whole number"),
        ({"size": float("inf")}, "size = inf is not a whole number"),
        ({"size": 1, "score": "1"}, "score = '1' is not a finite number"),
        ({"size": 1, "score": float("nan")}, "score = nan is not a finite number"),
        ({"size": 1, "by_name": {"x": False}}, "by_name.x = False is not a finite number"),
        ({"size": 1, "by_name": [1]}, "by_name is not an object"),
        ({"size": 1, "parts": "ab"}, "parts is not a list"),
        ({"size": 1, "parts": [{"name": "a"}, 3]}, "parts[1] is not an object"),
        ({"size": 1, "parts": [{"name": 7}]}, "parts[0].name = 7 is not text"),
        ({"size": 1, "parts": [{}]}, "parts[0].name is missing"),
        ({"size": 1, "parts": [{"name": "a", "share": 1.5}]}, "share = 1.5 is not a share in [0"),
        ({"size": 1, "parts": [{"name": "a", "share": -1}]}, "share = -1 is not a share in [0"),
        ({"size": "9" * 100}, f"size = '{'9' * 56}... is not a whole number"),
    ],
)
def test_the_first_mistake_is_told_with_its_place_and_its_value(data, message):
    with pytest.raises(MistakeError) as caught:
        from_plain(Whole, data)
    assert message in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
