"""Channel groups by tracing, for a network that does not declare them.

The network runs once under autograd, and Torch-Pruning (Fang et al. 2023, "DepGraph") reads the
layers that depend on each other off the graph. What it finds is kept only if it can be resized.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch_pruning  # type: ignore[import-untyped]
from torch import Tensor, nn

from search_spaces.channel_groups import BatchNorm, ChannelGroup, Member, named_tensors, resize
from search_spaces.errors import SearchSpaceError

_Conv = nn.modules.conv._ConvNd
_ROOTS = (_Conv, nn.Linear)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedGroups:
    """What a trace has found.

    ``groups`` can be resized. ``fixed`` are layers whose outputs cannot, by path: the classifier,
    and those whose width the code itself relies on (attention heads, concatenated channels).
    """

    groups: tuple[ChannelGroup, ...]
    fixed: tuple[str, ...]


def trace_groups(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> TracedGroups:
    """Find the channel groups of any network; it is run, but not changed.

    Every group has been tried: after a resize of all groups to different sizes the network still
    runs and its outputs keep their shapes. A group that fails this is ``fixed``, not guessed.

    Args:
        module: convolutions, linear layers, norms and embeddings; grouped convolutions that are
            not depthwise are fixed.
        example_inputs: positional inputs, each with the batch on axis 0.

    Raises:
        SearchSpaceError: if the network cannot be traced.
    """
    found = _candidates(module, example_inputs)
    regular = [group for group in found.values() if group is not None]
    groups = _resizable(copy.deepcopy(module).eval(), regular, example_inputs)
    kept = {group.name for group in groups}
    return TracedGroups(groups=groups, fixed=tuple(name for name in found if name not in kept))


def declare_traced_groups(module: nn.Module, example_inputs: tuple[Tensor, ...]) -> TracedGroups:
    """Trace ``module`` and make it declare what was found, as if it had been written so.

    Afterwards ``channel_groups(module)`` and ``resize(module, ...)`` work on it and on its deep
    copies. Nothing else changes.

    Raises:
        SearchSpaceError: if the network cannot be traced or has no group at all.
    """
    found = trace_groups(module, example_inputs)
    if not found.groups:
        raise SearchSpaceError(
            f"{type(module).__name__} has no channels that can be resized; "
            f"fixed: {', '.join(found.fixed)}"
        )
    declare_groups(module, found.groups)
    return found


class _Declaration:
    """The method ``channel_groups()`` of a traced module; copies and pickles go with the module."""

    def __init__(self, owner: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
        self._owner = owner
        self._groups = groups

    def __call__(self) -> tuple[ChannelGroup, ...]:
        """Return the groups with the sizes that the module's tensors have now."""
        tensors = named_tensors(self._owner)
        return tuple(replace(group, size=_size(group, tensors)) for group in self._groups)


def declare_groups(module: nn.Module, groups: tuple[ChannelGroup, ...]) -> None:
    """Make ``module`` declare groups that a trace of the same network has found."""
    module.channel_groups = _Declaration(module, groups)  # type: ignore[assignment]


def _size(group: ChannelGroup, tensors: dict[str, Tensor]) -> int:
    first = group.members[0]
    return tensors[first.tensor].shape[first.axis] // first.repeat


def _candidates(
    module: nn.Module, example_inputs: tuple[Tensor, ...]
) -> dict[str, ChannelGroup | None]:
    """Return, by the path of the first layer that puts it out, each group or None if irregular."""
    traced = copy.deepcopy(module).eval()
    for parameter in traced.parameters():
        parameter.requires_grad_(True)
    with warnings.catch_warnings(), torch.enable_grad():
        # It warns of parameters outside layers; they are checked like all others.
        warnings.simplefilter("ignore")
        try:
            graph = torch_pruning.DependencyGraph().build_dependency(
                traced, example_inputs=example_inputs
            )
            raw = [[(item.dep, item.idxs) for item in group] for group in graph.get_all_groups()]
        except Exception as error:  # whatever the module or the tracer raises, the cause is kept
            raise SearchSpaceError(
                f"{type(module).__name__} cannot be traced: {type(error).__name__}: {error}"
            ) from error
    return _named(traced, raw)


_Dependencies = list[tuple[torch_pruning.Dependency, list[int]]]


