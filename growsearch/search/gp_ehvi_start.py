"""Where does a search begin, when costs are known before anything has trained?"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from scipy.stats import rankdata

from growsearch.search.gp_ehvi_candidates import CandidateBook, Key, key_of
from growsearch.search.gp_ehvi_space import Params


def start_point(
    book: CandidateBook, limits: Sequence[float] | None, tried: Container[Key], quantile: float
) -> Params:
    """Return the untried random candidate nearest to a quantile of the known costs.

    Several costs are ordered by their mean rank. Where no cost is known, any one is as good.

    Args:
        book: the random candidates.
        limits: only candidates of lower costs come into question; None: all.
        tried: what was started already; taken again only if nothing else is left.
        quantile: the place among the costs, in (0, 1).
    """
    worth = [c for c in book.drawn if _below(c.costs, limits)] or book.drawn
    costs = np.array([candidate.costs for candidate in worth])
    ranks = (
        rankdata(np.nan_to_num(costs), axis=0).mean(axis=1) if costs.size else np.zeros(len(worth))
    )
    order = np.argsort(ranks, kind="stable")
    wanted = quantile * len(order)
    by_distance = sorted(range(len(order)), key=lambda place: abs(place - wanted))
    ranked = [worth[int(order[place])] for place in by_distance]
    untried = (c for c in ranked if key_of(c.params) not in tried)
    return next(untried, ranked[0]).params


def _below(costs: Sequence[float], limits: Sequence[float] | None) -> bool:
    if limits is None:
        return True
    # NaN is not above anything: an unknown cost may be low.
    return not any(cost >= limit for cost, limit in zip(costs, limits, strict=True))
