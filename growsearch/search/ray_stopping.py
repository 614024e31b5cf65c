"""How does early stopping work on Ray? The study's rungs as a scheduler of Tune."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from growsearch.search.stopping import EPOCH, VALUES, EarlyStopping
from growsearch.trial.config import config_from_json, trial_id


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
        name = trial_id(config_from_json(trial.config["candidate"]), self._seed)
        values = json.loads(result[VALUES])
        goes_on = self._stopping.goes_on(name, int(result[EPOCH]), values)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)
