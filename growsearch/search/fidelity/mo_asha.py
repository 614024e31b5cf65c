"""Multi-objective successive halving: which trials deserve to be trained further.

Asynchronous successive halving (ASHA, Li et al., arXiv 1810.05934, algorithm 2): a trial that is
among the best 1/eta of its rung is promoted to the next one as soon as a worker is free. What is
best under several objectives follows Schmucker et al. (arXiv 2106.12639): first the non-dominated
rank, then, within a rank, the hypervolume that a trial adds to the others of its rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import moocore
import numpy as np
import numpy.typing as npt

from growsearch.errors import UsageError
from growsearch.pareto import Direction

# The reference of contributions lies so much of a rung's range beyond its worst values, so that the
# trials at the ends of a front add something too.
_MARGIN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RungRecord:
    """A trial's objectives after it has been trained for ``steps`` steps in all."""

    trial: str
    steps: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A trial that is to be trained further, until it has ``steps`` steps in all."""

    trial: str
    steps: int


def rung_steps(first: int, most: int, eta: int) -> tuple[int, ...]:
    """Return the steps of each rung: ``first`` times the powers of ``eta``, ``most`` at the end.

    Raises:
        UsageError: unless 1 <= first <= most and eta >= 2.
    """
    if not 1 <= first <= most:
        raise UsageError(f"first = {first}: must be from 1 to most = {most}")
    if eta < 2:
        raise UsageError(f"eta = {eta}: must be at least 2; one of eta trials is promoted")
    steps = [first]
    while steps[-1] * eta < most:
        steps.append(steps[-1] * eta)
    return (*steps, most) if steps[-1] < most else tuple(steps)


class MultiObjectiveAsha:
    """The rungs of a search and what they say should run next.

    It counts steps itself, from the records that it is given, and its state is a function of them:
    one rebuilt from a ledger's records decides like one that saw the search.

    Args:
        directions: of every objective.
        steps: of every rung, ascending; see `rung_steps`.
        eta: one of so many trials is promoted.
        seed: decides between trials that are equal in everything.
    """

    def __init__(
        self, directions: Mapping[str, Direction], steps: Sequence[int], *, eta: int, seed: int
    ) -> None:
        self._directions, self._steps, self._eta = dict(directions), tuple(steps), eta
        self._seed = seed
        self._rungs = [_Rung(len(self._directions)) for _ in self._steps]
        self._promoted: list[set[str]] = [set() for _ in self._steps]

    @classmethod
    def rebuilt(
        cls,
        directions: Mapping[str, Direction],
        steps: Sequence[int],
        records: Iterable[RungRecord],
        *,
        eta: int,
        seed: int,
    ) -> Self:
        """Return the state after ``records``; a trial on a higher rung was promoted to it."""
        asha = cls(directions, steps, eta=eta, seed=seed)
        for record in records:
            asha.record(record)
        return asha

    def record(self, record: RungRecord) -> None:
        """Enter a result of a trial on the rung that it has reached.

        Raises:
            UsageError: for steps that are no rung's, a missing objective or a value not finite.
        """
        if record.steps not in self._steps:
            raise UsageError(
                f"trial {record.trial}: steps = {record.steps} is no rung; "
                f"rungs: {', '.join(map(str, self._steps))}"
            )
        values = tuple(
            (-1.0 if direction == "maximize" else 1.0) * record.values.get(name, math.nan)
            for name, direction in self._directions.items()
        )
        if not all(map(math.isfinite, values)):
            raise UsageError(f"trial {record.trial}: {dict(record.values)} is not finite")
        place = self._steps.index(record.steps)
        self._rungs[place].enter(record.trial, values)
        for below in self._promoted[:place]:
            below.add(record.trial)

    def goes_on(self, record: RungRecord) -> bool:
        """Enter a result and tell whether its trial is to be trained further.

        This is how a trial is judged that is never resumed: it stops unless it is among the best
        1/eta of those that came to its rung so far. Where fewer than eta have, it goes on.

        Raises:
            UsageError: see `record`.
        """
        self.record(record)
        place = self._steps.index(record.steps)
        rung = self._rungs[place]
        if len(rung) < self._eta:
            return True
        values, mine = rung.values, rung.row(record.trial)
        ranks = pareto_ranks(values)
        room = len(rung) // self._eta - int((ranks < ranks[mine]).sum())
        equals = np.flatnonzero(ranks == ranks[mine])
        if room <= 0 or room >= len(equals):
            return room > 0
        # Only now does it matter what each adds to the others of its rank. The rung's other ranks
        # set the scale as in `ranking`, so that both agree.
        gains = _contributions(_scaled(values), equals)
        own = gains[equals == mine]
        better, tied = int((gains > own).sum()), int((gains == own).sum())
        if better >= room or better + tied <= room:
            return better < room
        return record.trial in self.best(place)

    def next_promotion(self) -> Promotion | None:
        """Return the promotion that is due, and count it as given; None if a new trial should run.

        Higher rungs come first. On a rung of n trials the best n // eta may be promoted.
        """
        for place in range(len(self._steps) - 2, -1, -1):
            for trial in self.best(place):
                if trial not in self._promoted[place]:
                    self._promoted[place].add(trial)
                    return Promotion(trial=trial, steps=self._steps[place + 1])
        return None

    def best(self, place: int) -> tuple[str, ...]:
        """Return the best 1/eta of a rung, best first."""
        ranked = self.ranking(place)
        return ranked[: len(ranked) // self._eta]

    def ranking(self, place: int) -> tuple[str, ...]:
        """Return the trials of a rung, best first, whatever the order in which they came."""
        rung = self._rungs[place]
        if not len(rung):
            return ()
        names = sorted(rung.names)
        values = rung.values[[rung.row(name) for name in names]]
        ranks = pareto_ranks(values)
        gains = rank_contributions(values, ranks)
        lots = np.random.default_rng([self._seed, place, len(names)]).permutation(len(names))
        order = np.lexsort((lots, -gains, ranks))
        return tuple(names[index] for index in order)


def pareto_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return 0 for what nothing dominates, 1 for what only rank 0 does, and so on (minimised)."""
    if values.shape[1] == 1:
        return np.unique(values[:, 0], return_inverse=True)[1]
    return np.asarray(moocore.pareto_rank(values), dtype=np.intp)


