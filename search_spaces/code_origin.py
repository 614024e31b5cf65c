"""Origin of a name of own code: a person wrote it, or it was read in a file that may be another's.

A file, such as a run's ledger or an export, is data: what it names is not imported for being named.
`FOUND_HERE` admits what a person's own study or script has brought into this process before;
`CodeOfRun` what lies in a folder that the person has named for it, and is what its hash was taken
of.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from search_spaces.errors import OwnCodeError
from search_spaces.typed_code import elsewhere, is_typed
from search_spaces.user_code import add_code_folder, find, fingerprint, is_own, was_found

_HASH = re.compile(r"[0-9a-f]{12}")
_OURS = ("growsearch", "search_spaces", "cost_models")


class CodeNames(Protocol):
    """What decides whether a name from a file may be imported."""

    def check(self, name: str) -> None:
        """Refuse a name that may not; one of a registry passes.

        Raises:
            SearchSpaceError: with the reason and the remedy; nothing was imported that may not be.
        """
        ...


class _FoundHere:
    """Admits the names that this process has found already, with the hash of their code."""

    def check(self, name: str) -> None:
        """See `CodeNames`."""
        if is_typed(name) and not was_found(name):
            find(name)  # it was not typed here, or is other code now
        if is_own(name) and not was_found(name):
            raise OwnCodeError(
                f"{_shown(name)} is code that a file names, and nobody here has named it; import "
                "it first, or give the folder in which it lies"
            )


FOUND_HERE: CodeNames = _FoundHere()


@dataclass(frozen=True, slots=True)
class CodeOfRun:
    """Admits what a run names inside ``folder`` alone; without a folder nothing.

    The folder is a person's word that importing what lies in it is safe.
    """

    folder: Path | None = None

    def check(self, name: str) -> None:
        """Refuse a name of own code unless it means what its hash was taken of, in the folder.

        Raises:
            SearchSpaceError: with the reason and the remedy.
        """
        if not is_own(name):
            return
        if is_typed(name):
            raise OwnCodeError(elsewhere(name))
        plain, _, wanted = name.partition("@")
        self._check_hash(plain, wanted)
        found = self._found(plain)
        if not self._is_inside(found) and not _is_space_of_ours(found):
            raise OwnCodeError(f"{plain}: what it means is not written in {self.folder}")
        find(name)

    def check_data(self, name: str) -> None:
        """Refuse a function that makes data, "module:attribute@CONTENT-CODE", as `check` does.

        Data that lie in a module are no code: of them the hash of the content is enough.

        Raises:
            SearchSpaceError: with the reason and the remedy.
        """
        if not is_own(name):
            return
        plain, _, both = name.partition("@")
        content, _, code = both.partition("-")
        self._check_hash(plain, content)
        found = self._found(plain)
        if not callable(found):
            return
        self._check_hash(plain, code)
        if not self._is_inside(found):
            raise OwnCodeError(f"{plain}: what it means is not written in {self.folder}")
        if fingerprint(found) != code:
            raise OwnCodeError(
                f"{plain}: its code is not what it was ({code} then, {fingerprint(found)} now); "
                "restore it"
            )

    def _check_hash(self, plain: str, wanted: str) -> None:
        if self.folder is None:
            raise OwnCodeError(
                f"{_shown(plain)} is code that this run names, and of a run nothing is imported "
                "unless you say where it lies: read it, then give its folder with --code"
            )
        if not _HASH.fullmatch(wanted):
            raise OwnCodeError(
                f"{_shown(plain)}: the run gives no hash of this code, so that nobody can tell "
                "whether it is the same; it is not imported"
            )

    def _found(self, plain: str) -> Any:
        """Import the module from the folder, if it is there, and return what the name means."""
        module_name, _, attribute = plain.partition(":")
        parts = [*module_name.split("."), *attribute.split(".")]
        if not all(part.isidentifier() for part in parts):
            raise OwnCodeError(f"{_shown(plain)} is no name of own code")
        file = self._file(plain, module_name.split("."))
        if not _binds(file, attribute.partition(".")[0]):
            raise OwnCodeError(f"{plain}: {file} has no {attribute}; it was not imported")
        found: Any = self._module(plain, module_name, file)
        for part in attribute.split("."):
            if not hasattr(found, part) or isinstance(getattr(found, part), types.ModuleType):
                raise OwnCodeError(f"{plain}: {file} has no {part} of its own")
            found = getattr(found, part)
        return found

    def _file(self, plain: str, parts: list[str]) -> Path:
        assert self.folder is not None
        root = self.folder.resolve()
        place = root.joinpath(*parts)
        package = root
        for part in parts[:-1]:
            package = package / part
            if not _lies_in(package / "__init__.py", root):
                raise self._missing(plain)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if _lies_in(file, root):
                return file.resolve()
        raise self._missing(plain)

    def _missing(self, plain: str) -> OwnCodeError:
        module = plain.partition(":")[0].replace(".", "/")
        return OwnCodeError(
            f"{plain}: the run names code that is not in {self.folder}; there is no {module}.py"
        )

    def _module(self, plain: str, name: str, file: Path) -> types.ModuleType:
        assert self.folder is not None
        add_code_folder(self.folder)
        top = name.partition(".")[0]
        if name not in sys.modules:
            spec = importlib.util.find_spec(top)
            if spec is None or not _is_file(spec.origin, file, self.folder):
                raise OwnCodeError(
                    f"{plain}: {top} is another module here ({spec and spec.origin}); rename yours"
                )
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise OwnCodeError(
                f"{plain}: importing {name} fails: {type(error).__name__}: {error}"
            ) from error
        if not _is_file(getattr(module, "__file__", None), file, file.parent):
            raise OwnCodeError(f"{plain}: {name} is another module here; rename yours")
        return module

    def _is_inside(self, found: Any) -> bool:
        """Tell whether a class, a function or an object's class is written in the folder."""
        assert self.folder is not None
        while isinstance(found, functools.partial):
            found = found.func
        found = inspect.unwrap(found) if callable(found) else found
        if not isinstance(found, (type, types.FunctionType)):
            found = type(found)
        file = getattr(sys.modules.get(found.__module__), "__file__", None)
        return file is not None and _lies_in(Path(file), self.folder.resolve())


def _shown(name: str) -> str:
    return repr(name[:80])


def _lies_in(file: Path, root: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(root)


def _is_file(origin: str | None, file: Path, folder: Path) -> bool:
    """Tell whether a module's origin is ``file`` or lies in the folder of the code with it."""
    if origin is None:
        return False
    found = Path(origin).resolve()
    return found == file or (found.is_file() and found.is_relative_to(folder.resolve()))


def _binds(file: Path, name: str) -> bool:
    """Tell from a module's source, without running it, whether its top level binds ``name``."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise OwnCodeError(f"{file} cannot be read ({error})") from error
    return any(name in _bound_by(node) for node in _top_level(tree.body))


def _top_level(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield statements, those inside "if", "try" and loops too, and what they consist of."""
    for node in body:
        inner = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield from (node, *(() if inner else _top_level(ast.iter_child_nodes(node))))


def _bound_by(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return set()


def _is_space_of_ours(found: Any) -> bool:
    """Tell whether ``found`` is an object of one of our dataclasses, such as a search space."""
    top = type(found).__module__.partition(".")[0]
    return dataclasses.is_dataclass(found) and not isinstance(found, type) and top in _OURS
