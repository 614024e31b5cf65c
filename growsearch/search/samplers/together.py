"""Candidates that share their training, as branches of a trunk do: one asked for brings the rest.

What such candidates share is trained once, so that the others come for little: a search runs all of
them, also where its sampler would not ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from growsearch.kinds import CandidateConfig, TrialKinds, kind_of, trial_id
from growsearch.kinds.questions import Questions
from growsearch.search.config.study import StudyConfig
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.replay import params_of

# What an Optuna trial carries that was asked for, not chosen by a sampler.
QUEUED = {"queued": True}


def queue_together(
    study: optuna.study.Study, candidate: CandidateConfig, config: StudyConfig, recorder: Recorder
) -> None:
    """Queue what shares its training with a candidate that starts, and has not started yet."""
    for other in kind_of(candidate).together(candidate):
        if trial_id(other, config.search.seed) not in recorder.starts:
            params = params_of(other.to_json(), config.trials)
            study.enqueue_trial(params, user_attrs=QUEUED, skip_if_exists=True)


def only_groups(kinds: TrialKinds) -> list[CandidateConfig]:
    """Return the first candidate of every kind that has one group of them and no other choice."""
    found = []
    for kind, space in kinds.items():
        if kind.sharing(space) > 1:
            first = _First()
            candidate: CandidateConfig = kind.suggest(Questions(first, kind.name), space)
            if first.asked == 1:
                found.append(candidate)
    return found


class _First:
    """Answers with the first option, and counts the questions."""

    def __init__(self) -> None:
        self.asked = 0

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ARG002
        self.asked += 1
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:  # noqa: ARG002
        self.asked += 1
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:  # noqa: ARG002
        self.asked += 1
        return low
