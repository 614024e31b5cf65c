"""Early stopping on Ray: a study's rungs as a scheduler of Tune."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from growsearch.kinds import candidate_from_json, trial_id
from growsearch.search.fidelity.early_stopping import (
    EPOCH,
    PASSED,
    VALUES,
    EarlyStopping,
    epoch_values,
)
from growsearch.training import EpochRecord
from growsearch.trial.run import Listener


def rung_reports(
    rungs: Sequence[int], report: Callable[[dict[str, Any]], None] = tune.report
) -> Listener:
    """Return what reports a trial's rungs from its worker to the driver, by ``report``.

    One that was cut off reports the rungs behind it once more, as passed: a driver of another
    session has not heard of them. The last epoch may have come to its rung without being asked.
    """

    def tell(record: EpochRecord, *, passed: bool = False) -> None:
        if record.epoch in rungs:
            values = json.dumps(epoch_values(record))
            report({EPOCH: record.epoch, VALUES: values, PASSED: passed})

    def resumed(records: Sequence[EpochRecord]) -> None:
        for record in records[:-1]:
            tell(record, passed=True)
        tell(records[-1])

    return Listener(tell, resumed)


class RungScheduler(FIFOScheduler):  # type: ignore[misc]
    """Starts trials in their order, and stops those that a rung does not let go on.

    Tune keeps no scheduler's state: the rungs come from the ledger.
    """

    def __init__(self, stopping: EarlyStopping, seed: int) -> None:
        super().__init__()
        self._stopping, self._seed = stopping, seed

    def on_trial_result(
        self,
        tune_controller: Any,  # noqa: ARG002
        trial: Any,
        result: Mapping[str, Any],
    ) -> str:
        """Judge a trial that reports a rung; other reports change nothing."""
        if EPOCH not in result:
            return str(TrialScheduler.CONTINUE)
        name = trial_id(candidate_from_json(trial.config["candidate"]), self._seed)
        values = json.loads(result[VALUES])
        if result.get(PASSED):
            self._stopping.passed(name, int(result[EPOCH]), values)
            return str(TrialScheduler.CONTINUE)
        goes_on = self._stopping.goes_on(name, int(result[EPOCH]), values)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)
