"""Search settings of a study: sampler, trials, time, early stopping, prescreening, backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from growsearch.kinds import Strict
from growsearch.kinds.values import Duration
from growsearch.search.config.numbers import MAX_SEED, Number, Whole

Sampler = Literal["auto", "random", "tpe", "nsga2", "gp", "gp-ehvi"]
Backend = Literal["ray", "serial"]
Proxy = Literal["synflow", "snip", "gradient_flow"]

_TRIALS = 32
# No study comes near: with a time budget alone there is no other bound.
UNBOUNDED = 1_000_000


class StopEarly(Strict):
    """Asynchronous successive halving: the worse trials of each rung are stopped.

    Rungs are after ``first`` epochs and its multiples by powers of ``eta``; a trial goes on if it
    is among the best 1/``eta`` that came there.
    """

    first: Whole = Field(
        default=1, ge=1, description="Epochs after which trials are judged for the first time."
    )
    eta: Whole = Field(
        default=3,
        ge=2,
        description="Of the trials that come to a rung, the best 1/eta go on; the rungs are eta "
        "times as many epochs apart.",
    )


class FirstFidelitySettings(Strict):
    """Rung 0: candidates are scored before they train, and the better share of a pool trains.

    ``proxy`` scores an untrained network, see `growsearch.trial.proxies`; of every ``pool``
    candidates the share ``keep`` is trained.
    """

    proxy: Proxy = Field(
        default="synflow",
        description="What scores an untrained network in the place of its accuracy; see "
        "growsearch.trial.proxies.",
    )
    keep: Number = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="Share of a pool's candidates that are trained, the best by their scores.",
    )
    pool: Whole = Field(default=16, ge=2, description="Candidates that are scored together.")


class SearchSettings(Strict):
    """How the space is searched."""

    sampler: Sampler = Field(
        default="auto",
        description="What proposes candidates; auto chooses by objectives and budget, see "
        "search.md.",
    )
    trials: Whole | None = Field(
        default=None,
        ge=1,
        description="Trials of the whole run. Default: 32, and as many as fit with a time_budget.",
    )
    parallel: Whole = Field(default=1, ge=1, description="Trials at a time.")
    seed: Whole = Field(
        default=0,
        ge=0,
        le=MAX_SEED,
        description="Seed of the search; with it and its settings a trial's own seed is fixed.",
    )
    backend: Backend = Field(
        default="ray",
        description="Where trials run: in Ray's workers, or one after the other in this process.",
    )
    stop_early: StopEarly | None = Field(
        default=None,
        description="Stop trials early by asynchronous successive halving. Default: all are "
        "trained to their end.",
    )
    first_fidelity: FirstFidelitySettings | None = Field(
        default=None,
        description="Score candidates before training. Default: every candidate is trained.",
    )
    points_to_evaluate: tuple[dict[str, Any] | Literal["dense", "papers"], ...] = Field(
        default=(),
        description="Candidates that come first: mappings of a kind's keys with its name as kind, "
        "dense (the least sparse networks) or papers (the papers' settings).",
        json_schema_extra={"form": "list: mapping of keys, or name", "range": "`dense`, `papers`"},
    )
    warm_start: tuple[Path, ...] = Field(
        default=(),
        description="Folders of earlier runs on the same data, from which the sampler learns; "
        "relative to the study's file.",
    )
    time_limit: Duration = Field(
        default=None,
        description="What one attempt at a trial may take; one that takes longer has failed. "
        "Default: there is no limit.",
    )
    time_budget: Duration = Field(
        default=None,
        description="Wall clock of one search, in seconds or as 2 min, 1 h: no trial starts that "
        "could not finish, and those that run at its end are kept to be resumed. Default: none.",
    )
    repeats: Whole = Field(
        default=0,
        ge=0,
        le=100,
        description="How many times more the members of the front are trained at the end, with "
        "other seeds, to tell mean and deviation; one after the other, where the search is "
        "started. Their figures choose nothing, and search.trials does not count them.",
    )
    gpus_per_trial: Number = Field(
        default=0.0,
        ge=0.0,
        description="GPUs that Ray gives each trial for itself, to train or measure on: a part of "
        "one (0.5 is two trials a GPU) or a whole number; 0 gives none. On several, of one node, a "
        "trial trains data-parallel, a worker each.",
    )
    workers_per_trial: Whole = Field(
        default=1,
        ge=1,
        le=4096,
        description="Processes of one node that train each trial together, each on its share of "
        "every batch; they have cpus_per_trial cores each. On GPUs it follows from gpus_per_trial.",
    )
    cpus_per_trial: Whole = Field(
        default=1,
        ge=1,
        le=4096,
        description="Processor cores that Ray reserves for each trial (each worker of it, where "
        "there are several), and its threads where training.threads is auto.",
    )

    @model_validator(mode="before")
    @classmethod
    def _so_many_unless_time_ends_it(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("trials") is None and not data.get("time_budget"):
            return {**data, "trials": _TRIALS}
        return data

    @property
    def most_trials(self) -> int:
        """The trials after which a search ends in any case."""
        return UNBOUNDED if self.trials is None else self.trials
