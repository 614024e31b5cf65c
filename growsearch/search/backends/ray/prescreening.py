"""Prescreening on Ray: pools of candidates scored by a few tasks beside the trials that run."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import optuna

from growsearch.kinds import CandidateConfig
from growsearch.search.backends.ray.map_batches import in_batches
from growsearch.search.config.study import StudyConfig
from growsearch.search.fidelity.prescreening import FirstFidelity, scoring
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import ConstraintFilter
from growsearch.trial.proxies import Scored
from growsearch.trial.task import TrialTask


def rung_zero(
    config: StudyConfig,
    task: TrialTask,
    study: optuna.study.Study,
    recorder: Recorder,
    constraint_filter: ConstraintFilter,
) -> FirstFidelity | None:
    """Return a study's first fidelity, if it has one; its pools are scored in Ray's workers."""
    if config.search.first_fidelity is None:
        return None
    score = functools.partial(score_on_ray, config=config, task=task)
    return FirstFidelity(config, study, recorder, constraint_filter, score)


def score_on_ray(
    candidates: Sequence[CandidateConfig], *, config: StudyConfig, task: TrialTask
) -> list[Scored]:
    """Score candidates in order, in as many tasks as the study has trials at a time."""
    workers = config.search.parallel
    return list(
        in_batches(
            scoring(config, task),
            candidates,
            batch_size=math.ceil(len(candidates) / workers),
            ahead=workers,
            beside_trials=True,
        )
    )
