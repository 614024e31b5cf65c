"""Gzipped idx files of bytes (LeCun's MNIST format)."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np

from growsearch.datasets.reading.boundary import reading, shown
from growsearch.datasets.reading.regular_file import open_regular
from growsearch.errors import UsageError

_UNSIGNED_BYTE = 8
# Five times the largest official file.
_MAX_BYTES = 2**28
_AT_ONCE = 2**20


def read_idx(path: Path, *, axes: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the array of unsigned bytes with ``axes`` axes in ``path``.

    The header is two zero bytes, the type, the number of axes, and each axis's size as a
    big-endian 32-bit integer.

    Raises:
        UsageError: for a file that is no gzip, has another header, is cut short or holds more than
            268 MB.
    """
    with reading(path, "damaged gzip file", "download it again"):
        content = _unpacked(path)
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]):
        raise UsageError(f"{shown(path)}: no idx file of bytes with {axes} axes; download it again")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    if len(content) != header + math.prod(shape):
        raise UsageError(
            f"{shown(path)}: {len(content):,} bytes after unpacking, expected "
            f"{header + math.prod(shape):,}; download it again"
        )
    # A copy, for torch warns of arrays that cannot be written to.
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()


def _unpacked(path: Path) -> bytes:
    """Return the content of a gzip file, whatever the file says of its size."""
    content = bytearray()
    with open_regular(path) as packed, gzip.GzipFile(fileobj=packed) as file:
        while piece := file.read(_AT_ONCE):
            content += piece
            if len(content) > _MAX_BYTES:
                raise UsageError(
                    f"{shown(path)}: more than {_MAX_BYTES:,} bytes after unpacking, which no "
                    "official file has; download it again"
                )
    return bytes(content)
