"""Initial weights of a network: those that a person trained before, known by their content.

They come from a file (safetensors, or a state_dict of torch without code in it), from a function of
one's own, or with an own network itself. A name says which: "weights@HASH" of a file's content,
"module:function@HASH" of code, and `OWN`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.training.checkpoints.weights_file import shared_names, with_shared_names
from search_spaces import SearchSpaceError
from search_spaces.user_code import find, is_own

# The weights that an own network comes with.
OWN = "own"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_FILE, _DIGITS = "weights@", 12
# Where a file of torch has the weights among other things, and what wrappers put before names.
_INSIDE = ("state_dict", "model", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.")
_SHOWN = 2

# The file of every name that this process has been told of.
_PLACES: dict[str, Path] = {}


class InitialWeights:
    """Trained values of all tensors of a network, under a name that stands for their content.

    Two are equal if their names are.

    Args:
        name: "weights@HASH", "module:function@HASH" or `OWN`.
        read: returns the tensors by name; None leaves a network with what it comes with.

    Example:
        >>> import torch
        >>> from growsearch.training import InitialWeights
        >>> first, second = (InitialWeights.of(torch.nn.Linear(2, 1)) for _ in range(2))
        >>> first == second, first.name.startswith("weights@")
        (False, True)
    """

    def __init__(self, name: str, read: Callable[[], Mapping[str, Tensor]] | None) -> None:
        self.name = name
        self._read = read

    @classmethod
    def of(cls, module: nn.Module) -> InitialWeights:
        """Return the present weights of ``module``, by their content.

        Example:
            >>> import torch
            >>> from growsearch.training import InitialWeights
            >>> layer = torch.nn.Linear(2, 1)
            >>> InitialWeights.of(layer) == InitialWeights.of(layer)
            True
        """
        state = {name: value.detach().cpu().clone() for name, value in _tensors_of(module).items()}
        digest = hashlib.sha256()
        for name, value in state.items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return cls(_FILE + digest.hexdigest()[:_DIGITS], lambda: state)

    @classmethod
    def named(cls, name: str) -> InitialWeights:
        """Return the weights of that name; of a file, `note_file` has said where it lies.

        Raises:
            UsageError: if nobody has said so.
        """
        if name == OWN:
            return cls(name, None)
        if is_own(name):
            return cls(name, lambda: _made(name))
        if name not in _PLACES:
            raise UsageError(
                f"init: {name}: nobody has said where this file lies; run it through its study"
            )
        return cls(name, lambda: _read_file(name, _PLACES[name]))

    def load_into(self, module: nn.Module, whose: str = "the network") -> None:
        """Give ``module`` these values.

        Raises:
            UsageError: if names or shapes are others, naming the first of each; or a file is
                damaged, or is not what its name says.
        """
        if self._read is None:
            return
        found = dict(self._read())
        problem = misfit(module, found)
        if problem:
            raise UsageError(
                f"init: these weights are not of {whose}: {problem}; give those of its full "
                "network, or a function of yours, MODULE:FUNCTION, that returns them under its "
                "names"
            )
        with torch.no_grad():
            module.load_state_dict(found, strict=False)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"InitialWeights({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InitialWeights) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def note_file(path: Path, name: str | None = None) -> str:
    """Return "weights@HASH" of a file's content, and remember where it lies.

    Args:
        path: the file.
        name: what its content must be, if that is known; it is then not read before it is needed.

    Raises:
        UsageError: if it cannot be read.
    """
    found = name or _FILE + _hash(_content(path))
    _PLACES[found] = path
    return found


def misfit(module: nn.Module, found: Mapping[str, Tensor]) -> str:
    """Return which tensors of ``module`` are missing in ``found``, unexpected or of another kind.

    Other shapes, whole numbers for real ones (quantised weights) and values that are not finite are
    told; other precisions are not. Counts of batches may be missing, and further names of tensors
    that are there. It is empty where all fit.

    Example:
        >>> import torch
        >>> from growsearch.training.initial_weights import misfit
        >>> misfit(torch.nn.Linear(2, 1), {"weight": torch.zeros(1, 3), "scale": torch.zeros(1)})
        'missing bias; unexpected scale; weight is (1, 3) there and (1, 2) here'
    """
    wanted = _tensors_of(module)
    again = shared_names(wanted)
    missing = [
        name
        for name in wanted
        if name not in found
        and again.get(name) not in found
        and name.rpartition(".")[2] != "num_batches_tracked"
    ]
    unexpected = [name for name in found if name not in wanted]
    others = [
        f"{name} is {tuple(value.shape)} there and {tuple(wanted[name].shape)} here"
        for name, value in found.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    kinds = [
        f"{name} is {value.dtype} there and {wanted[name].dtype} here".replace("torch.", "")
        for name, value in found.items()
        if name in wanted and value.is_floating_point() != wanted[name].is_floating_point()
    ]
    infinite = [
        name
        for name, value in found.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    said = (
        _said("missing ", missing),
        _said("unexpected ", unexpected),
        _said("", others),
        _said("", kinds),
        _said("not finite: ", infinite),
    )
    return "; ".join(filter(None, said))


def comes_with_weights(make: Callable[[int], nn.Module]) -> str:
    """Return the first tensor that ``make`` draws anew for every seed; empty if there is none."""
    one, other = (_tensors_of(make(seed)) for seed in (0, 1))
    return next((name for name in one if not torch.equal(one[name], other[name])), "")


def _said(what: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}{', '.join(names[:_SHOWN])}{more}" if names else ""


def _tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {n: value for n, value in module.state_dict().items() if isinstance(value, Tensor)}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"init: cannot read {path} ({error.strerror}); give a file of weights"
        ) from error


# A file is read once for all trials of a process.
@functools.lru_cache(maxsize=1)
def _read_file(name: str, path: Path) -> Mapping[str, Tensor]:
    content = _content(path)
    if _FILE + _hash(content) != name:
        raise UsageError(
            f"init: {path} is not what it was ({name} then, {_FILE}{_hash(content)} now); restore "
            "it, or start anew with --fresh"
        )
    if path.suffix == ".safetensors":
        return _from_safetensors(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises errors of many kinds
        raise UsageError(
            f"init: {path} is no file of weights alone, as torch.save(net.state_dict(), ...) "
            "writes it: it is damaged, or holds code that would run, which is not read; save its "
            "state_dict, or name a function of yours that reads it, MODULE:FUNCTION"
        ) from error
    return _state_in(loaded, str(path))


def _from_safetensors(path: Path, content: bytes) -> Mapping[str, Tensor]:
    try:
        tensors = safetensors.torch.load(content)
        # Of the very bytes that were hashed, which the library has found sound by now.
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError) as error:
        raise UsageError(
            f"init: {path} is damaged ({error}); write it anew with safetensors.torch.save_file"
        ) from error
    return _plain_names(with_shared_names(tensors, header))


def _made(name: str) -> Mapping[str, Tensor]:
    plain = name.partition("@")[0]
    try:
        load = find(name)
    except SearchSpaceError as error:
        raise UsageError(f"init: {error}") from error
    try:
        made = load()
    except Exception as error:
        raise UsageError(f"init: {plain}() fails: {type(error).__name__}: {error}") from error
    return _state_in(made, f"what {plain}() returns")


def _state_in(loaded: Any, whose: str) -> Mapping[str, Tensor]:
    """Return the tensors by name of what was loaded, wherever they stand in it."""
    if isinstance(loaded, nn.Module):
        return _tensors_of(loaded)
    for key in ("", *_INSIDE):
        part = loaded.get(key) if key and isinstance(loaded, Mapping) else loaded
        if isinstance(part, Mapping) and part and _all_tensors(part.values()):
            return _plain_names({str(name): value for name, value in part.items()})
    inside = ", ".join(_INSIDE)
    raise UsageError(
        f"init: {whose} has no tensors by name, neither at its top nor under {inside}; give a "
        "state_dict"
    )


def _all_tensors(values: Iterable[Any]) -> bool:
    return all(isinstance(value, Tensor) for value in values)


def _plain_names(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the names without what data parallelism or torch.compile puts before each of them."""
    for prefix in _WRAPPERS:
        if state and all(name.startswith(prefix) for name in state):
            return _plain_names({n.removeprefix(prefix): value for n, value in state.items()})
    return state
