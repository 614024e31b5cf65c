"""A person's own code by name, "module:attribute@hash": how is it found and known again?

What was typed into a session is named "__main__:attribute@hash", and is found where it was typed
and where it was sent from there (decision 0034).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from search_spaces.errors import OwnCodeError, SearchSpaceError
from search_spaces.typed_code import (
    COMPILED,
    SESSION,
    TypedCode,
    digest_of,
    elsewhere,
    in_no_file,
    typed_text,
)

_OURS = ("growsearch", "search_spaces", "cost_models")
_LIBRARIES = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_EXAMPLE = "write it as module:attribute, such as my_model:Net"


def is_own(name: str) -> bool:
    """Tell whether ``name`` is that of own code, and not one of a registry."""
    return ":" in name


def add_code_folder(folder: Path) -> None:
    """Let modules be found in ``folder``, after all others, so that it shadows no library."""
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)
        importlib.invalidate_caches()


def reference_to(thing: Any) -> tuple[str, Path | None]:
    """Return the name of a class or function, and the folder of the script that it stands in.

    The folder is None where its module was imported, and so is found again. The script that runs
    is imported a second time under its file's name, as worker processes do. What was typed into a
    session is found by its name from now on, in this process.

    Raises:
        SearchSpaceError: if nobody else could import it: it was made inside a function.
    """
    name, module = getattr(thing, "__qualname__", None), getattr(thing, "__module__", None)
    if name is None or module is None:
        raise SearchSpaceError(
            f"{type(thing).__name__} object: give the class or the function that makes it, "
            "so that every trial starts from fresh weights"
        )
    if "<" in name:
        raise SearchSpaceError(f"{name}: workers cannot import it; move it to a module's top level")
    if module != "__main__":
        return f"{module}:{name}", None
    if in_no_file(module):
        lend([_typed(f"{SESSION}:{name}", thing)])
        return f"{SESSION}:{name}", None
    file = Path(str(sys.modules[SESSION].__file__))
    return f"{file.stem}:{name}", file.resolve().parent


def typed_code(names: Iterable[str]) -> tuple[TypedCode, ...]:
    """Return the typed code of these names, to be lent to workers of this process.

    Raises:
        OwnCodeError: if it is not there, or not what it was when it was named.
    """
    found = []
    for name in dict.fromkeys(names):
        known = _TYPED.get(name)
        if known is None:
            raise OwnCodeError(elsewhere(name))
        if in_no_file(SESSION) and _typed(name, known.thing).digest != known.digest:
            raise OwnCodeError(
                f"{name}: what it is made of has changed since the study was made (another value "
                "or function of a name in its code); make the study again"
            )
        found.append(known)
    return tuple(found)


def lend(codes: Iterable[TypedCode]) -> None:
    """Let typed code be found by its name in this process: a worker's, or where it was typed."""
    for code in codes:
        _TYPED[code.name] = code
        _FINGERPRINTS[code.name] = (code.thing, code.digest)


def _typed(name: str, thing: Any) -> TypedCode:
    text = _text_of(thing)
    return TypedCode(name=name, thing=thing, digest=digest_of(text), of_source=COMPILED not in text)


_TYPED: dict[str, TypedCode] = {}


def pinned(name: str) -> str:
    """Return "module:attribute@hash" of the code as it is now.

    Raises:
        SearchSpaceError: if it is not found, or ``name`` has the hash of other code.
    """
    plain = name.partition("@")[0]
    return f"{plain}@{_known(plain, find(name))}"


def find(name: str) -> Any:
    """Import what ``name`` says; a hash in it must be that of the code which is found.

    A name out of a file is first checked; see `code_origin`.

    Raises:
        OwnCodeError: for a name of another form, what is not there, or code that has changed.
    """
    plain, _, wanted = name.partition("@")
    found = _imported(plain)
    if wanted and _known(plain, found) != wanted:
        raise OwnCodeError(
            f"{plain}: its code is not what it was ({wanted} then, {_known(plain, found)} now); "
            "restore it, or start anew with --fresh"
        )
    return found


# What was imported stays what it is, whatever becomes of its file meanwhile.
_FINGERPRINTS: dict[str, tuple[Any, str]] = {}


def was_found(name: str) -> bool:
    """Tell whether this process has found the code of ``name`` before, with the hash in it."""
    plain, _, wanted = name.partition("@")
    return plain in _FINGERPRINTS and _FINGERPRINTS[plain][1] == wanted


def _known(plain: str, found: Any) -> str:
    before = _FINGERPRINTS.get(plain)
    if before is None or before[0] is not found:
        before = _FINGERPRINTS[plain] = (found, fingerprint(found))
    return before[1]


