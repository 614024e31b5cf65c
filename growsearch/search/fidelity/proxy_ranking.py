"""Proxy ranking: the better ones of a pool of untrained candidates of like cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from growsearch.pareto import Direction
from growsearch.search.fidelity.mo_asha import pareto_ranks, rank_contributions
from growsearch.trial.proxies import Scored

# What stands for the costs where none of the study's objectives is known before training.
_STAND_INS = ("macs", "dense_macs")


def costs_to_compare(
    pool: Sequence[Scored], objectives: Mapping[str, Direction]
) -> dict[str, Direction]:
    """Return the costs that all of a pool know, of the objectives or else MACs, with directions."""
    known = set.intersection(*(set(entry.costs) for entry in pool)) if pool else set()
    found = {n: d for n, d in objectives.items() if n != "accuracy" and n in known}
    if found:
        return found
    stand_in = next((name for name in _STAND_INS if name in known), None)
    return {} if stand_in is None else {stand_in: "minimize"}


def better_share(
    pool: Sequence[Scored],
    objectives: Mapping[str, Direction],
    *,
    keep: float,
    lots: np.random.Generator,
) -> frozenset[int]:
    """Return the places of the candidates to train: all without a score, and the best ``keep``.

    A proxy grows with the network, so that it is compared among like costs: by the non-dominated
    rank of proxy and known costs, and within a rank by the hypervolume that a candidate adds.
    Every value counts by its place in the pool alone, as a proxy's scale means nothing: where the
    proxy says no more than the cost does, all are of one rank and nobody is preferred for its size.
    ``lots`` decides between equals. Of n scored ones ceil(keep n) are trained.
    """
    places = [place for place, entry in enumerate(pool) if entry.score is not None]
    free = frozenset(range(len(pool))) - frozenset(places)
    if not places:
        return free
    scored = [pool[place] for place in places]
    columns = [_ordinal([-entry.score for entry in scored if entry.score is not None])]
    for name, direction in costs_to_compare(scored, objectives).items():
        sign = 1.0 if direction == "minimize" else -1.0
        columns.append(_ordinal([sign * entry.costs[name] for entry in scored]))
    values = np.column_stack(columns)
    ranks = pareto_ranks(values)
    gains = rank_contributions(values, ranks).round(9)
    order = np.lexsort((lots.permutation(len(places)), -gains, ranks))
    return free | {places[index] for index in order[: math.ceil(keep * len(places))]}


def _ordinal(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return each value's place among the different values, 0 for the least."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.float64)