def rank_contributions(
    values: npt.NDArray[np.float64], ranks: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the hypervolume that each row adds to the others of its rank, shape (rows,).

    The reference lies a tenth of each objective's range beyond its worst value. Rows that are equal
    add nothing to each other.
    """
    scaled, gains = _scaled(values), np.zeros(len(values))
    for rank in np.unique(ranks):
        places = np.flatnonzero(ranks == rank)
        gains[places] = _contributions(scaled, places)
    return gains


def _scaled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values with each objective's range from 0 to 1."""
    worst, best = values.max(axis=0), values.min(axis=0)
    return np.asarray((values - best) / np.where(worst > best, worst - best, 1.0))


def _contributions(
    scaled: npt.NDArray[np.float64], places: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return what each of some rows adds to the others of them."""
    reference = np.full(scaled.shape[1], 1.0 + _MARGIN)
    return np.asarray(moocore.hv_contributions(scaled[places], ref=reference))


class _Rung:
    """The trials that came to one rung and their values, in a table that doubles when it is full.

    A table that was built anew for every trial would make each one take longer than the last.
    """

    def __init__(self, objectives: int) -> None:
        self._rows: dict[str, int] = {}
        self._table = np.empty((16, objectives))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> Iterable[str]:
        """The trials, in the order in which they came."""
        return self._rows.keys()

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Their values, shape (trials, objectives)."""
        return self._table[: len(self._rows)]

    def row(self, trial: str) -> int:
        """Return the place of a trial."""
        return self._rows[trial]

    def enter(self, trial: str, values: Sequence[float]) -> None:
        """Enter a trial's values; those of one that came again take the place of the old ones."""
        row = self._rows.setdefault(trial, len(self._rows))
        if row == len(self._table):
            self._table = np.concatenate([self._table, np.empty_like(self._table)])
        self._table[row] = values
