"""Typed code: classes and functions of a session (a notebook, a prompt), which are in no file.

They are known by their source where the session keeps it, as notebooks do, else by what Python has
compiled of it. `user_code` lends them to other processes and finds them by name.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SESSION = "__main__"
# Begins what stands for source that is not there.
COMPILED = "compiled\0"
COMPILED_CODE = (
    "compiled code, as this session keeps no source (another version of Python compiles it "
    "otherwise)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedCode:
    """A class or function of this session, or of the one that sent it here.

    Attributes:
        name: "__main__:NAME", without a hash.
        thing: the class or function.
        digest: the hash of its code, taken where it was typed.
        of_source: whether that is of source; else it is of compiled code.
    """

    name: str
    thing: Any
    digest: str
    of_source: bool

    @property
    def told(self) -> str:
        """What a person has to know of a run with it."""
        what = "source" if self.of_source else COMPILED_CODE
        return (
            f"{self.name} was typed into this session: the run knows it by the hash {self.digest} "
            f"of its {what}, and goes on where the same is typed again; the command line cannot "
            f"build it, {remedy(self.name)}"
        )


def remedy(name: str) -> str:
    """Return what lets other processes find typed code."""
    attribute = name.partition("@")[0].partition(":")[2]
    return (
        "for which it has to be in a file, such as my_model.py (in a notebook: %%writefile "
        f"my_model.py), and be searched as my_model:{attribute}"
    )


def elsewhere(name: str) -> str:
    """Return why typed code is not found here, and what to do."""
    plain = name[:80].partition("@")[0]
    plain = plain if plain.isprintable() else repr(plain)
    return (
        f"{plain} was typed into a session and is in no file, so that it cannot be built here: in "
        "Python, type the same again and hand it to Study, whose run, load and export know it "
        f"then; the command line cannot, {remedy(plain)}"
    )


def in_no_file(module: str) -> bool:
    """Tell whether a module is a session: the main one, and made from no file."""
    if module != SESSION:
        return False
    # A program from standard input says "<stdin>".
    return str(getattr(sys.modules.get(SESSION), "__file__", None) or "<").startswith("<")


def is_typed(name: str) -> bool:
    """Tell whether a name is that of typed code."""
    return name.startswith(f"{SESSION}:")


def typed_names(value: Any) -> Iterator[str]:
    """Yield the names of typed code, without hashes, in a study's plain data."""
    if isinstance(value, str) and is_typed(value):
        yield value.partition("@")[0]
    elif isinstance(value, dict):
        for each in value.values():
            yield from typed_names(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from typed_names(each)


def typed_text(thing: type | types.FunctionType) -> str:
    """Return the source of a typed class or function, else what was compiled, as text.

    Added are the defaults of arguments, which a session computes at another time than a module, and
    methods that were put into a class afterwards.
    """
    if isinstance(thing, types.FunctionType):
        return (_function_source(thing) or COMPILED + _compiled(thing.__code__)) + _held(thing)
    inside: list[tuple[str, types.FunctionType]] = []
    late = ""
    for name, member in sorted(vars(thing).items()):
        for function in _functions(member):
            if function.__qualname__.startswith(f"{thing.__qualname__}."):
                inside.append((name, function))
            elif in_no_file(function.__module__):
                late += f"\0{name}\0{typed_text(function)}"
    source = _class_source(thing, [function for _, function in inside])
    late += "".join(map(_held, (function for _, function in inside)))
    if source is not None:
        return source + late
    methods = "".join(f"\0{name}\0{_compiled(function.__code__)}" for name, function in inside)
    values = "".join(
        f"\0{name}\0{_constant(value)}"
        for name, value in sorted(vars(thing).items())
        # The others tell where and when a class was made.
        if not _functions(value) and not name.startswith("__")
    )
    # Without methods there is nothing but names and values.
    return f"{COMPILED if methods else ''}{thing.__qualname__}{methods}{values}{late}"


def _functions(member: Any) -> list[types.FunctionType]:
    """Return the functions that a class's member is made of."""
    parts = [member.fget, member.fset, member.fdel] if isinstance(member, property) else [member]
    found = [getattr(part, "__func__", part) for part in parts]
    found = [inspect.unwrap(part) if callable(part) else part for part in found]
    return [part for part in found if isinstance(part, types.FunctionType)]


def _held(function: types.FunctionType) -> str:
    """Return what a function has beside its code: defaults, and values that it closes over."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    held = (function.__defaults__, function.__kwdefaults__, cells)
    return f"\0{_constant(held)}" if any(held) else ""


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _lines_of(function: types.FunctionType) -> list[str]:
    """Return the lines of the cell that a function was typed in, if the session has kept them.

    A file of that name is not read: it may have changed since.
    """
    entry = linecache.cache.get(function.__code__.co_filename)
    return list(entry[2]) if entry is not None and len(entry) > 1 and entry[1] is None else []


def _function_source(function: types.FunctionType) -> str | None:
    lines = _lines_of(function)
    first = function.__code__.co_firstlineno
    if not 1 <= first <= len(lines):
        return None
    return "".join(inspect.getblock(lines[first - 1 :]))


def _class_source(thing: type, methods: list[types.FunctionType]) -> str | None:
    """Return the text of the class statement around ``methods``."""
    for method in methods:
        lines = _lines_of(method)
        try:
            tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError):
            continue
        for node in _class_nodes(tree, thing.__qualname__.split(".")):
            last = node.end_lineno or node.lineno
            if node.lineno <= method.__code__.co_firstlineno <= last:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return "".join(lines[first - 1 : last])
    return None


def _class_nodes(tree: ast.AST, path: list[str]) -> Iterator[ast.ClassDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            if node.name == path[0] and len(path) == 1:
                yield node
            elif node.name == path[0]:
                yield from _class_nodes(node, path[1:])
        else:
            yield from _class_nodes(node, path)


def _compiled(code: types.CodeType) -> str:
    """Return what a code object does, without where it was typed, as text."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    told = (code.co_qualname, code.co_flags, code.co_argcount, code.co_kwonlyargcount, names)
    constants = ",".join(map(_constant, code.co_consts))
    handlers = code.co_exceptiontable.hex()
    return f"{told}{code.co_code.hex()}{handlers}({constants})"


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _compiled(value)
    if isinstance(value, tuple | list):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset | set):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_constant(k)}:{_constant(v)}' for k, v in value.items())}}}"
    if value is None or value is Ellipsis or isinstance(value, bool | int | float | complex | str):
        return repr(value)
    return repr(value) if isinstance(value, bytes) else type(value).__qualname__


def digest_of(text: str) -> str:
    """Return a short hash of a text, as names carry it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
