"""Residual branches of a network: what is computed beside a stream and added to it.

One forward pass is written down at the level of Python's calls of torch, with the calls of modules
around them. Where a sum adds a value to one that it was computed from, what lies between the two,
and is heard nowhere else, is a branch. That it can be skipped is only proven by
`trace_units.trace_units`, which skips it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from search_spaces.tracing.operator_record import tensors_of

_SUMS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
_PRODUCTS = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch that is added to a stream.

    Attributes:
        block: the path of a module that puts out its input plus the branch and does nothing else,
            "" if there is none.
        parts: the paths of the modules that do nothing but compute the branch, in running order.
        closing: sets of parameters; with those of one set at zero the branch may be zero.
        call: the number of the sum among all calls of torch in a forward pass.
        operand: which of its arguments the branch is.
    """

    block: str
    parts: tuple[str, ...]
    closing: tuple[tuple[str, ...], ...]
    call: int
    operand: int


class Silenced(TorchFunctionMode):
    """Multiplies a branch by 0 where it is added, in a forward pass that runs inside."""

    def __init__(self, branch: Branch) -> None:
        super().__init__()
        self._branch, self._count = branch, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._count == self._branch.call:
            place = self._branch.operand
            args = (*args[:place], torch.zeros_like(args[place]), *args[place + 1 :])
        self._count += 1
        return func(*args, **(kwargs or {}))


@dataclass(slots=True)
class _Node:
    """One call: what it read of what depends on the inputs, and which parameters."""

    name: str
    parents: tuple[int, ...]
    parameters: tuple[str, ...]
    depends: bool
    call: int = -1
    operands: tuple[int | None, ...] = ()


@dataclass(slots=True)
class _Call:
    """One call of a module: its nodes are ``start`` to ``end``."""

    path: str
    start: int
    entered: int | None
    end: int = -1
    left: int | None = None


@dataclass(slots=True)
class _Graph(TorchFunctionMode):
    """Notes which call made which tensor, of what; the tensors stay alive meanwhile."""

    names: Mapping[int, str]
    nodes: list[_Node] = field(default_factory=list)
    made: dict[int, int] = field(default_factory=dict)
    alive: list[Any] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        TorchFunctionMode.__init__(self)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call, self.count = self.count, self.count + 1
        operands = tuple(self.made.get(id(arg)) for arg in args[:2])
        read = tensors_of((*args, *(kwargs or {}).values()))
        parents = tuple(dict.fromkeys(self.made[id(t)] for t in read if id(t) in self.made))
        own = tuple(dict.fromkeys(self.names[id(t)] for t in read if id(t) in self.names))
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        written = args[:1] if name == "__setitem__" else ()
        made = [*tensors_of(out), *written]
        if made and (parents or own):
            self._add(_Node(name, parents, own, False, call, operands), made)
        return out

    def _add(self, node: _Node, made: Sequence[Tensor]) -> None:
        # What is computed of parameters alone is a parameter to what reads it.
        known = [self.nodes[parent] for parent in node.parents]
        computed = [name for each in known if not each.depends for name in each.parameters]
        node.parameters = tuple(dict.fromkeys((*node.parameters, *computed)))
        node.parents = tuple(p for p in node.parents if self.nodes[p].depends)
        node.depends = bool(node.parents)
        for tensor in made:
            self.made[id(tensor)] = len(self.nodes)
        self.alive.extend(made)
        self.nodes.append(node)

    def start_at(self, inputs: Sequence[Tensor]) -> None:
        for tensor in inputs:
            self.made[id(tensor)] = len(self.nodes)
            self.alive.append(tensor)
            self.nodes.append(_Node("input", (), (), True))

    def enter(self, path: str, given: Any) -> None:
        first = next((self.made.get(id(t)) for t in tensors_of(given)), None)
        self.calls.append(_Call(path, len(self.nodes), first))

    def leave(self, path: str, out: Any) -> None:
        call = next(call for call in reversed(self.calls) if call.path == path and call.end < 0)
        call.end = len(self.nodes)
        call.left = next((self.made.get(id(t)) for t in tensors_of(out)), None)


