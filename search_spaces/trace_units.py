"""Tracing of units: which residual branches of any network can be left out, proven by doing so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, frozen_tensors
from search_spaces.errors import SearchSpaceError
from search_spaces.own_networks.whole_networks import check_whole
from search_spaces.randomness import random_state_kept
from search_spaces.tracing.network_probe import (
    module_by_module,
    network_probe,
    steady,
    training_twin,
)
from search_spaces.tracing.operator_record import tensors_of
from search_spaces.tracing.residual_branches import Branch, Silenced, find_branches
from search_spaces.units import StandIn, Unit, detach

# Names of traced units begin so: those of groups are the paths of layers.
UNIT = "unit:"
_SEED = 0
# Of the largest output, in double and in single precision.
_TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4}
_REFUSALS = (RuntimeError, ValueError, IndexError, TypeError, AttributeError, AssertionError)


def trace_units(
    module: nn.Module, groups: Sequence[ChannelGroup], example_inputs: tuple[Tensor, ...]
) -> tuple[Unit, ...]:
    """Find the units of any network; it is run, but not changed.

    A unit is a branch that is added to what it was computed from: x + f(x), with a norm in front of
    f or a scale behind it, and with a ReLU behind the sum where x has passed one. Its modules are
    replaced by stand-ins: a block by one that passes x on, else the last module of the branch by
    zeros and the others by what passes on. That is proven on a probe with random weights: the
    outputs are those of the full network whose branch is multiplied by 0, and they are other ones
    than with the branch. Where the network computes something else while it trains, the same holds
    there. Of a branch inside another one, the inner is the unit.

    Args:
        module: any layers.
        groups: of ``module``; those that lie inside a unit are named by it.
        example_inputs: positional inputs, batch first.

    Raises:
        SearchSpaceError: if the network cannot be run.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from search_spaces.trace_units import trace_units
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.stem, self.branch = nn.Linear(4, 8), nn.Linear(8, 8)
        ...     def forward(self, x):
        ...         x = self.stem(x)
        ...         return x + self.branch(torch.relu(x))
        >>> [unit.name for unit in trace_units(Net(), (), (torch.zeros(2, 4),))]
        ['unit:branch']
    """
    check_whole(module)
    with random_state_kept(), module_by_module():
        torch.manual_seed(_SEED)
        generator = torch.Generator().manual_seed(_SEED)
        try:
            probe, inputs = network_probe(module, example_inputs, generator, double=True)
            found = find_branches(probe, inputs)
        except Exception as error:  # whatever the module or torch raises, the cause is kept
            raise SearchSpaceError(
                f"{type(module).__name__} cannot be traced: {type(error).__name__}: {error}"
            ) from error
        trial = _Trial(probe, inputs)
        proven = [unit for branch in found if (unit := trial.unit(branch)) is not None]
        twin = training_twin(probe, inputs) if proven else None
        training = None if twin is None else _Trial(twin, inputs)
        if training is not None:
            proven = [unit for unit in proven if training.goes_without([unit])]
        innermost = [u for u in proven if not any(_around(u, other) for other in proven)]
        together = trial.together(innermost)
        if training is not None and not training.goes_without(together):
            together = []
    return tuple(_with_groups(unit, groups) for unit in together)


def _around(unit: Unit, other: Unit) -> bool:
    """Tell whether ``unit`` has ``other`` inside it."""
    return unit is not other and all(unit.holds(path) for path in other.paths)


def _with_groups(unit: Unit, groups: Iterable[ChannelGroup]) -> Unit:
    inside = (g.name for g in groups if all(unit.holds(m.tensor) for m in g.members))
    return replace(unit, groups=tuple(inside))


@dataclass(slots=True)
class _Trial:
    """A probe from which branches are taken away, and into which they are put back."""

    probe: nn.Module
    inputs: tuple[Tensor, ...]
    _full: list[Tensor] = field(init=False)
    # The length of the tuple that each module puts out, 0 for a tensor.
    _lengths: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        handles = []
        for path, layer in self.probe.named_modules():

            def note(_: nn.Module, __: Any, out: Any, path: str = path) -> None:
                self._lengths[path] = len(out) if isinstance(out, tuple) else 0

            handles.append(layer.register_forward_hook(note))
        try:
            self._full = self._outputs()
        finally:
            for handle in handles:
                handle.remove()

    def unit(self, branch: Branch) -> Unit | None:
        """Return the branch as a unit in the first form that is proven, None if none is."""
        silenced = self._outputs(Silenced(branch))
        if _same(silenced, self._full):
            return None  # the outputs do not hear of it, so that nothing is proven
        for closing in branch.closing:
            for standins in self._forms(branch):
                unit = self._named(standins, closing)
                if self._may_change(unit) and self._agrees((unit,), silenced):
                    return unit
        return None

    def together(self, units: Sequence[Unit]) -> list[Unit]:
        """Return ``units`` if any of them may be away at once, else none."""
        halves = (units, units[::2], units[1::2])
        return list(units) if all(self._agrees(half) for half in halves if half) else []

    def goes_without(self, units: Sequence[Unit]) -> bool:
        """Tell whether the network without ``units`` does what it should, and hears its inputs.

        It does not where they are in the way to its outputs.
        """
        if not units or not self.together(units):
            return not units
        turned = tuple(each.flip(tuple(range(each.ndim))) for each in self.inputs)
        if _same(self._full, self._outputs(inputs=turned)):
            # Words that read the same backwards: not even the whole network tells them apart.
            return True
        detached = self._with(lambda: _detached(self.probe, units))
        others = self._with(lambda: _detached(self.probe, units), turned)
        return not _same(detached, others)

    def _forms(self, branch: Branch) -> list[tuple[tuple[str, StandIn], ...]]:
        forms: list[tuple[tuple[str, StandIn], ...]] = []
        lengths = self._lengths
        if branch.block:
            forms.append(((branch.block, ("passes", lengths[branch.block])),))
        *others, last = branch.parts
        passing: list[tuple[str, StandIn]] = [(p, ("passes", lengths[p])) for p in others]
        forms.append((*passing, (last, ("nothing", lengths[last]))))
        return forms

    def _named(self, standins: tuple[tuple[str, StandIn], ...], closing: tuple[str, ...]) -> Unit:
        sizes = {
            path: sum(p.numel() for p in self.probe.get_submodule(path).parameters())
            for path, _ in standins
        }
        main = max(sizes, key=sizes.__getitem__)
        return Unit(
            name=f"{UNIT}{main}",
            stage=_stage(main),
            module=main,
            norm="",
            residual=True,
            detachable=True,
            standins=standins,
            closing=closing,
        )

    def _may_change(self, unit: Unit) -> bool:
        """Tell whether nothing inside is frozen, or used outside as well."""
        parameters = dict(self.probe.named_parameters(remove_duplicate=False))
        inside = {id(p) for name, p in parameters.items() if unit.holds(name)}
        outside = {id(p) for name, p in parameters.items() if not unit.holds(name)}
        plain = dict(self.probe.named_parameters())
        frozen = any(unit.holds(name) for name in frozen_tensors(self.probe))
        return not frozen and not inside & outside and all(n in plain for n in unit.closing)

    def _agrees(self, units: Sequence[Unit], expected: list[Tensor] | None = None) -> bool:
        """Tell whether the network without ``units`` does what it does with their ends at zero.

        Both do what is ``expected``, where that is known.
        """
        try:
            closed = self._with(lambda: _closed(self.probe, units))
            if expected is not None and not _same(closed, expected):
                return False
            return _same(self._with(lambda: _detached(self.probe, units)), closed)
        except _REFUSALS:
            return False

    def _with(
        self,
        change: Callable[[], Callable[[], None]],
        inputs: tuple[Tensor, ...] | None = None,
    ) -> list[Tensor]:
        put_back = change()
        try:
            return self._outputs(inputs=inputs)
        finally:
            put_back()

    @torch.no_grad()
    def _outputs(
        self,
        mode: AbstractContextManager[Any] | None = None,
        inputs: tuple[Tensor, ...] | None = None,
    ) -> list[Tensor]:
        torch.manual_seed(_SEED)
        with mode or nullcontext(), steady(self.probe):
            out = self.probe(*(self.inputs if inputs is None else inputs))
        return [each.clone() for each in tensors_of(out)]


def _detached(probe: nn.Module, units: Sequence[Unit]) -> Callable[[], None]:
    layers = [detach(probe, unit) for unit in units]

    def put_back() -> None:
        for each in layers:
            for path, layer in each.items():
                probe.set_submodule(path, layer)

    return put_back


@torch.no_grad()
def _closed(probe: nn.Module, units: Sequence[Unit]) -> Callable[[], None]:
    ends = [probe.get_parameter(name) for unit in units for name in unit.last]
    values = [end.detach().clone() for end in ends]
    for end in ends:
        end.zero_()

    def put_back() -> None:
        with torch.no_grad():
            for end, value in zip(ends, values, strict=True):
                end.copy_(value)

    return put_back


def _stage(path: str) -> str:
    """Return the path of the container that holds the unit's block: what is before its number."""
    parts = path.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    kept = parts[: numbers[-1]] if numbers else parts[:-1]
    return ".".join(kept) or "network"


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(_close, some, others))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    tolerance = _TOLERANCES.get(one.dtype, _TOLERANCES[torch.float32])
    largest = float(one.nan_to_num(0, 0, 0).abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * largest, equal_nan=True)
