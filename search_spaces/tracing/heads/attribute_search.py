"""Search for size attributes: which numbers of a module have to follow a removal of channels.

Code views tensors as heads, and splits or joins them, by numbers that modules keep as attributes.
Which of them mean the size of a group is not told by their names: those that the code reads, and
that have its value, are changed with it, and kept if the smaller network then does what it should.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.axes.size_attributes import SizeAttribute
from search_spaces.channel_groups import ChannelGroup
from search_spaces.errors import SearchSpaceError
from search_spaces.own_networks.whole_networks import copied
from search_spaces.tracing.channel_removal import RemovalTrial
from search_spaces.tracing.operator_record import tensors_of

_Passes = Callable[[RemovalTrial, tuple[SizeAttribute, ...]], bool]
# The path of a module under which a trial of it alone has it.
_ALONE = "module"
# How many sets of attributes are tried for a group, at most.
_TRIES, _WHOLE_TRIES = 64, 6


class _Alone(nn.Module):
    """A module on its own, with what one call of it was given; tensors are told apart."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.module = module
        self._call = args, kwargs

    def forward(self, *_: Tensor) -> Any:
        # What it was given may remember calls (a cache of keys): each trial has its own.
        args, kwargs = copied(self._call)
        return self.module(*args, **kwargs)


