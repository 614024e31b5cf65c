"""Latency features: the amounts of work that decide how long a network of given widths takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from growsearch.growth.budget.cost_terms import CostTerms, output_positions
from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import axes_by_tensor, is_consumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One amount of work as a function of the widths."""

    name: str
    terms: CostTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weight:
    """One weight as a monomial: entries x the sizes of ``groups``, and where it is applied."""

    kind: str
    positions: int
    entries: int
    groups: tuple[int, ...]
    outputs: int
    output_groups: tuple[int, ...]
    units: tuple[int, ...]


def latency_features(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: tuple[Tensor, ...],
    units: tuple[Unit, ...] = (),
) -> tuple[Feature, ...]:
    """Return the features that a latency is fitted with, all functions of the same sizes.

    - MACs of the layers that put out one number of positions (one resolution), depthwise ones
      apart: kernels are faster at some shapes than at others.
    - Values that layers put out: what BatchNorm, activations and memory cost.
    - Layers that run: what starting a kernel costs.
    """
    weights = list(_weights(module, groups, example_inputs, units))
    names = (*(group.name for group in groups), *(unit.name for unit in units))
    kinds = sorted({(w.kind, w.positions) for w in weights})
    compute = [
        _feature(
            f"{kind} MACs at {positions} positions",
            names,
            [
                (w.positions * w.entries, (*w.groups, *w.units))
                for w in weights
                if (w.kind, w.positions) == (kind, positions)
            ],
        )
        for kind, positions in kinds
    ]
    values = [(w.positions * w.outputs, (*w.output_groups, *w.units)) for w in weights]
    return (
        *compute,
        _feature("values put out", names, values),
        _feature("layers", names, [(1, w.units) for w in weights]),
    )


def _feature(
    name: str, names: tuple[str, ...], terms: list[tuple[int, tuple[int, ...]]]
) -> Feature:
    merged: dict[tuple[int, ...], int] = {}
    for coefficient, groups in terms:
        key = tuple(sorted(groups))
        merged[key] = merged.get(key, 0) + coefficient
    return Feature(
        name=name, terms=CostTerms(names=names, terms=tuple((c, k) for k, c in merged.items()))
    )


def _put_out(layer: nn.Module, shape: list[int]) -> int:
    """Return the channels that a layer puts out, by its weight's ``shape``."""
    if not isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return shape[0]
    # (in, out / groups, ...); a depthwise one has a group a channel that comes in.
    depthwise = 1 < layer.groups == layer.in_channels
    return shape[1] * (shape[0] if depthwise else layer.groups)


def _weights(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: tuple[Tensor, ...],
    units: tuple[Unit, ...],
) -> Iterator[_Weight]:
    place = {group.name: index for index, group in enumerate(groups)}
    axes, tensors = axes_by_tensor(groups), dict(module.named_parameters())
    for name, positions in output_positions(module, example_inputs).items():
        shape = list(tensors[name].shape)
        found: list[int] = []
        outputs: list[int] = []
        for axis, group, member in axes.get(name, ()):
            shape[axis] = member.entries_per_channel
            found.append(place[group.name])
            outputs += [] if is_consumed(module, member) else [place[group.name]]
        layer = module.get_submodule(name.rpartition(".")[0])
        yield _Weight(
            kind="depthwise" if getattr(layer, "groups", 1) > 1 else "dense",
            positions=positions,
            entries=math.prod(shape),
            groups=tuple(found),
            outputs=_put_out(layer, shape),
            output_groups=tuple(outputs),
            units=tuple(
                len(groups) + index for index, unit in enumerate(units) if unit.holds(name)
            ),
        )
