import pytest

from growsearch.errors import UsageError
from growsearch.sparsity import Blocks, NOfM, parse_pattern, pattern_name
from growsearch.sparsity.pattern_names import fits, width_multiple


@pytest.mark.parametrize(
    ("text", "pattern", "multiple"),
    [
        ("2:4", NOfM(2, 4), 4),
        ("4:8-t", NOfM(4, 8, transposable=True), 8),
        ("16x4", Blocks(16, 4), 16),
        ("4x6", Blocks(4, 6), 12),
    ],
)
def test_a_pattern_is_read_and_written_back(text, pattern, multiple):
    assert parse_pattern(text) == pattern
    assert pattern_name(pattern) == text
    assert width_multiple(pattern) == multiple


def test_the_number_that_yaml_makes_of_an_unquoted_pattern_is_understood():
    assert parse_pattern(2 * 60 + 4) == NOfM(2, 4)
    assert parse_pattern(1 * 60 + 16) == NOfM(1, 16)


@pytest.mark.parametrize("text", ["2of4", "2:4t", "x4", "", "4:4", "5:4", 7, "0:4", "0x4"])
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(UsageError):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("2:4", (3, 4, 3, 3), True),
        ("2:4", (4, 1, 3, 3), False),
        ("1:4-t", (6, 8), False),
        ("1:4-t", (8, 8), True),
        ("4x3", (8, 1, 3, 3), True),
        ("4x3", (6, 9), False),
    ],
)
def test_a_layer_fits_when_its_matrix_falls_into_whole_units(text, shape, expected):
    assert fits(parse_pattern(text), shape) is expected
