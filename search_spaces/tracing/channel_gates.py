"""Gate sites: where a factor closes a channel, whatever stands before the layers that read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from search_spaces.channel_groups import ChannelGroup, is_plain_norm
from search_spaces.tracing.channel_flow import Reading
from search_spaces.tracing.contractions import contraction
from search_spaces.tracing.found_groups import Found
from search_spaces.tracing.operator_record import Operator, OperatorRecord


def gated_group(
    module: nn.Module, record: OperatorRecord, found: Found, generator: torch.Generator
) -> ChannelGroup:
    """Return the group of ``found`` with its `ChannelGroup.gate`, seen on a run of ``module``.

    Its BatchNorms are the place if what reads the channels takes in zeros once they put out zeros.
    A Sigmoid in between, or a shortcut past them, lets something through: then the readers are.
    Where products of data by data read the channels and no weight does, the weights that make one
    of the two factors zero are the readers.

    Whatever else makes the channels is perturbed meanwhile: a shortcut behind a ReLU that happens
    to be closed would not be seen.
    """
    group = found.group
    assert group is not None
    sites = _Sites(record, found, generator)
    if not any(member.reads for member in group.members):
        group = _with_readers(module, sites, found, group)
    norms = _norms(module, group, (member.tensor for member in group.members))
    everywhere = {reading for readings in found.reached.values() for reading in readings}
    if norms and sites.closed_by(norms, everywhere):
        return group
    if any(member.reads for member in group.members):
        return replace(group, gate="readers")
    return replace(group, kept="nothing closes its channels: no weight reads them")


def _with_readers(
    module: nn.Module, sites: _Sites, found: Found, group: ChannelGroup
) -> ChannelGroup:
    for side in (1, 0):
        factors = {reading for reading in found.products if reading.side == side}
        makers = [name for (name, _), where in found.reached.items() if factors & set(where)]
        layers = [name for name in makers if name.rpartition(".")[2] in ("weight", "bias")]
        for names in (_norms(module, group, makers), layers):
            if names and factors and sites.closed_by(names, factors):
                members = tuple(
                    replace(member, reads=True) if member.tensor in names else member
                    for member in group.members
                )
                return replace(group, members=members)
    return group


def _norms(module: nn.Module, group: ChannelGroup, tensors: Iterable[str]) -> list[str]:
    """Return scale and shift of the group's BatchNorms among ``tensors``."""
    members = {member.tensor for member in group.members}
    found = []
    for name in tensors:
        path, _, leaf = name.rpartition(".")
        layer = module.get_submodule(path)
        if leaf == "weight" and is_plain_norm(layer):
            both = [name, f"{path}.bias" if path else "bias"]
            found += both if set(both) <= members else []
    return found


class _Sites:
    """Tries which tensors of a group close its channels when they are zero."""

    def __init__(self, record: OperatorRecord, found: Found, generator: torch.Generator) -> None:
        self._record, self._makers, self._generator = record, set(found.makers), generator
        self._found = found
        # Behind a weight that reads the channels nothing of them goes on.
        self._ends = {
            reading.place
            for readings in found.reached.values()
            for reading in readings
            if self._is_weighted(reading)
        }
        self._followers = [
            name
            for name, _ in found.reached
            if self._leaf(name).ndim and not name.endswith("running_var")
        ]

    def closed_by(self, names: list[str], readings: set[Reading]) -> bool:
        """Tell whether zeros in these tensors make zeros of all that is read."""
        record = self._record
        last = max((reading.place for reading in readings), default=-1)
        for sign in (1.0, -1.0, None):
            changed = {
                record.leaves[name]: self._leaf(name)
                + self._kick(self._leaf(name), sign) * self._own(name)
                for name in self._followers
                if record.leaves[name] in record.readers
            }
            zeros = {
                record.leaves[name]: self._leaf(name).masked_fill(self._own(name), 0.0)
                for name in names
            }
            result = record.run_again(
                changed | zeros,
                lambda operator, values, sign=sign: self._run(operator, values, sign),  # type: ignore[misc]
                tuple(self._makers),
                until=last,
            )
            if any(self._hears(reading, result) for reading in readings):
                return False
        return True

    def _run(
        self, operator: Operator, values: Mapping[int, Tensor], sign: float | None
    ) -> tuple[Tensor, ...]:
        record = self._record
        ends = operator.place in self._ends
        out = record.recorded(operator) if ends else record.plainly(operator, values)
        if operator.place not in self._makers:
            return out
        return (out[0] + self._kick(out[0], sign) * out[0].ne(0), *out[1:])

    def _is_weighted(self, reading: Reading) -> bool:
        """Tell whether a reading multiplies data by a weight, and not by other data."""
        product = contraction(self._record.operators[reading.place], self._record)
        assert product is not None
        factors = {product.left.place, product.right.place}
        return not factors <= self._record.from_inputs

    def _kick(self, value: Tensor, sign: float | None) -> Tensor:
        """Return a perturbation of several deviations, up, down, or either for each entry."""
        drawn = torch.rand(value.shape, generator=self._generator).to(value)
        size = 5 * float(value.float().square().mean().sqrt()) + 1
        return size * ((drawn - 0.5).sign() if sign is None else sign) * (0.5 + drawn)

    def _hears(self, reading: Reading, values: Mapping[int, Tensor]) -> bool:
        """Tell whether anything but zeros is read of the group's channels."""
        product = contraction(self._record.operators[reading.place], self._record)
        assert product is not None
        factor = product.left if reading.side == 0 else product.right
        there = self._record.value(factor.place, values).ne(0)
        for dim in sorted(set(range(there.ndim)) - set(factor.kept), reverse=True):
            there = there.any(dim)
        channels = self._found.read.get(reading)
        return bool((there if channels is None else there.flatten() & channels).any())

    def _own(self, name: str) -> Tensor:
        """Return which entries of a tensor are the group's channels; it broadcasts over it."""
        group, leaf = self._found.group, self._leaf(name)
        assert group is not None
        own = torch.zeros(leaf.shape, dtype=torch.bool)
        for member in group.members:
            if member.tensor == name:
                entries = member.entries(torch.arange(group.size), group.size)
                own.index_fill_(member.axis, entries, True)
        return own

    def _leaf(self, name: str) -> Tensor:
        return self._record.values[self._record.leaves[name]]
