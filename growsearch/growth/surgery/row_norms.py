"""Row norms after surgery: filters behind a BatchNorm go back to the size of a fresh draw.

Behind a BatchNorm the size of a filter w says nothing about the function, but its gradient goes
with 1 / |w|, and a step turns it by an angle that goes with rate / |w|^2. Surgery changes sizes: a
filter of the full network that runs on few of its inputs is small, so that its rate is huge; an old
one that gains inputs is large beside what they bring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.growth.surgery.optimizer_state import SECOND_MOMENTS, is_first_moment, start_value
from growsearch.growth.surgery.scale_trial import FollowingNorm, ScaleFreeRows

NORMS = ("kept", "reset", "transfer")
# Beyond these a factor says that a row is about to vanish or to explode, and undoes it in steps.
_LEAST, _MOST = 0.05, 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTensors:
    """A network's tensors at full width while its structure changes.

    ``values`` returns one by name and ``moments`` what an optimizer knows of it, by key; both are
    changed in place. ``entries`` are those that run, (n,) for each axis, None for a tensor of a
    unit that does not.
    """

    values: Callable[[str], Tensor]
    moments: Callable[[str], Mapping[str, Tensor]]
    entries: Callable[[str], Sequence[Tensor] | None]


class RowNorms:
    """Sets the sizes of scale-free rows after every change of structure.

    ``norms`` is one of

    - "kept": rows stay as they are.
    - "reset": every row that runs goes back to the norm that its first draw had at full width, by a
      factor within [0.05, 20].
    - "transfer": every row that runs is scaled by sqrt(n / m), n being the inputs that it had
      before the change and m those that it has now, so that what it puts out keeps its variance
      as the layer below widens (Yuan, Savarese & Maire 2023, section 3.1). A first draw had all.

    With a factor c go: the layer's own bias, c; running means, c; running variances v, which become
    c^2 (v + eps) - eps, so that the function in evaluation stays the same up to rounding (only
    where that is below 0, a variance within eps of 0, it becomes 0 and the function is near). In
    training eps stands beside another variance, and the function changes by eps / variance. What
    an optimizer knows follows the gradient, which is divided by c: first moments by c, second
    ones by c^2. A row goes with all its inputs, also with those that wait detached, which come
    back in the proportions in which they went.

    Whatever ``norms`` says, a row that runs and is zero gets its first draw on the inputs that run:
    all its old inputs are gone, and those that came start at zero. Its variance would be 0, and
    behind the norm its gradient 1 / sqrt(eps) = 316 times too long.

    Args:
        rows: those of the network, at full width.
        initial: their weights as first drawn, by name.
        norms: one of `NORMS`.
    """

    def __init__(
        self, rows: Sequence[ScaleFreeRows], initial: Mapping[str, Tensor], norms: str
    ) -> None:
        self._rows, self._norms = tuple(rows), norms
        self._first = {free.weight: initial[free.weight] for free in rows}
        self._sizes = {
            free.weight: _by_row(self._first[free.weight], free.axis).double().norm(dim=1)
            for free in rows
        }
        # How many inputs each row had when it was last scaled.
        self._inputs = {
            free.weight: torch.full(
                (len(free.rows),), float(_inputs(self._first[free.weight], free))
            )
            for free in rows
        }

    def settle(self, tensors: FullTensors, untouched: Callable[[str], bool]) -> None:
        """Draw rows that are zero, and scale the others as ``norms`` says, in place.

        Args:
            tensors: of the network after the change.
            untouched: whether a weight, by name, is to stay as it is.
        """
        for free in self._rows:
            entries = tensors.entries(free.weight)
            if entries is None or untouched(free.weight):
                continue
            self._draw(free, tensors, entries)
            factor = self._factor(free, tensors, entries)
            if factor is not None:
                _scale(free, factor, tensors)

    def state(self) -> dict[str, Tensor]:
        """Return what a later change has to know: the inputs that rows had, for "transfer"."""
        return dict(self._inputs) if self._norms == "transfer" else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self._inputs |= state

    def _draw(self, free: ScaleFreeRows, tensors: FullTensors, entries: Sequence[Tensor]) -> None:
        value, first = tensors.values(free.weight), self._first[free.weight]
        running = entries[free.axis]
        first_part = first[torch.meshgrid(*entries, indexing="ij")]
        empty = _by_row(_part(value, entries), free.axis).cpu().count_nonzero(dim=1) == 0
        empty &= free.rows[running] & (_by_row(first_part, free.axis).count_nonzero(dim=1) > 0)
        if not bool(empty.any()):
            return
        drawn = list(entries)
        drawn[free.axis] = running[empty]
        grid = torch.meshgrid(*drawn, indexing="ij")
        value[grid] = first[grid].to(value)
        self._inputs[free.weight][running[empty]] = float(_inputs(first, free))
        for key, moments in tensors.moments(free.weight).items():
            if moments.ndim:
                moments[grid] = start_value(key, moments)

    def _factor(
        self, free: ScaleFreeRows, tensors: FullTensors, entries: Sequence[Tensor]
    ) -> Tensor | None:
        """Return by what every row is multiplied (rows,), None if by nothing."""
        running = entries[free.axis]
        factor = torch.ones(len(free.rows), dtype=torch.float64)
        if self._norms == "reset":
            part = _by_row(_part(tensors.values(free.weight), entries), free.axis)
            size, wanted = part.cpu().double().norm(dim=1), self._sizes[free.weight][running]
            wanted = torch.where((size > 0) & (wanted > 0), wanted / size, torch.ones(()))
            factor[running] = wanted.clamp(_LEAST, _MOST)
        elif self._norms == "transfer":
            before = self._inputs[free.weight]
            now = math.prod(len(e) for axis, e in enumerate(entries) if axis != free.axis)
            factor[running] = (before[running].double() / now).sqrt()
            before[running] = float(now)
        else:
            return None
        return torch.where(free.rows, factor, torch.ones(()))


def _scale(free: ScaleFreeRows, factor: Tensor, tensors: FullTensors) -> None:
    """Scale rows, and with them what follows them."""
    for name, axis in ((free.weight, free.axis), (free.bias, 0)):
        if not name or tensors.entries(name) is None:
            continue
        value = tensors.values(name)
        along = factor.view([-1 if a == axis else 1 for a in range(value.ndim)])
        value.mul_(along.to(value))
        for key, moments in tensors.moments(name).items():
            if is_first_moment(key):
                moments.div_(along.to(moments))
            elif key.rpartition("/")[2] in SECOND_MOMENTS:
                moments.div_(along.square().to(moments))
    for norm in free.norms:
        _scale_statistics(norm, factor[norm.rows], tensors)


def _scale_statistics(norm: FollowingNorm, factor: Tensor, tensors: FullTensors) -> None:
    if not norm.mean or tensors.entries(norm.mean) is None:
        return
    mean, variance = tensors.values(norm.mean), tensors.values(norm.variance)
    mean[norm.positions] *= factor.to(mean)
    scaled = factor.square() * (variance[norm.positions].cpu().double() + norm.eps) - norm.eps
    changed = torch.where(factor == 1, variance[norm.positions].cpu().double(), scaled)
    variance[norm.positions] = changed.clamp(min=0).to(variance)


def _by_row(tensor: Tensor, axis: int) -> Tensor:
    """Return a weight as (rows, weights of a row)."""
    return tensor.transpose(0, axis).flatten(1)


def _part(tensor: Tensor, entries: Sequence[Tensor]) -> Tensor:
    return tensor[torch.meshgrid(*entries, indexing="ij")]


def _inputs(weight: Tensor, free: ScaleFreeRows) -> int:
    return weight.numel() // weight.shape[free.axis]