def _named(module: nn.Module, raw: Iterable[_Dependencies]) -> dict[str, ChannelGroup | None]:
    paths = {layer: path for path, layer in module.named_modules()}
    order = {path: index for index, path in enumerate(paths.values())}
    names = {id(tensor): name for name, tensor in named_tensors(module).items()}
    found: dict[str, ChannelGroup | None] = {}
    for dependencies in raw:
        layers = [d.target.module for d, _ in dependencies]
        roots = [paths[x] for x in layers if isinstance(x, _ROOTS) and x in paths]
        first = min(_producers(dependencies, paths) or roots, key=order.__getitem__)
        found[first] = _group(first, dependencies, names)
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def _producers(dependencies: _Dependencies, paths: dict[nn.Module, str]) -> list[str]:
    return [
        paths[d.target.module]
        for d, _ in dependencies
        if d.target.module in paths
        and isinstance(d.target.module, _ROOTS)
        and d.handler.__name__ == "prune_out_channels"
    ]


def _group(name: str, dependencies: _Dependencies, names: dict[int, str]) -> ChannelGroup | None:
    size = len(dependencies[0][1])
    members: dict[tuple[str, int], Member] = {}
    for dependency, indices in dependencies:
        inward = dependency.handler.__name__ == "prune_in_channels"
        for tensor, axis in _axes(dependency.target.module, inward=inward):
            length = tensor.shape[axis]
            # Whole channels in order; a slice of a concatenation, or mixed heads, are neither.
            regular = length == len(indices) and list(indices) == list(range(length))
            if id(tensor) not in names or length % size or not regular:
                return None
            key = (names[id(tensor)], axis)
            members[key] = Member(tensor=key[0], axis=axis, repeat=length // size)
    return ChannelGroup(name=name, size=size, members=tuple(members.values()))


def _axes(layer: nn.Module | nn.Parameter, *, inward: bool) -> list[tuple[Tensor, int]]:
    """Return the tensors of ``layer`` that follow its channels, with the axis that does."""
    if isinstance(layer, nn.Embedding):
        return [(layer.weight, 1)]
    if isinstance(layer, _ROOTS):
        depthwise = isinstance(layer, _Conv) and layer.groups == layer.in_channels > 1
        if inward and not depthwise:
            return [(layer.weight, 1)]
        return [(t, 0) for t in (layer.weight, layer.bias) if t is not None]
    if isinstance(layer, (BatchNorm, nn.LayerNorm)):
        held = (layer.weight, layer.bias, *(getattr(layer, x, None) for x in _STATISTICS))
        return [(tensor, 0) for tensor in held if isinstance(tensor, Tensor)]
    if isinstance(layer, nn.Parameter):
        # One outside layers, such as a scale; where its channels lie on another axis, it is fixed.
        return [(layer, 0)]
    # The tracer's own nodes hold nothing; any other layer's vectors follow its channels.
    return [(t, 0) for t in layer.parameters(recurse=False) if t.ndim == 1 and t.numel() > 1]


_STATISTICS = ("running_mean", "running_var")


def _resizable(
    sketch: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Tensor, ...]
) -> tuple[ChannelGroup, ...]:
    expected = _shapes(sketch, inputs)
    # Channels that no layer takes in are outputs, as a rule; the others as a rule are not.
    inner = tuple(group for group in groups if _is_consumed(group))
    if not _runs(sketch, inner, inputs, expected):
        inner = tuple(g for g in groups if _runs(sketch, (g,), inputs, expected))
    if not _runs(sketch, inner, inputs, expected):
        raise SearchSpaceError(
            "the traced channel groups can be resized one by one but not together; "
            "give the network a method channel_groups()"
        )
    return inner


def _is_consumed(group: ChannelGroup) -> bool:
    return any(member.axis == 1 for member in group.members)


def _runs(
    sketch: nn.Module,
    groups: tuple[ChannelGroup, ...],
    inputs: tuple[Tensor, ...],
    expected: list[torch.Size],
) -> bool:
    trial = copy.deepcopy(sketch)
    declare_groups(trial, groups)
    # Another step for each group: widths that only agree by accident come apart.
    sizes = {g.name: g.size + step for g, step in zip(groups, _steps(len(groups)), strict=True)}
    try:
        resize(trial, sizes)
        return _shapes(trial, inputs) == expected
    except (RuntimeError, SearchSpaceError, ValueError, IndexError, TypeError, AssertionError):
        return False


def _steps(count: int) -> list[int]:
    return [2 * index + 1 for index in range(count)]


def _shapes(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[torch.Size]:
    with torch.no_grad():
        out = module(*inputs)
    found = out if isinstance(out, (tuple, list)) else (out,)
    return [each.shape for each in found if isinstance(each, Tensor)]
