import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.reading import parse_yaml, write_yaml


def read(text):
    return parse_yaml(text, "study.yaml").data


# The core schema of YAML 1.2.2, 10.3.2; the last column is what YAML 1.1 made of it.
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),  # text
        ("1e2", 100.0),  # text
        ("1E+2", 100.0),  # text
        ("010", 10),  # 8
        ("08", 8),  # text
        ("0o17", 15),  # text
        ("0x1F", 31),
        ("0b11", "0b11"),  # 3
        ("1:30", "1:30"),  # 90
        ("2:4", "2:4"),  # 124
        ("1_000", "1_000"),  # 1000
        ("yes", "yes"),  # true
        ("off", "off"),  # false
        ("true", True),
        ("FALSE", False),
        ("2024-01-01", "2024-01-01"),  # a date
        ("~", None),
        ("null", None),
        ("", None),
        ("+5", 5),
        (".5", 0.5),
        ("-.5e1", -5.0),
        ("5.", 5.0),
        ("'5'", "5"),
        ('"true"', "true"),
        ("=", "="),  # an error
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("! 5", "5"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("[a, 1, {b: c}]", ["a", 1, {"b": "c"}]),
    ],
)
def test_a_scalar_is_what_the_core_schema_of_yaml_1_2_says(written, value):
    found = read(f"key: {written}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_a_number_that_is_none_is_kept_for_who_knows_its_key():
    assert math.isnan(read("key: .nan")["key"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", ["study.yaml:3", "a stands twice", "line 1", "take one out"]),
        ("a:\n  b: 1\n  b: 2", ["study.yaml:3", "a.b stands twice", "line 2"]),
        ("a: {b: 1, 'b': 2}", ["study.yaml:1", "a.b stands twice"]),
        ("a: [x, {b: 1, b: 2}]", ["a.1.b stands twice"]),
        ("a: !!python/object/apply:os.system [x]", ["YAML", "python/object/apply", "take it out"]),
        ("!!python/name:os.system {a: 1}", ["tag", "take it out"]),
        ("a: !own 5", ["tag !own"]),
        ("a: !!set {x: null}", ["tag set"]),
        ("a: !!int x", ["!!int x is none"]),
        ("a: !!bool 1", ["!!bool 1 is none"]),
        ("a: 1e999", ["too large", "write a smaller one"]),
        ("a: -1e999", ["too large"]),
        ("a: 1e-999", ["0 would be read"]),
        ("a: " + "9" * 5000, ["5,000 digits"]),
        ("a: &x [*x]", ["*x holds itself"]),
        ("a: &x {b: {c: *x}}", ["*x holds itself"]),
        ("a: *x", ["*x has no &x"]),
        ("*x : 1", ["as a key"]),
        ("b: &x {c: 1}\na:\n  <<: *x", ["study.yaml:3", "merge key", "write the keys out"]),
        ("1: x", ["key 1 is no text", "quotes"]),
        ("true: x", ["key true is no text"]),
        ("~: x", ["no text"]),
        ("? [a]\n: x", ["no text but a list"]),
        ("a: 1\n---\nb: 2", ["study.yaml:2", "second document"]),
        ("%YAML 1.1\n---\na: 1", ["YAML 1.1", "take it out"]),
        ("a: [1, 2", ["not YAML", "line 1"]),
        ("a: 'x", ["not YAML"]),
        ("a:\n\t- x", ["not YAML", "line 2"]),
        ("a: \0", ["not YAML", "#x0000"]),
        ("a: \x1b[31m", ["not YAML", "#x001b"]),
        ("[" * 100_000, ["nested more than 32 deep"]),
        ("{a: " * 100_000, ["nested more than 32 deep"]),
        ("\n".join(" " * i + "a:" for i in range(500)), ["nested more than 32 deep"]),
        ("x" * (4 * 2**20 + 1), ["larger than 4 MiB"]),
    ],
)
def test_what_could_be_lost_or_built_is_refused_in_one_line_with_its_place(text, words):
    with pytest.raises(UsageError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("study.yaml:")
    for word in words:
        assert word in message
    assert message.isprintable()


def test_aliases_are_followed_as_long_as_they_stay_few():
    assert read("a: &x {b: 1}\nc: [*x, *x]") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(UsageError, match="aliases make more than 10,000 values"):
        read("\n".join(rows))


def test_aliases_make_nothing_deeper_than_could_be_written():
    rows = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))]
    with pytest.raises(UsageError, match="nested more than 32 deep"):
        read("\n".join(rows))


def test_every_value_has_the_line_it_stands_on():
    document = parse_yaml("a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n", "study.yaml")
    assert document.line(("a",)) == 1
    assert document.line(("b", 0)) == 3
    assert document.line(("b", 1, "d")) == 5
    # What is not written has the line of what it would stand in.
    assert document.line(("b", 1, "missing", "deeper")) == 4
    assert document.line(()) == 1


_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
_written = st.sampled_from(
    ["1e3", "010", "08", "0o7", "1:30", "yes", "~", "null", ".nan", "-.inf", "0x1", "+1", "5.", ""]
)
_numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
_scalars = st.none() | st.booleans() | _numbers | _texts | _written
_data = st.dictionaries(
    _texts | _written, st.recursive(_scalars, lambda x: st.lists(x, max_size=3), max_leaves=5)
)


@given(_data)
def test_what_is_written_is_read_back_to_the_bit(data):
    assert read(write_yaml(data)) == (data or None) or data == {} == read(write_yaml(data))


@given(_data)
def test_what_is_written_is_the_same_to_a_reader_of_yaml_1_1(data):
    assert yaml.safe_load(write_yaml(data)) == data


def test_equal_lists_are_written_out_and_no_alias_stands_for_them():
    shared = [1, 2]
    text = write_yaml({"a": shared, "b": shared})
    assert "&" not in text
    assert read(text) == {"a": [1, 2], "b": [1, 2]}
