"""Latency features: the amounts of work that decide how long a network of given widths takes."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from growsearch.growth.budget.cost_terms import CostTerms, entry_terms, output_positions
from search_spaces import ChannelGroup, Unit
from search_spaces.channel_groups import axes_by_tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One amount of work as a function of the widths."""

    name: str
    terms: CostTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weight:
    """One weight: its entries and outputs as products of sizes, and where it is applied."""

    kind: str
    positions: int
    entries: tuple[tuple[int, tuple[int, ...]], ...]
    outputs: tuple[tuple[int, tuple[int, ...]], ...]
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
                (positions * entries, (*of, *w.units))
                for w in weights
                if (w.kind, w.positions) == (kind, positions)
                for entries, of in w.entries
            ],
        )
        for kind, positions in kinds
    ]
    values = [
        (w.positions * outputs, (*of, *w.units)) for w in weights for outputs, of in w.outputs
    ]
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


def _output_axes(layer: nn.Module) -> tuple[tuple[int, ...], int]:
    """Return the axes of a layer's weight that make its outputs, and how many entries make one."""
    if not isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return (0,), 1
    # (in, out / groups, ...): what comes in of a group is on axis 0, once for all that goes out.
    return ((1,), 1) if layer.groups == 1 else ((0, 1), layer.in_channels // layer.groups)


def _weights(
    module: nn.Module,
    groups: tuple[ChannelGroup, ...],
    example_inputs: tuple[Tensor, ...],
    units: tuple[Unit, ...],
) -> Iterator[_Weight]:
    place = {group.name: index for index, group in enumerate(groups)}
    axes, tensors = axes_by_tensor(groups), dict(module.named_parameters())

    def products(
        shape: Sequence[int], on: Container[int], share: int, name: str
    ) -> tuple[tuple[int, tuple[int, ...]], ...]:
        there = [size if axis in on else 1 for axis, size in enumerate(shape)]
        found = [each for each in axes.get(name, ()) if each[0] in on]
        return tuple(
            (count // share, tuple(place[group] for group in of))
            for count, of in entry_terms(there, found)
        )

    for name, positions in output_positions(module, example_inputs).items():
        shape = tensors[name].shape
        layer = module.get_submodule(name.rpartition(".")[0])
        outputs, share = _output_axes(layer)
        yield _Weight(
            kind="depthwise" if getattr(layer, "groups", 1) > 1 else "dense",
            positions=positions,
            entries=products(shape, range(len(shape)), 1, name),
            outputs=products(shape, outputs, share, name),
            units=tuple(
                len(groups) + index for index, unit in enumerate(units) if unit.holds(name)
            ),
        )
