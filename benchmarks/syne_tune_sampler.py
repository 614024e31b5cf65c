"""Syne Tune's methods as an Optuna sampler, so that they run in the same simulation as all others.

Syne Tune lives in an interpreter of its own:

    python -m venv FOLDER && FOLDER/bin/pip install syne-tune
    python benchmarks/search_nasbench201.py --syne-python FOLDER/bin/python ...
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

_ANSWERS = Path(__file__).with_name("syne_tune_answers.py")


class SyneTuneSampler(BaseSampler):
    """Asks a Syne Tune scheduler in another process.

    Args:
        python: an interpreter with Syne Tune.
        method: "mo-rea", "mo-rea, population 20" or "mo-rea, linear".
        options: of every decision.
        objectives: their names; all are minimised.
        seed: of the method.
    """

    def __init__(
        self,
        python: str,
        method: str,
        options: Mapping[str, Sequence[str]],
        objectives: Sequence[str],
        seed: int,
    ) -> None:
        self._options, self._objectives = dict(options), list(objectives)
        self._process = subprocess.Popen(
            [python, str(_ANSWERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # What the other process has spent on its answers.
        self.cpu_s = 0.0
        self._say(
            method=method,
            seed=seed,
            options={name: list(values) for name, values in options.items()},
            objectives=self._objectives,
        )

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return every decision."""
        return {name: CategoricalDistribution(values) for name, values in self._options.items()}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return what the scheduler suggests."""
        self._say(ask=trial.number)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{_ANSWERS.name} has ended, code {self._process.wait()}")
        answer = json.loads(line)
        self.cpu_s = answer["cpu_s"]
        return dict(answer["config"])

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Refuse: the scheduler decides everything."""
        raise ValueError(f"{param_name}: not among the table's decisions")

    def after_trial(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell the scheduler."""
        if state == TrialState.COMPLETE and values is not None:
            told = dict(zip(self._objectives, values, strict=True))
            self._say(tell=trial.number, values=told)

    def close(self) -> None:
        """End the other process."""
        self._process.communicate()

    def _say(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
