"""Names of patterns of active weights as people write them: "2:4", "4:8-t", "16x16"."""

from __future__ import annotations

import math
import re

import torch

from growsearch.errors import UsageError
from growsearch.sparsity.blocks import Blocks
from growsearch.sparsity.n_of_m import NOfM

# The patterns that leave layers a choice of units to keep; see `Unstructured` for none at all.
StructuredPattern = NOfM | Blocks

_N_OF_M = re.compile(r"(\d+):(\d+)(-t)?")
_BLOCKS = re.compile(r"(\d+)x(\d+)")
_RULE = 'write "2:4" (N:M), "4:8-t" (transposable N:M) or "16x16" (blocks), in quotes'
# YAML 1.1 reads an unquoted 2:4 as a number to the base of 60.
_YAML_BASE = 60


def parse_pattern(name: str | int) -> StructuredPattern:
    """Return the pattern that a person has named.

    Raises:
        UsageError: for any other text; the message shows the three forms.

    Example:
        >>> from growsearch.sparsity import parse_pattern
        >>> parse_pattern("2:4"), parse_pattern("16x16")
        (NOfM(n=2, m=4, transposable=False), Blocks(rows=16, columns=16))
    """
    text = str(name).strip().lower()
    if text.isdigit() and int(text) > _YAML_BASE:
        text = "{}:{}".format(*divmod(int(text), _YAML_BASE))
    if match := _N_OF_M.fullmatch(text):
        n, m = int(match[1]), int(match[2])
        if n >= m:
            raise UsageError(f"pattern: {text} keeps every weight; {_RULE}")
        return NOfM(n, m, transposable=match[3] is not None)
    if match := _BLOCKS.fullmatch(text):
        return Blocks(int(match[1]), int(match[2]))
    raise UsageError(f"pattern: {name!r} is no pattern; {_RULE}")


def pattern_name(pattern: StructuredPattern) -> str:
    """Return the text that `parse_pattern` reads.

    Example:
        >>> from growsearch.sparsity import NOfM, pattern_name
        >>> pattern_name(NOfM(4, 8, transposable=True))
        '4:8-t'
    """
    if isinstance(pattern, Blocks):
        return f"{pattern.rows}x{pattern.columns}"
    return f"{pattern.n}:{pattern.m}" + ("-t" if pattern.transposable else "")


def width_multiple(pattern: StructuredPattern) -> int:
    """Return what channels must be a multiple of, so that every layer's matrix has whole units."""
    if isinstance(pattern, Blocks):
        return math.lcm(pattern.rows, pattern.columns)
    return pattern.m


def fits(pattern: StructuredPattern, shape: tuple[int, ...]) -> bool:
    """Tell whether the matrix of a weight (out, in, ...) falls into whole units of the pattern."""
    try:
        pattern.pool(torch.empty(shape, device="meta"))
    except UsageError:
        return False
    return True
