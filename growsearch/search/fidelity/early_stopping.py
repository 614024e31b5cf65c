"""Early stopping of a study's trials, from what each epoch tells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from growsearch.kinds import CandidateConfig, trial_id, trial_seed
from growsearch.pareto import MEASURES, Direction
from growsearch.search.config.study import PLAIN_OBJECTIVES, StudyConfig
from growsearch.search.fidelity.mo_asha import MultiObjectiveAsha, RungRecord, rung_steps
from growsearch.training import EpochRecord
from growsearch.trial.record import RungResult, Trial

# The keys of a worker's report of a rung. The epochs are the trial's own count; the values are one
# text, since Tune takes nested reports apart; whether it had passed the rung before it was cut off.
EPOCH, VALUES, PASSED = "rung_epoch", "rung_values", "rung_passed"

# A latency, a size and the MACs of a network are known only when it is final: on a rung the MACs
# that it has at that epoch stand for all of them.
_STAND_IN = "macs"


def is_told(name: str) -> bool:
    """Tell whether every epoch has this figure: accuracy, training MACs, a task's own metrics."""
    if name in MEASURES:
        return MEASURES[name].every_epoch
    return name == "training_macs" or not (name in PLAIN_OBJECTIVES or "[" in name)


def rung_directions(objectives: Mapping[str, Direction]) -> dict[str, Direction]:
    """Return what is compared on a rung, and which way; of several costs the first says which."""
    found: dict[str, Direction] = {}
    for name, direction in objectives.items():
        if name in MEASURES and not MEASURES[name].every_epoch:
            # No epoch tells a calibration or a robustness: accuracy stands for all of them.
            found.setdefault("accuracy", "maximize")
            continue
        told = name if is_told(name) else _STAND_IN
        found.setdefault(told, direction)
    return found


def epoch_values(record: EpochRecord) -> dict[str, float]:
    """Return an epoch's figures by the names of `rung_directions`."""
    judged = {} if record.accuracy is None else {"accuracy": record.accuracy}
    return {
        **judged,
        **record.metrics,
        "macs": float(record.forward_macs),
        "training_macs": float(record.training_macs),
    }


class EarlyStopping:
    """The rungs of a study's search, counted in epochs and rebuilt from its ledger.

    Args:
        config: a study with ``search.stop_early``.
        trials: of earlier sessions.
    """

    def __init__(self, config: StudyConfig, trials: Iterable[Trial]) -> None:
        settings = config.search.stop_early
        assert settings is not None
        most = config.trials.max_epochs
        self._stopped: set[str] = set()
        self.rungs = rung_steps(settings.first, most, settings.eta)
        self._directions = rung_directions(config.objectives)
        self._results: dict[str, list[RungResult]] = {
            trial.id: list(trial.rungs) for trial in trials
        }
        self._asha = MultiObjectiveAsha.rebuilt(
            self._directions,
            self.rungs,
            [
                RungRecord(trial=name, steps=result.epoch, values=result.values)
                for name, results in self._results.items()
                for result in results
            ],
            eta=settings.eta,
            seed=config.search.seed,
        )

    def goes_on(self, trial: str, epoch: int, values: Mapping[str, float]) -> bool:
        """Hear of a trial's epoch and tell whether it is to be trained further.

        The last rung is the end of the longest trial: nothing is stopped there. A trial that comes
        to a rung again, after a crash, is not asked again: what was said counts.
        """
        if not self._is_new(trial, epoch):
            return trial not in self._stopped
        if not self._asha.goes_on(self._entered(trial, epoch, values)):
            self._stopped.add(trial)
        return trial not in self._stopped

    def passed(self, trial: str, epoch: int, values: Mapping[str, float]) -> None:
        """Hear of a rung that let a trial go on in an earlier session, which left no ledger line.

        Others are compared with it, and the trial is not asked again.
        """
        if self._is_new(trial, epoch):
            self._asha.record(self._entered(trial, epoch, values))

    def _is_new(self, trial: str, epoch: int) -> bool:
        """Tell whether the epoch is a rung's, and the trial has not been heard of there."""
        known = self._results.get(trial, ())
        return epoch in self.rungs[:-1] and all(result.epoch != epoch for result in known)

    def _entered(self, trial: str, epoch: int, values: Mapping[str, float]) -> RungRecord:
        compared = {name: values[name] for name in self._directions}
        found = RungResult(epoch=epoch, values=compared)
        self._results.setdefault(trial, []).append(found)
        return RungRecord(trial=trial, steps=epoch, values=compared)

    def has_stopped(self, trial: str) -> bool:
        """Tell whether a rung ended the trial; one that was interrupted otherwise is unfinished."""
        return trial in self._stopped

    def labelled(self, trial: Trial) -> Trial:
        """Return a trial with the results by which it was judged, for the ledger."""
        return dataclasses.replace(trial, rungs=tuple(self._results.get(trial.id, ())))


def stopped_at_rung(
    candidate: CandidateConfig, study_seed: int, result: Mapping[str, Any]
) -> Trial:
    """Return the entry of a trial that was stopped from outside, after a rung's report."""
    values: dict[str, float] = json.loads(result[VALUES])
    return Trial(
        id=trial_id(candidate, study_seed),
        number=0,
        kind=candidate.kind,
        status="stopped",
        config=candidate.to_json(),
        seed=trial_seed(candidate, study_seed),
        metrics={"epochs": int(result[EPOCH]), **values},
        duration_s=round(float(result.get("time_total_s", 0.0)), 3),
    )


def early_stopping(config: StudyConfig, trials: Iterable[Trial]) -> EarlyStopping | None:
    """Return a study's early stopping, if it has one."""
    return None if config.search.stop_early is None else EarlyStopping(config, trials)
