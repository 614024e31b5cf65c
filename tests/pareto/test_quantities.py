"""Values with units, as people write and read them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.pareto import format_quantity, is_share, parse_quantity, parse_share

# A busy machine is no failure.
PATIENT = settings(deadline=None)


@pytest.mark.parametrize(
    ("text", "objective", "value"),
    [
        ("0.5 ms", "latency[cpu]", 0.0005),
        ("310us", "latency[cpu]", 0.00031),
        ("310 µs", "latency[cpu]", 0.00031),
        ("310 \u03bcs", "latency[cpu]", 0.00031),
        ("7 ns", "latency[wafer-cs2]", 7e-9),
        ("2s", "duration_s", 2.0),
        ("0", "latency[cpu]", 0.0),
        ("200k", "macs", 200_000),
        ("1.5 M", "parameters", 1_500_000),
        ("2G", "training_macs", 2e9),
        ("12_000", "parameters", 12_000),
        ("1e6", "macs", 1e6),
        ("95%", "accuracy", 0.95),
        ("0.95", "test_accuracy", 0.95),
        ("3 mJ", "energy[wafer-cs2]", 0.003),
        ("-1.5", "score", -1.5),
        (0.0005, "latency[cpu]", 0.0005),
        (200_000, "macs", 200_000),
    ],
)
def test_a_value_is_read_in_its_base_unit(text, objective, value):
    assert parse_quantity(text, objective) == value


@pytest.mark.parametrize(
    ("text", "objective", "words"),
    [
        ("0.5", "latency[cpu]", "add a unit; valid units: s, ms, us"),
        ("0.5 min", "latency[cpu]", "unknown unit 'min'; valid units: s, ms, us"),
        ("200 m", "macs", "unknown unit 'm'; valid units: k, K, M, G, T"),
        ("10%", "macs", "unknown unit '%'"),
        ("200,000", "macs", "unknown unit|not a number"),
        ("fast", "latency[cpu]", "not a number with a unit"),
        ("", "macs", "not a number with a unit"),
        ("95", "accuracy", r"a share between 0 and 1; write 95% or 0\.95$"),
        ("0.5", "energy[x]", "add a unit; valid units: J, mJ"),
        ("200%", "accuracy", "a share between 0 and 1"),
        ("-1 ms", "latency[cpu]", "not below 0"),
        (math.inf, "macs", "finite"),
        (math.nan, "macs", "finite"),
        ("1e999", "macs", "finite"),
        (True, "macs", "not a count"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_valid_units(text, objective, words):
    with pytest.raises(UsageError, match=words):
        parse_quantity(text, objective)


@pytest.mark.parametrize(
    ("value", "objective", "text"),
    [
        (0.00031, "latency[cpu]", "310 µs"),
        (0.0012, "latency[cpu]", "1.20 ms"),
        (0.0009996, "latency[cpu]", "1.00 ms"),
        (1e-7, "latency[wafer-cs2]", "100 ns"),
        (2e-10, "latency[wafer-cs2]", "0.200 ns"),
        (5000.0, "duration_s", "5,000 s"),
        (0.0, "latency[cpu]", "0 s"),
        (1234, "parameters", "1,234"),
        (123_456, "macs", "123 k"),
        (999_999, "macs", "1.00 M"),
        (1e12, "macs", "1.00 T"),
        (1e10, "training_macs", "10.0 G"),
        (0.9767, "accuracy", "97.67 %"),
        (1.23456, "score", "1.235"),
    ],
)
def test_a_value_is_shown_with_three_digits_and_a_unit(value, objective, text):
    assert format_quantity(value, objective) == text


@PATIENT
@given(
    st.floats(1e-12, 1e12),
    st.sampled_from(["latency[cpu]", "energy[x]"]),
)
def test_what_is_shown_can_be_written_again_to_three_digits(value, objective):
    shown = format_quantity(value, objective).replace(",", "")
    assert parse_quantity(shown, objective) == pytest.approx(value, rel=0.006)


@PATIENT
@given(st.integers(0, 10**12))
def test_a_count_that_is_shown_can_be_written_again_to_three_digits(value):
    shown = format_quantity(value, "macs").replace(",", "")
    assert parse_quantity(shown, "macs") == pytest.approx(value, rel=0.006)


def test_a_share_is_a_percentage_or_a_fraction():
    assert parse_share("10%", "budget") == 0.1
    assert parse_share("0.36", "budget") == 0.36
    assert parse_share(1, "budget") == 1.0
    for wrong in ("110%", 10, "-5%", True):
        with pytest.raises(UsageError, match="budget"):
            parse_share(wrong, "budget")


def test_only_text_with_a_percent_sign_is_a_share_for_sure():
    assert [is_share(v) for v in ("10 %", "10k", 0.1)] == [True, False, False]
