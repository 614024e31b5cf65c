"""Prescreening: pools of candidates, scored at initialisation, of which the better share trains.

The sampler is asked for a pool of candidates; the better share of it trains, the rest is rejected.
A pool's line is on disk before any of its candidates trains, so that a resumed search neither
scores nor rejects anything twice.
"""

from __future__ import annotations

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from growsearch.files import append_line
from growsearch.kinds import CandidateConfig, suggest_candidate, trial_id
from growsearch.reading import parse_json, read_limited, reading
from growsearch.search.config.study import StudyConfig
from growsearch.search.fidelity.proxy_ranking import better_share
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import MAX_BYTES, ConstraintFilter, Rejected
from growsearch.search.samplers.history import tell
from growsearch.search.samplers.replay import draws, kept_candidate
from growsearch.search.samplers.together import QUEUED
from growsearch.trial.proxies import Scored, can_score, score_candidate
from growsearch.trial.task import TrialTask
from growsearch.trial.trial_folder import is_trial_id

POOLS_FILE = "first_fidelity.jsonl"
# So many answers that are known already in a row, beyond twice what is known, and the space has run
# dry: a resumed sampler starts with what it had said before.
_REPEATS = 100

Asked = tuple[optuna.Trial, CandidateConfig]
# Scores candidates in their order.
Score = Callable[[Sequence[CandidateConfig]], list[Scored]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEntry:
    """A scored candidate of a pool: what the sampler chose, its score, and whether it trains."""

    id: str
    params: Mapping[str, Any]
    score: float | None
    kept: bool


def score_here(
    candidates: Sequence[CandidateConfig], *, config: StudyConfig, task: TrialTask
) -> list[Scored]:
    """Score candidates in this process."""
    return [scoring(config, task)(candidate) for candidate in candidates]


def scoring(config: StudyConfig, task: TrialTask) -> Callable[[CandidateConfig], Scored]:
    """Return what scores one candidate of a study, small enough to be sent to a worker."""
    settings = config.search.first_fidelity
    assert settings is not None
    return functools.partial(
        score_candidate, task=task, study_seed=config.search.seed, proxy=settings.proxy
    )


class FirstFidelity:
    """Asks the sampler for pools and gives out, one by one, the candidates that are to train.

    What a person asked for (unfinished trials, points to evaluate) and what cannot be scored
    before training passes without being judged.

    Args:
        config: a study with ``search.first_fidelity``.
        study: the Optuna study, with all that is known already in it.
        recorder: the run's record.
        constraint_filter: rejects what breaks constraints, and writes down what a pool rejects.
        score: scores a pool.
    """

    def __init__(
        self,
        config: StudyConfig,
        study: optuna.study.Study,
        recorder: Recorder,
        constraint_filter: ConstraintFilter,
        score: Score,
    ) -> None:
        settings = config.search.first_fidelity
        assert settings is not None
        self._config, self._settings = config, settings
        self._study, self._recorder, self._constraint_filter = study, recorder, constraint_filter
        self._score = score
        self._file = recorder.folder.path / POOLS_FILE
        self._ready: deque[Asked] = deque()
        self._pools = self._restore()

    def next(self) -> Asked | None:
        """Return the next candidate to train; None once the sampler only repeats itself."""
        while not self._ready:
            pool = self._ask()
            if pool:
                self._choose(pool)
            elif not self._ready:
                return None
        return self._ready.popleft()

    def _ask(self) -> list[Asked]:
        """Return new candidates, a full pool of them unless something is to run at once."""
        pool: dict[str, Asked] = {}
        repeats = 0
        most = _REPEATS + 2 * (len(self._recorder.trials) + len(self._constraint_filter.rejected))
        while len(pool) < self._settings.pool and repeats <= most:
            asked = self._study.ask()
            candidate = suggest_candidate(asked, self._config.trials)
            name = trial_id(candidate, self._config.search.seed)
            if self._repeated(name, asked, candidate, pool):
                repeats += 1
            elif self._constraint_filter.refuses(self._study, asked, candidate):
                continue
            elif asked.user_attrs == QUEUED or not can_score(candidate):
                self._ready.append((asked, candidate))
                if not pool:
                    return []
            else:
                repeats = 0
                pool[name] = (asked, candidate)
        return list(pool.values())

    def _repeated(
        self, name: str, asked: optuna.Trial, candidate: CandidateConfig, pool: Mapping[str, Asked]
    ) -> bool:
        """Tell the sampler at once what is known of a candidate, if anything is."""
        known = self._recorder.known(candidate)
        if known is not None:
            tell(self._study, asked, known, self._config)
            return True
        rejected = self._constraint_filter.rejected.get(name)
        let_go = rejected is not None and not rejected.excess
        if let_go or name in pool or name in self._recorder.running:
            self._study.tell(asked, state=TrialState.PRUNED)
            return True
        return False

    def _choose(self, pool: list[Asked]) -> None:
        scored = self._score([candidate for _, candidate in pool])
        kept = better_share(
            scored,
            self._config.objectives,
            keep=self._settings.keep,
            lots=np.random.default_rng([self._config.search.seed, self._pools]),
        )
        self._pools += 1
        entries = [
            PoolEntry(
                id=trial_id(candidate, self._config.search.seed),
                params=asked.params,
                score=found.score,
                kept=place in kept,
            )
            for place, ((asked, candidate), found) in enumerate(zip(pool, scored, strict=True))
        ]
        self._write(entries)
        for (asked, candidate), entry in zip(pool, entries, strict=True):
            if entry.kept:
                self._ready.append((asked, candidate))
            else:
                self._reject(entry, candidate)
                self._study.tell(asked, state=TrialState.PRUNED)

    def _write(self, entries: Sequence[PoolEntry]) -> None:
        lines = [
            {"id": e.id, "params": dict(e.params), "score": e.score, "kept": e.kept}
            for e in entries
        ]
        data = {"proxy": self._settings.proxy, "pool": lines}
        append_line(self._file, json.dumps(data, allow_nan=False, separators=(",", ":")))

    def _reject(self, entry: PoolEntry, candidate: CandidateConfig) -> None:
        assert entry.score is not None
        proxy: dict[str, float] = {self._settings.proxy: entry.score}
        self._constraint_filter.reject(
            Rejected(id=entry.id, candidate=candidate.to_json(), proxy=proxy)
        )

    def _restore(self) -> int:
        """Queue what earlier pools kept and nobody started; return the number of these pools.

        What they let go and a crash kept from `rejected.jsonl` is written there now. What an edited
        study would not draw is passed over.
        """
        pools = list(read_pools(self._file))
        edited = self._recorder.folder.edits.exists()
        kinds, seed = self._config.trials, self._config.search.seed
        with reading(self._file, "restore it, or start anew with --fresh"):
            for entry in (entry for pool in pools for entry in pool):
                if edited and not draws(entry.params, entry.id, kinds, seed):
                    continue
                candidate = kept_candidate(entry.params, self._config.trials)
                if not entry.kept:
                    self._reject(entry, candidate)
                elif entry.id not in self._recorder.starts:
                    self._study.enqueue_trial(dict(entry.params), user_attrs=QUEUED)
        return len(pools)


def read_pools(path: Path) -> Iterator[list[PoolEntry]]:
    """Yield a run's pools; a line cut short by a crash is passed over: nothing of it had begun."""
    if not path.exists():
        return
    with reading(path, "remove it to draw these pools anew"):
        lines = read_limited(path, MAX_BYTES).split(b"\n")
    for line in lines:
        try:
            yield [_entry(data) for data in parse_json(line)["pool"]]
        except (ValueError, KeyError, TypeError, OverflowError):
            continue


def _entry(data: Mapping[str, Any]) -> PoolEntry:
    score = data["score"]
    if not is_trial_id(data["id"]):
        raise ValueError(f"id {data['id']!r} is no trial's")
    return PoolEntry(
        id=str(data["id"]),
        params=dict(data["params"]),
        score=None if score is None else float(score),
        kept=bool(data["kept"]),
    )