def _imported(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if module_name == SESSION:
        if name not in _TYPED:
            raise OwnCodeError(elsewhere(name))
        return _TYPED[name].thing
    if not all(part.isidentifier() for part in (module_name + "." + attribute).split(".")):
        raise OwnCodeError(f"{name!r} is no name of own code; {_EXAMPLE}")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        where = "" if error.name == module_name.partition(".")[0] else f" ({error})"
        raise OwnCodeError(
            f"{name}: no module {module_name}{where}; put {module_name.replace('.', '/')}.py "
            "beside the study, or name its folder (code_dir in a study, --code on the command line)"
        ) from error
    except Exception as error:
        raise OwnCodeError(
            f"{name}: importing {module_name} fails: {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            where = getattr(sys.modules[module_name], "__file__", None) or "it is built in"
            raise OwnCodeError(f"{name}: {module_name} has no {part} ({where})")
        found = getattr(found, part)
    return found


def fingerprint(thing: Any) -> str:
    """Return 12 hexadecimal digits of the source that ``thing`` is made of.

    It covers the class or function itself and all that it reaches by name: base classes, functions,
    classes and constants of own modules as text, comments included; of libraries the version.

    Raises:
        SearchSpaceError: if there is no source, such as of a function of C.
    """
    return digest_of(_text_of(thing))


def _text_of(thing: Any) -> str:
    found: dict[str, str] = {}
    _collect(thing, found)
    return "\0".join(f"{key}\0{value}" for key, value in sorted(found.items()))


def _collect(value: Any, found: dict[str, str]) -> None:
    if isinstance(value, functools.partial):
        found[f"partial {len(found)}"] = repr((value.args, sorted(value.keywords.items())))
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    if not isinstance(value, (type, types.FunctionType)):
        if dataclasses.is_dataclass(value):
            found[f"value {len(found)}"] = repr(value)
        value = type(value)
    key = f"{value.__module__}:{value.__qualname__}"
    if in_no_file(value.__module__) and "<" in key:
        key += f" {digest_of(typed_text(value))}"  # a session may have many lambdas
    if key in found:
        return
    if not _is_own_module(value.__module__):
        top = sys.modules.get(value.__module__.partition(".")[0])
        found[key] = str(getattr(top, "__version__", ""))
        return
    found[key] = _source(value, key)
    for name, reached in _reached(value):
        if callable(reached):
            _collect(reached, found)
        elif _is_constant(reached):
            found[f"{key} {name}"] = repr(reached)


def _is_own_module(name: str) -> bool:
    if in_no_file(name):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name.partition(".")[0] in _OURS:
        return False
    return not str(Path(file).resolve()).startswith(_LIBRARIES)


def _source(value: Any, key: str) -> str:
    if in_no_file(value.__module__):
        return typed_text(value)
    try:
        return inspect.getsource(value)
    except (OSError, TypeError) as error:
        raise SearchSpaceError(f"{key}: its source is not there, so that it has no hash") from error


def _reached(value: type | types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a class or function refers to, by name."""
    if isinstance(value, types.FunctionType):
        yield from _globals_of(value)
        return
    for base in value.__bases__:
        yield base.__qualname__, base
    module = vars(sys.modules[value.__module__])
    for name, member in vars(value).items():
        function = _function_of(member)
        if function is not None and function.__globals__ is module:
            yield from _globals_of(function)
        elif function is None and isinstance(member, type):
            yield name, member


def _function_of(member: Any) -> types.FunctionType | None:
    inner: Any = member.fget if isinstance(member, property) else member
    inner = getattr(inner, "__func__", inner)
    inner = inspect.unwrap(inner) if callable(inner) else inner
    return inner if isinstance(inner, types.FunctionType) else None


def _globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    names = sorted(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if _is_own_module(value.__name__):
                yield from ((f"{name}.{n}", vars(value)[n]) for n in names if n in vars(value))
        elif name in function.__globals__:
            yield name, value


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names(each) for each in inner))


def _is_constant(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_constant, value))
    if isinstance(value, dict):
        return all(_is_constant(k) and _is_constant(v) for k, v in value.items())
    return value is None or isinstance(value, (bool, int, float, str, bytes))


def arguments_for(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Return those of ``offered`` that ``make`` takes by name.

    Raises:
        SearchSpaceError: if it needs something else.
    """
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError) as error:
        raise SearchSpaceError(f"{make!r} does not say what it takes") from error
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for parameter in parameters:
        lacking = parameter.default is parameter.empty and parameter.name not in offered
        if lacking and parameter.kind in (*kinds, inspect.Parameter.POSITIONAL_ONLY):
            raise SearchSpaceError(
                f"{getattr(make, '__qualname__', make)} needs {parameter.name}; what it may take "
                f"is {', '.join(offered)}: give the others defaults"
            )
    return {p.name: offered[p.name] for p in parameters if p.name in offered and p.kind in kinds}