@dataclass(slots=True)
class AttributeSearch:
    """Finds the attributes that follow the groups of a network.

    Args:
        probe: makes the network in evaluation mode, best in double precision, and positional inputs
            of it; asked once, when something is searched for. It stays as it is.
    """

    probe: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]
    _made: tuple[nn.Module, tuple[Tensor, ...]] | None = field(init=False, default=None)
    _calls: dict[str, _Alone | None] = field(init=False, default_factory=dict)
    _known: dict[object, tuple[SizeAttribute, ...] | None] = field(init=False, default_factory=dict)
    _reads: dict[str, Mapping[Any, Any]] = field(init=False, default_factory=dict)
    # Those that follow a group already: a number says the size of one only.
    _taken: set[tuple[str, str, int | None]] = field(init=False, default_factory=set)

    def _network(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        if self._made is None:
            self._made = self.probe()
        return self._made

    def followed(
        self, group: ChannelGroup, scope: str = "", *, plain: bool = True
    ) -> ChannelGroup | None:
        """Return ``group`` with the attributes that follow it, None if no removal can be proven.

        Args:
            group: of at least two channels, to be removed in any number.
            scope: the path of a module that its channels do not leave, as far as is known.
            plain: whether a removal may be right without any attribute that follows.
        """
        for path in self._scopes(group, scope):
            try:
                known = self._alone(path)
                found = None if known is None else self._within(path, known, group, plain=plain)
            except SearchSpaceError:
                raise
            except Exception:  # what cannot be run alone is tried with more around it
                found = None
            if found is not None:
                self._taken |= {(each.module, each.name, each.place) for each in found}
                return replace(group, attributes=found)
        return None

    def _scopes(self, group: ChannelGroup, scope: str) -> Iterator[str]:
        """Yield the smallest module that holds all members, those around it, and the network."""
        paths = [member.tensor.rpartition(".")[0].split(".") for member in group.members]
        paths += [scope.split(".")] if scope else []
        common = [
            parts[0]
            for parts in itertools.takewhile(
                lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)
            )
        ]
        for length in (len(common), len(common) - 1):
            if length > 0:
                yield ".".join(common[:length])
        yield ""

    def _alone(self, path: str) -> _Alone | None:
        """Return a module and what it is given where the network runs, None if it is not called."""
        if path not in self._calls:
            if not path:
                self._calls[path] = _Alone(*self._network(), {})
            else:
                self._capture(path)
        return self._calls[path]

    def _capture(self, path: str) -> None:
        """Run the network once; remember the call of this module, and of all that are like it."""
        network, inputs = self._network()
        kind = type(network.get_submodule(path))
        depth = path.count(".")
        wanted = {
            id(layer): name
            for name, layer in network.named_modules()
            if type(layer) is kind and name.count(".") == depth
        }

        def given(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            name = wanted[id(layer)]
            if self._calls.get(name) is None:
                self._calls[name] = _Alone(layer, *copied((args, kwargs)))

        handles = [
            layer.register_forward_pre_hook(given, with_kwargs=True)
            for layer in network.modules()
            if id(layer) in wanted
        ]
        try:
            with torch.no_grad():
                network(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        for name in wanted.values():
            self._calls.setdefault(name, None)

    def _within(
        self, path: str, alone: _Alone, group: ChannelGroup, *, plain: bool
    ) -> tuple[SizeAttribute, ...] | None:
        own = _renamed(group, lambda name: _moved(name, path, _ALONE))
        if path not in self._reads:
            self._reads[path] = attribute_reads(alone)
        candidates = tuple(
            each
            for each in _candidates(self._reads[path], own)
            if (_moved(each.module, _ALONE, path), each.name, each.place) not in self._taken
        )
        if not candidates and not plain:
            return None
        alike = (type(alone.module), own.size, candidates, own.members, plain)
        known = self._known.get(alike, ())
        if known is None:
            return None
        trial = RemovalTrial.of(alone, (own,), (), lenient=bool(path))
        # Where it does not run wider as it is, a smaller one that does (code that takes the first
        # channels of all) is no proof.
        passes = _passes if plain else _passes_wider
        found = (
            known
            if (known or plain) and passes(trial, known)
            else _smallest(trial, candidates, passes, whole=not path)
        )
        self._known[alike] = found
        if found is None:
            return None
        return tuple(replace(each, module=_moved(each.module, _ALONE, path)) for each in found)


def _moved(name: str, old: str, new: str) -> str:
    """Return a name within the module ``old`` as one within ``new``."""
    rest = name.removeprefix(old).removeprefix(".") if old else name
    return f"{new}.{rest}".removesuffix(".") if new else rest


def _renamed(group: ChannelGroup, name: Callable[[str], str]) -> ChannelGroup:
    return replace(
        group,
        members=tuple(replace(m, tensor=name(m.tensor)) for m in group.members),
        normalised=tuple(map(name, group.normalised)),
        attributes=(),
    )


def _smallest(
    trial: RemovalTrial, candidates: Sequence[SizeAttribute], passes: _Passes, *, whole: bool
) -> tuple[SizeAttribute, ...] | None:
    """Return a set of attributes with which a trial passes, and without any of which it does not.

    Of a ``whole`` network, for which a try takes long, it may be more than those.
    """
    alike = _alike(trial.module, candidates)
    tries = itertools.islice(_sets(alike), _WHOLE_TRIES if whole else _TRIES)
    found = next((chosen for chosen in tries if passes(trial, chosen)), None)
    if found is None or whole:
        return found
    for each in found:
        fewer = tuple(other for other in found if other is not each)
        if passes(trial, fewer):
            found = fewer
    return found


def _alike(
    module: nn.Module, candidates: Iterable[SizeAttribute]
) -> list[tuple[SizeAttribute, ...]]:
    """Return attributes of one name in modules of one class together: they mean the same."""
    found: dict[object, list[SizeAttribute]] = {}
    for each in candidates:
        kind = type(module.get_submodule(each.module))
        found.setdefault((kind, each.name, each.place, each.factor), []).append(each)
    return [tuple(together) for together in found.values()]


def _sets(alike: Sequence[tuple[SizeAttribute, ...]]) -> Iterator[tuple[SizeAttribute, ...]]:
    """Yield all of them, and ever fewer: with one that means another size it is not right."""
    for number in range(len(alike), 0, -1):
        for chosen in itertools.combinations(alike, number):
            yield tuple(itertools.chain.from_iterable(chosen))


def _passes(trial: RemovalTrial, attributes: tuple[SizeAttribute, ...]) -> bool:
    groups = tuple(replace(group, attributes=attributes) for group in trial.groups)
    return replace(trial, groups=groups).agrees(groups)


def _passes_wider(trial: RemovalTrial, attributes: tuple[SizeAttribute, ...]) -> bool:
    groups = tuple(replace(group, attributes=attributes) for group in trial.groups)
    return replace(trial, groups=groups).widens() and _passes(trial, attributes)


def _candidates(reads: Mapping[Any, Any], group: ChannelGroup) -> Iterator[SizeAttribute]:
    """Yield the attributes that the code reads and whose value may be the size of ``group``."""
    repeats = {member.repeat for member in group.members}
    factors = {1, *repeats, *(member.entries_per_channel for member in group.members)}
    # One head of keys may serve several of queries: their number is one more.
    factors |= {one // other for one in repeats for other in repeats if one % other == 0}

    def fits(value: object) -> bool:
        if type(value) is not int or value <= 0:
            return False
        return value % group.size == 0 and value // group.size in factors

    for (path, name), value in reads.items():
        if fits(value):
            yield SizeAttribute(module=path, name=name, factor=value // group.size)
        elif type(value) in (tuple, list):
            for place, number in enumerate(value):
                if fits(number):
                    factor = number // group.size
                    yield SizeAttribute(module=path, name=name, factor=factor, place=place)


def attribute_reads(module: nn.Module, inputs: tuple[Tensor, ...] = ()) -> Mapping[Any, Any]:
    """Return the numbers and sequences that the code of ``module`` reads of modules where it runs.

    Those of torch's own layers are left out, which follow their tensors without being told; but
    not the shape of a norm that has none.

    Returns:
        By the path of the module and the name of the attribute.
    """
    read: dict[tuple[str, str], Any] = {}
    watched = copied(module)
    for path, layer in watched.named_modules():
        if not _is_torchs(layer):
            with suppress(TypeError):
                layer.__class__ = _watched(type(layer), path, read)
    with suppress(RuntimeError, ValueError, TypeError, AssertionError), torch.no_grad():
        tensors_of(watched(*inputs))
    return read


def _is_torchs(layer: nn.Module) -> bool:
    if isinstance(layer, (nn.LayerNorm, nn.RMSNorm)) and not layer.elementwise_affine:
        return False
    return type(layer).__module__.startswith("torch.nn.")


def _watched(kind: type[nn.Module], path: str, read: dict[tuple[str, str], Any]) -> type[nn.Module]:
    """Return a class like ``kind`` that writes down which numbers are read of its objects."""

    def getattribute(self: nn.Module, name: str) -> Any:
        value = kind.__getattribute__(self, name)
        if type(value) in (int, tuple, list) and not name.startswith("_"):
            read[path, name] = value
        return value

    return type(kind.__name__, (kind,), {"__getattribute__": getattribute})
