"""Initial design of a search whose costs are known before anything has trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from growsearch.search.samplers.gp_ehvi.candidates import CandidateCache, DescribedCandidate, key_of
from growsearch.search.samplers.gp_ehvi.observations import Observations
from growsearch.search.samplers.gp_ehvi.search_space import Params


def start_point(
    book: CandidateCache, limits: Sequence[float] | None, history: Observations, turns: int
) -> Params:
    """Return the start point that comes next: each has a range of the known costs to itself.

    The random candidates are cut into as many ranges of equal numbers, by cost, as there are start
    points. Within its range a start point is the untried candidate whose features differ most from
    all before: networks of one cost can be alike in nothing else. Several costs are ordered by
    their mean rank. Where no cost is known, the ranges are random.

    Args:
        book: the random candidates.
        limits: only candidates of lower costs come into question; None: all.
        history: what was started already; taken again only if nothing else is left.
        turns: start points in all; as many as were tried are done.
    """
    ranked = _by_cost([c for c in book.drawn if _below(c.costs, limits)] or book.drawn)
    turn = len(history.tried)
    low, high = (round(place * len(ranked) / turns) for place in (turn, turn + 1))
    own = _untried(ranked[low:high], history) or _untried(ranked, history) or ranked
    before = [*history.results, *history.running]
    if not before:
        return own[len(own) // 2].params
    return own[int(np.argmax(_distances(book, own, before)))].params


def _by_cost(candidates: Sequence[DescribedCandidate]) -> list[DescribedCandidate]:
    costs = np.array([candidate.costs for candidate in candidates])
    if not costs.size:
        return list(candidates)
    ranks = rankdata(np.nan_to_num(costs), axis=0).mean(axis=1)
    return [candidates[int(place)] for place in np.argsort(ranks, kind="stable")]


def _untried(
    candidates: Sequence[DescribedCandidate], history: Observations
) -> list[DescribedCandidate]:
    return [c for c in candidates if key_of(c.params) not in history.tried]


def _distances(
    book: CandidateCache,
    candidates: Sequence[DescribedCandidate],
    before: Sequence[DescribedCandidate],
) -> npt.NDArray[np.float64]:
    """Return how far each candidate's features are from the nearest of those before."""
    apart = cdist(book.features(candidates), book.features(before))
    return np.asarray(apart.min(axis=1))


def _below(costs: Sequence[float], limits: Sequence[float] | None) -> bool:
    if limits is None:
        return True
    # NaN is not above anything: an unknown cost may be low.
    return not any(cost >= limit for cost, limit in zip(costs, limits, strict=True))
