"""Uniform allocation: every group keeps one share of its channels."""

from __future__ import annotations

from torch import Tensor

from growsearch.pruning.allocation.allocation import Request, Widths


def uniform(request: Request) -> Tensor:
    """Return the widest network (total,) whose groups keep one share of their channels.

    What whole blocks leave of the limit goes to the groups that are furthest behind a larger share.
    Units stay.

    Raises:
        UsageError: if the limit is below the least widths.
    """
    widths = Widths(request)
    groups = [g for g in widths.movable() if not widths.is_given(g) and not widths.is_unit(g)]
    present = {g: widths.counts[g] for g in groups}
    # The widths change only where the share times a group's channels is a whole number.
    shares = sorted({k / widths.sizes[g] for g in groups for k in range(1, present[g] + 1)})
    low, high = -1, len(shares) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _at(widths, present, shares[middle]) <= widths.limit:
            low = middle
        else:
            high = middle - 1
    _at(widths, present, shares[low] if low >= 0 else 0.0)
    widths.check()
    _fill(widths, groups)
    return widths.live()


def _at(widths: Widths, present: dict[int, int], share: float) -> float:
    """Set every group to this share, and return the cost."""
    for group, most in present.items():
        multiple = widths.multiples[group]
        width = int(share * widths.sizes[group] + 1e-9) // multiple * multiple
        widths.counts[group] = min(most, max(widths.least(group), width))
    return widths.cost()


def _fill(widths: Widths, groups: list[int]) -> None:
    waiting = set(groups)
    while True:
        wider = {g: w for g in sorted(waiting) if (w := widths.above(g)) is not None}
        if not wider:
            return
        waiting = set(wider)
        group = min(wider, key=lambda g: widths.share(g, wider[g]))
        changed = widths.without(group, wider[group])
        if widths.cost(changed) > widths.limit:
            waiting.discard(group)
        else:
            widths.counts = changed