@torch.no_grad()
def find_branches(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Branch]:
    """Run ``module`` once and return its residual branches in running order."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    graph = _Graph(names)
    graph.start_at(inputs)
    handles = []
    for path, layer in module.named_modules():
        handles += [
            layer.register_forward_pre_hook(
                lambda _, given, kw, path=path: graph.enter(path, (*given, *kw.values())),
                with_kwargs=True,
            ),
            layer.register_forward_hook(lambda _, __, out, path=path: graph.leave(path, out)),
        ]
    try:
        with graph:
            out = module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    ends = {graph.made[id(tensor)] for tensor in tensors_of(out) if id(tensor) in graph.made}
    return list(_Reading(module, graph, ends).branches())


class _Reading:
    """Reads branches off a graph."""

    def __init__(self, module: nn.Module, graph: _Graph, ends: set[int]) -> None:
        self._nodes, self._ends = graph.nodes, ends
        self._readers: dict[int, list[int]] = {}
        for place, node in enumerate(self._nodes):
            for parent in node.parents:
                self._readers.setdefault(parent, []).append(place)
        often: dict[str, int] = {}
        for call in graph.calls:
            often[call.path] = often.get(call.path, 0) + 1
        self._calls = {call.path: call for call in graph.calls if often[call.path] == 1}
        self._module = module

    def branches(self) -> Iterator[Branch]:
        for place, node in enumerate(self._nodes):
            if node.name not in _SUMS or len(node.parents) != 2 or node.parameters:
                continue
            for branch, stream in (node.parents, node.parents[::-1]):
                found = self._branch(place, branch, stream)
                if found is not None:
                    yield found
                    break

    def _branch(self, total: int, branch: int, stream: int) -> Branch | None:
        above = self._above(branch)
        if not self._roots(stream) & above or branch in self._above(stream):
            return None
        inside = self._inside(branch, total, above)
        parts = self._parts(inside)
        closing = tuple(dict.fromkeys(self._closing(branch, inside)))
        operands = self._nodes[total].operands
        if not parts or not closing or branch not in operands:
            return None
        return Branch(
            block=self._block(inside, total, stream),
            parts=parts,
            closing=closing,
            call=self._nodes[total].call,
            operand=operands.index(branch),
        )

    def _above(self, place: int) -> set[int]:
        """Return all that ``place`` was computed from, itself included."""
        found, waiting = {place}, [place]
        while waiting:
            for parent in self._nodes[waiting.pop()].parents:
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        return found

    def _roots(self, stream: int) -> set[int]:
        """Return ``stream`` and what it is the sum of: another branch may have come before."""
        found, waiting = set[int](), [stream]
        while waiting:
            here = waiting.pop()
            found.add(here)
            if self._nodes[here].name in _SUMS:
                waiting += [p for p in self._nodes[here].parents if p not in found]
        return found

    def _inside(self, branch: int, total: int, above: set[int]) -> set[int]:
        """Return what is heard through ``branch`` and nowhere else."""
        inside: set[int] = set()
        for place in sorted(above, reverse=True):
            readers = self._readers.get(place, ())
            only = all(r in inside or (place == branch and r == total) for r in readers)
            if only and place not in self._ends and self._nodes[place].name != "input":
                inside.add(place)
        return inside

    def _parts(self, inside: set[int]) -> tuple[str, ...]:
        within = {
            path for path, call in self._calls.items() if path and set() < self._of(call) <= inside
        }
        outer = [p for p in within if not any(p.startswith(f"{other}.") for other in within)]
        held = [p for p in outer if any(True for _ in self._module.get_submodule(p).parameters())]
        if not held:
            return ()
        return tuple(sorted(outer, key=lambda path: self._calls[path].start))

    def _of(self, call: _Call) -> set[int]:
        """Return what a module computes of the network's inputs."""
        return {place for place in range(call.start, call.end) if self._nodes[place].depends}

    def _block(self, inside: set[int], total: int, stream: int) -> str:
        """Return the smallest module that does no more than add the branch to its input."""
        found = []
        for path, call in self._calls.items():
            nodes = self._of(call)
            if path and call.entered == stream and inside <= nodes and total in nodes:
                rest = nodes - inside - {total}
                if all(self._follows(place, total) for place in rest) and call.left in nodes:
                    found.append((len(nodes), path))
        # Of one module around another without calls of its own, the inner one.
        return min(found, key=lambda each: (each[0], -len(each[1])))[1] if found else ""

    def _follows(self, place: int, total: int) -> bool:
        """Tell whether ``place`` is an activation behind the sum."""
        node = self._nodes[place]
        while len(node.parents) == 1 and not node.parameters:
            (parent,) = node.parents
            if parent == total:
                return True
            node = self._nodes[parent]
        return False

    def _closing(self, place: int, inside: set[int]) -> Iterator[tuple[str, ...]]:
        """Yield sets of parameters that may close ``place``, the last layer's first."""
        while place in inside:
            node = self._nodes[place]
            if node.parameters:
                owners: dict[str, list[str]] = {}
                for name in node.parameters:
                    owners.setdefault(name.rpartition(".")[0], []).append(name)
                yield from (tuple(names) for names in reversed(owners.values()))
                return
            if node.name in _PRODUCTS and len(node.parents) == 2:
                # One factor of 0 is enough; the one that is the longer way is what is scaled.
                for parent in sorted(node.parents, key=lambda p: -len(self._above(p))):
                    yield from self._closing(parent, inside)
                return
            if len(node.parents) != 1:
                return
            (place,) = node.parents
