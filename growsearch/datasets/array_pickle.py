"""Pickles of NumPy arrays, read without running anything that they ask for.

A pickle names the functions that rebuild its objects. Here the three names that an array needs
lead to the small stand-ins below, and every other name is refused, so a hostile file can make
nothing but numbers, text, lists, dictionaries and arrays of numbers.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from growsearch.errors import UsageError

_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f4", "f8", "b1"}
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    AttributeError,
    TypeError,
    OverflowError,
    MemoryError,
)


class _NumberType:
    """Stands in for numpy.dtype: a number code such as "u1" and its byte order."""

    def __init__(self, code: bytes | str, _align: object = False, _copy: object = False) -> None:
        text = _text(code)
        if text not in _NUMBERS:
            raise pickle.UnpicklingError(f"arrays of {text!r} are not read")
        self.type: np.dtype[Any] = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, fields = _text(state[1]), state[2:5]
        if order not in "<>|=" or any(field is not None for field in fields):
            raise pickle.UnpicklingError("only plain number arrays are read")
        self.type = self.type.newbyteorder("=" if order == "|" else order)  # type: ignore[arg-type]


class _Array:
    """Stands in for an array that is being rebuilt; ``value`` is there after its state."""

    value: np.ndarray[Any, np.dtype[Any]]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, number, fortran, content = state
        if not isinstance(number, _NumberType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("only plain number arrays are read")
        flat = np.frombuffer(content, dtype=number.type)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    """Stand in for numpy's function of that name: the state that follows says everything."""
    return _Array()


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for codecs.encode, by which Python 3 writes bytes into old pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r} are not read")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _NumberType,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        stand_in = _STAND_INS.get((module_name, global_name))
        if stand_in is None:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which no array needs"
            )
        # A fresh wrapper: a pickle may set attributes on what it is given.
        return partial(stand_in)


def load_array_pickle(path: Path) -> dict[Any, Any]:
    """Return the dictionary in ``path``; text of Python 2 comes as bytes, arrays as arrays.

    Raises:
        UsageError: if the file is damaged, holds no dictionary or asks for anything but arrays.
    """
    try:
        with path.open("rb") as file:
            loaded = _ArrayUnpickler(file, encoding="bytes").load()
        if not isinstance(loaded, dict):
            raise pickle.UnpicklingError("it holds no dictionary")
        return {
            key: value.value if isinstance(value, _Array) else value
            for key, value in loaded.items()
        }
    except _DAMAGED as error:
        raise UsageError(
            f"{path}: damaged, or not the official file: {error or type(error).__name__}; "
            "unpack the official archive again"
        ) from error


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value
