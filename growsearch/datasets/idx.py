"""Gzipped idx files of bytes (LeCun's MNIST format)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from growsearch.errors import UsageError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, *, axes: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the array of unsigned bytes with ``axes`` axes in ``path``.

    The header is two zero bytes, the type, the number of axes, and each axis's size as a
    big-endian 32-bit integer.

    Raises:
        UsageError: for a file that is no gzip, has another header or is cut short.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip file ({error}); download it again") from error
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]):
        raise UsageError(f"{path}: no idx file of bytes with {axes} axes; download it again")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    if len(content) != header + math.prod(shape):
        raise UsageError(
            f"{path}: {len(content):,} bytes after unpacking, expected "
            f"{header + math.prod(shape):,}; download it again"
        )
    # A copy, for torch warns of arrays that cannot be written to.
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()
