"""Pickle of NumPy arrays, read without running anything that it asks for.

A pickle is a program for a small stack machine. Here is one that knows the instructions which
dictionaries of numbers, text and arrays need. The three functions by which NumPy rebuilds an array
lead to the small stand-ins below; every other name and every other instruction is refused, so a
hostile file can make nothing but numbers, text, lists, dictionaries and arrays of numbers.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from growsearch.datasets.reading.boundary import reading
from growsearch.datasets.reading.regular_file import read_regular

_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f4", "f8", "b1"}
# What a dictionary may be looked up by: nothing that takes long to hash.
_KEYS = (bytes, str, int)


class _RefusedError(Exception):
    """An instruction, a name or a value that no dictionary of arrays needs."""


class _NumberType:
    """Stands in for numpy.dtype: a number code such as "u1" and its byte order."""

    def __init__(self, code: bytes | str, _align: object = False, _copy: object = False) -> None:
        text = _text(code)
        if text not in _NUMBERS:
            raise _RefusedError(f"arrays of {text!r} are not read")
        self.type: np.dtype[Any] = np.dtype(text)

    def build(self, state: tuple[Any, ...]) -> None:
        order, fields = _text(state[1]), state[2:5]
        if order not in ("<", ">", "|", "=") or any(field is not None for field in fields):
            raise _RefusedError("only plain number arrays are read")
        self.type = self.type.newbyteorder("=" if order == "|" else order)  # type: ignore[arg-type]


class _Array:
    """Stands in for an array that is being rebuilt; ``value`` is there after its state."""

    value: np.ndarray[Any, np.dtype[Any]]

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, number, fortran, content = state
        if not isinstance(number, _NumberType) or not isinstance(content, bytes):
            raise _RefusedError("only plain number arrays are read")
        flat = np.frombuffer(content, dtype=number.type)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    """Stand in for numpy's function of that name: the state that follows says everything."""
    return _Array()


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for codecs.encode, by which Python 3 writes bytes into old pickles."""
    if encoding != "latin1":
        raise _RefusedError(f"bytes in {encoding!r} are not read")
    return text.encode("latin1")


@dataclass(frozen=True, slots=True)
class _StandIn:
    """What a name in a pickle leads to; it can be called and nothing else."""

    make: Callable[..., Any]


_STAND_INS: dict[tuple[str, str], _StandIn] = {
    ("numpy.core.multiarray", "_reconstruct"): _StandIn(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _StandIn(_reconstruct),
    ("numpy", "ndarray"): _StandIn(_reconstruct),
    ("numpy", "dtype"): _StandIn(_NumberType),
    ("_codecs", "encode"): _StandIn(_latin1),
}


class _Machine:
    """The stack machine of pickle, as far as arrays need it: values, marks and a memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> list[Any]:
        """Take the last ``count`` values off the stack."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise _RefusedError("it takes what is not there")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def take_marked(self) -> list[Any]:
        """Take what lies above the last mark."""
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def name(self, module_name: str, global_name: str) -> None:
        stand_in = _STAND_INS.get((module_name, global_name))
        if stand_in is None:
            raise _RefusedError(f"it asks for {module_name}.{global_name}, which no array needs")
        self.push(stand_in)

    def call(self) -> None:
        function, arguments = self.take(2)
        if not isinstance(function, _StandIn) or not isinstance(arguments, tuple):
            raise _RefusedError("it calls what is no function")
        self.push(function.make(*arguments))

    def build(self) -> None:
        (state,) = self.take(1)
        if not isinstance(self.stack[-1], (_Array, _NumberType)) or not isinstance(state, tuple):
            raise _RefusedError("it gives a state to what has none")
        self.stack[-1].build(state)

    def append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _RefusedError("it appends to what is no list")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or len(values) % 2:
            raise _RefusedError("it sets items of what is no dictionary")
        self.stack[-1].update(_pairs(values))


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if any(type(key) not in _KEYS for key in keys):
        raise _RefusedError("a key is neither text nor a number")
    return dict(zip(keys, values[1::2], strict=True))


def _literal(machine: _Machine, value: Any) -> None:
    machine.push(value)


def _old_text(machine: _Machine, value: str) -> None:
    # Text of Python 2 is bytes.
    machine.push(value.encode("latin1"))


def _recall(machine: _Machine, place: int) -> None:
    machine.push(machine.memo[int(place)])


def _keep(machine: _Machine, place: int) -> None:
    machine.remember(int(place))


def _ignore(_machine: _Machine, _value: Any) -> None:
    """Do nothing: versions and frames say nothing of the content."""


_Instruction = Callable[[_Machine, Any], None]
_WITH_ARGUMENT: dict[_Instruction, tuple[str, ...]] = {
    _ignore: ("PROTO", "FRAME"),
    _literal: (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ),
    _old_text: ("STRING", "BINSTRING", "SHORT_BINSTRING"),
    _recall: ("GET", "BINGET", "LONG_BINGET"),
    _keep: ("PUT", "BINPUT", "LONG_BINPUT"),
    lambda machine, value: machine.name(*value.split(" ", 1)): ("GLOBAL",),
}
_WITHOUT: dict[str, Callable[[_Machine], None]] = {
    "NONE": lambda machine: machine.push(None),
    "NEWTRUE": lambda machine: machine.push(True),
    "NEWFALSE": lambda machine: machine.push(False),
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "EMPTY_LIST": lambda machine: machine.push([]),
    "EMPTY_DICT": lambda machine: machine.push({}),
    "EMPTY_TUPLE": lambda machine: machine.push(()),
    "LIST": lambda machine: machine.push(machine.take_marked()),
    "DICT": lambda machine: machine.push(_pairs(machine.take_marked())),
    "TUPLE": lambda machine: machine.push(tuple(machine.take_marked())),
    "TUPLE1": lambda machine: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine: machine.push(tuple(machine.take(3))),
    "APPEND": lambda machine: machine.append(machine.take(1)),
    "APPENDS": lambda machine: machine.append(machine.take_marked()),
    "SETITEM": lambda machine: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine: machine.set_items(machine.take_marked()),
    "MEMOIZE": lambda machine: machine.remember(len(machine.memo)),
    "STACK_GLOBAL": lambda machine: machine.name(*machine.take(2)),
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
_INSTRUCTIONS: dict[str, _Instruction] = {
    name: run for run, names in _WITH_ARGUMENT.items() for name in names
}


def load_array_pickle(path: Path) -> dict[Any, Any]:
    """Return the dictionary in ``path``; text of Python 2 comes as bytes, arrays as arrays.

    Raises:
        UsageError: if the file is damaged, holds no dictionary or asks for anything but arrays.
    """
    with reading(path, "damaged, or not the official file", "unpack the official archive again"):
        loaded = _run(read_regular(path))
        if not isinstance(loaded, dict):
            raise _RefusedError("it holds no dictionary")
        return {
            key: value.value if isinstance(value, _Array) else value
            for key, value in loaded.items()
        }


def _run(content: bytes) -> Any:
    """Return what the pickle leaves on the stack."""
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "STOP":
            break
        if opcode.name in _WITHOUT:
            _WITHOUT[opcode.name](machine)
        elif opcode.name in _INSTRUCTIONS:
            _INSTRUCTIONS[opcode.name](machine, argument)
        else:
            raise _RefusedError(f"it uses the instruction {opcode.name}, which no array needs")
    (left,) = machine.take(1)
    return left


def _text(value: bytes | str) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value
