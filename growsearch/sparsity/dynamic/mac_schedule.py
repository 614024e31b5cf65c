"""MAC schedule of dense-to-sparse training: MACs after each mask update, for a given mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from growsearch.errors import UsageError
from growsearch.sparsity.dynamic.schedule import CubicSchedule
from growsearch.sparsity.dynamic.timetable import Timetable
from growsearch.sparsity.ranking import counts_within
from growsearch.sparsity.whole_weights import Countable, tune_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class MacSchedule:
    """MACs of one example in the masked layers, for the run of one timetable.

    All layers' weights form one ranking, as under a `CubicSchedule`; but pruning stops at a number
    of MACs and not of weights, since a weight of an early convolution does more of them. Single
    weights then make up the exact number. No layer loses its last weight.

    Attributes:
        timetable: of the run.
        macs: whole numbers, falling: of the initial masks, then after each update.
        macs_per_weight: output positions by layer.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.sparsity import Timetable
        >>> from growsearch.transforms import SparseSettings, sparse_plan
        >>> module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 2))
        >>> plan = sparse_plan(
        ...     module,
        ...     SparseSettings(sparsity=0.5, transform="sparse_parallel", updater="gmp"),
        ...     (torch.zeros(1, 8),),
        ...     timetable=Timetable(steps=40, interval=10),
        ...     generator=torch.Generator().manual_seed(0),
        ... )
        >>> plan.updater.schedule.macs
        (512, 201, 156, 155)
    """

    timetable: Timetable
    macs: tuple[int, ...]
    macs_per_weight: Mapping[str, int]

    @property
    def planned_for(self) -> Timetable | None:
        """The timetable."""
        return self.timetable

    @property
    def total(self) -> int:
        """The sum over all steps of one example's forward MACs in the masked layers."""
        return _total(self.macs, self.timetable.spans)

    def kept(self, scores: Mapping[str, Tensor], progress: float) -> dict[str, int]:
        """Keep the highest scores of all layers together that do the update's MACs.

        Raises:
            UsageError: if the run is not the one of the timetable.
        """
        limit = self.macs[self.timetable.update_at(progress)]
        return kept_at_macs(scores, self.macs_per_weight, limit)


def kept_at_macs(
    scores: Mapping[str, Tensor], macs_per_weight: Mapping[str, int], macs: int
) -> dict[str, int]:
    """Return how many of each layer's highest scores stay so that all do ``macs`` together.

    The nearest number where whole weights do not reach it. Scores of -inf stay out, and a layer
    that has others keeps one at least.
    """
    counts = counts_within(scores, macs_per_weight, macs)
    every = {name: int((score > -math.inf).sum()) for name, score in scores.items()}
    items = {
        name: Countable(
            count=max(count, min(1, every[name])),
            least=min(1, every[name]),
            most=every[name],
            cost=macs_per_weight[name],
        )
        for name, count in counts.items()
    }
    spent = sum(item.count * item.cost for item in items.values())
    return tune_counts(items, macs - spent)


def falling_shares(timetable: Timetable, shape: CubicSchedule) -> tuple[float, ...]:
    """Return w: MACs that fall from first to last are last + w (first - last).

    One for the initial masks and one for each update.
    """
    updates = range(1, timetable.updates + 1)
    return (1.0, *(shape.remaining(timetable.progress(update)) for update in updates))


def most_first(timetable: Timetable, shape: CubicSchedule, *, total: int, last: float) -> float:
    """Return how many MACs the initial masks may do at most if the end is to have ``last``.

    ``total`` is the sum over all steps, as in `plan_macs`.
    """
    falling = _falling(timetable, shape)
    return (total - last * (timetable.steps - falling)) / falling


def plan_macs(
    timetable: Timetable,
    shape: CubicSchedule,
    *,
    first: int,
    total: int,
    macs_per_weight: Mapping[str, int],
) -> MacSchedule:
    """Return the schedule that starts at ``first`` MACs and sums to ``total`` over all steps.

    MACs fall as ``shape``'s sparsity rises, to the level that the sum asks for. They are rounded to
    what whole weights can do, and single weights early in the run make up for the rounding, so that
    the sum is ``total`` to within half a weight during one interval. MACs never rise.

    Args:
        timetable: of the run.
        shape: only how fast it rises matters, not its sparsities.
        first: of the initial masks; those masks do exactly these.
        total: over all ``timetable.steps``, of one example a step.
        macs_per_weight: by masked layer.

    Raises:
        UsageError: if the run has no mask update, or the end would have to be below one weight a
            layer or above the start.
    """
    if not timetable.updates:
        raise UsageError(
            f"interval: a run of {timetable.steps} steps has no mask update every "
            f"{timetable.interval}; train longer or lower the interval"
        )
    falling, spans = _falling(timetable, shape), timetable.spans
    last = (total - first * falling) / (timetable.steps - falling)
    least = sum(macs_per_weight.values())
    unit = math.gcd(*macs_per_weight.values()) or 1
    if not least <= last <= first + unit:
        raise UsageError(
            f"schedule: from {first:,} MACs at the start, the masked layers would have to end at "
            f"{last:,.0f} for a mean of {total / timetable.steps:,.0f}; "
            + ("start sparser" if last < least else "start denser")
        )
    last = min(last, first)
    shares = falling_shares(timetable, shape)[1:]
    macs = [first, *(_floor(last + w * (first - last), unit) for w in shares)]
    _make_up(macs, spans, total, unit)
    return MacSchedule(
        timetable=timetable,
        macs=tuple(macs),
        macs_per_weight=dict(macs_per_weight),
    )


def _falling(timetable: Timetable, shape: CubicSchedule) -> float:
    """Return for how many steps the whole of the first MACs would have to stay."""
    shares = falling_shares(timetable, shape)
    return math.fsum(w * span for w, span in zip(shares, timetable.spans, strict=True))


def _floor(value: float, unit: int) -> int:
    return math.floor(value / unit) * unit


def _make_up(macs: list[int], spans: Sequence[int], total: int, unit: int) -> None:
    """Add what rounding has taken: one unit to each update from the first on, never to a rise."""
    missing = total - _total(macs, spans)
    for update in range(1, len(macs)):
        step = unit * spans[update]
        if 2 * missing > step and macs[update] + unit <= macs[update - 1]:
            macs[update] += unit
            missing -= step


def _total(macs: Sequence[int], spans: Sequence[int]) -> int:
    return sum(m * span for m, span in zip(macs, spans, strict=True))
