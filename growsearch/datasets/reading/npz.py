"""Arrays in a file of numpy.savez: their headers are judged before anything is allocated."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.memory import check_memory_for, memory_bytes
from growsearch.datasets.reading.regular_file import open_regular
from growsearch.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]

_SUFFIX = ".npy"
# Numbers, and text for what says in a word how they are meant.
_KINDS = "biufU"
_LONGEST_AXIS = 2**48
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(path: Path, wanted: Collection[str]) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the ``wanted`` arrays that are there, and the names of all others, which stay unread.

    Raises:
        UsageError: for Python objects, records, a header that promises another size than the file
            has, more than memory holds, or one name twice.
        Exception: whatever a damaged file makes zipfile or NumPy raise.
    """
    with open_regular(path, most_bytes=memory_bytes()) as file, zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(_SUFFIX): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise UsageError(
                f"{shown(path)} cannot be read: a name stands in it twice; write it anew"
            )
        found = {name: info for name, info in members.items() if name in wanted}
        sizes = [_checked_size(path, archive, name, info) for name, info in found.items()]
        # The content, and its float32 copies while it is split.
        check_memory_for(path, f"arrays of {sum(sizes):,} bytes", 2 * sum(sizes))
        arrays = {}
        for name, info in found.items():
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays, tuple(sorted(members.keys() - found.keys()))


def _checked_size(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> int:
    """Return how many bytes an array needs, which are those that are there."""
    with archive.open(info) as member:
        shape, dtype = _header(member)
        rest = info.file_size - member.tell()
    if dtype.hasobject or dtype.kind not in _KINDS:
        raise UsageError(
            f"{shown(path)} cannot be read: array {name} holds {dtype.name} values; save numbers"
        )
    if not all(0 <= side <= _LONGEST_AXIS for side in shape):
        raise UsageError(f"{shown(path)} cannot be read: array {name} has an impossible shape")
    size = math.prod(shape) * dtype.itemsize
    if size != rest:
        raise UsageError(
            f"{shown(path)} cannot be read: array {name} promises {size:,} bytes and has {rest:,}; "
            "write it with numpy.savez"
        )
    return size


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = _HEADERS[version](member)
    return shape, dtype
