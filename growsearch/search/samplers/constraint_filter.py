"""Constraint filter: candidates that break a hard constraint for certain are not trained.

What the first fidelity lets go is kept in the same file.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from growsearch.errors import UsageError
from growsearch.files import append_line
from growsearch.kinds import CandidateConfig, suggest_candidate, trial_id
from growsearch.pareto import Bound
from growsearch.reading import parse_json, read_limited, reading
from growsearch.report.run_data import EDITS_FILE, REJECTED_FILE
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.replay import params_of
from growsearch.trial.trial_folder import is_trial_id

# Optuna keeps a constraint under this prefix of a trial's system attributes.
CONSTRAINT_KEY = "constraints"
MAX_BYTES = 2**30
# So many rejections in a row, and a person had better look at the constraints.
_MAX_IN_A_ROW = 500


def constraint_name(bound: Bound) -> str:
    """Return the name under which a sampler knows a constraint: "macs max"."""
    return f"{bound.objective} {bound.sense}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A candidate that was not trained: its id, what it is, and by how much it misses what.

    ``proxy`` is the score by which a pool's better ones were preferred: {"synflow": 12.5}. Such a
    candidate misses no constraint.
    """

    id: str
    candidate: Mapping[str, Any]
    excess: Mapping[str, float] = field(default_factory=dict)
    proxy: Mapping[str, float] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return one line of the file."""
        data = {"id": self.id, "candidate": self.candidate, "excess": self.excess}
        if self.proxy:
            data |= {"proxy": self.proxy}
        return json.dumps(data, allow_nan=False, separators=(",", ":"))


class ConstraintFilter:
    """Lets candidates through to training, writes down those that it rejects, and tells Optuna.

    A rejected candidate is no trial: it has no place in the ledger and takes none of the study's
    number. Optuna hears of it as pruned, with how far it misses each constraint.

    Args:
        config: the study.
        foresight: tells what a candidate is certain to cost.
        folder: the run's folder; the file `REJECTED_FILE` in it is append-only.
    """

    def __init__(self, config: StudyConfig, foresight: StudyCosts, folder: Path) -> None:
        self._config, self._foresight = config, foresight
        self._file = folder / REJECTED_FILE
        self._written = read_rejected(folder)
        # Of an edited study all are judged anew: by other constraints, in other spaces.
        self.rejected = {} if (folder / EDITS_FILE).exists() else dict(self._written)
        self._in_a_row = 0

    def refuses(
        self, study: optuna.study.Study, asked: optuna.Trial, candidate: CandidateConfig
    ) -> bool:
        """Tell whether ``candidate`` is rejected; Optuna's trial has then ended.

        Raises:
            UsageError: after so many rejections in a row that no end is in sight.
        """
        name = trial_id(candidate, self._config.search.seed)
        found = self.rejected.get(name)
        if found is None:
            found = self._look(name, candidate)
        if found is None:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        if self._in_a_row > _MAX_IN_A_ROW:
            raise UsageError(
                f"constraints: {_MAX_IN_A_ROW} candidates in a row miss "
                f"{', '.join(found.excess)} before training; loosen the constraints"
            )
        for constraint, excess in found.excess.items():
            asked.set_constraint(constraint, excess)
        study.tell(asked, state=TrialState.PRUNED)
        return True

    def reject(self, found: Rejected) -> None:
        """Write down a candidate that something else than a constraint kept from training."""
        if self._written.get(found.id) != found:
            append_line(self._file, found.to_line())
            self._written[found.id] = found
        self.rejected[found.id] = found

    def restore(self, study: optuna.study.Study) -> None:
        """Let a fresh Optuna study know what earlier sessions rejected."""
        for found in self.rejected.values():
            params = params_of(found.candidate, self._config.trials)
            add_trial(study, params, self._config, TrialState.PRUNED, constraints=found.excess)

    def _look(self, name: str, candidate: CandidateConfig) -> Rejected | None:
        broken = self._foresight.broken(candidate)
        if not broken:
            return None
        excess = {
            constraint_name(bound): abs(value - bound.value) for bound, value in broken.items()
        }
        found = Rejected(id=name, candidate=candidate.to_json(), excess=excess)
        self.reject(found)
        return found


def read_rejected(folder: Path) -> dict[str, Rejected]:
    """Return a run's rejected candidates by id; a line cut short by a crash is passed over."""
    found: dict[str, Rejected] = {}
    path = folder / REJECTED_FILE
    if not path.exists():
        return found
    with reading(path, "remove it to judge these candidates anew"):
        lines = read_limited(path, MAX_BYTES).split(b"\n")
    for line in lines:
        try:
            data = parse_json(line)
            entry = Rejected(
                id=str(data["id"]),
                candidate=dict(data["candidate"]),
                excess={str(name): float(value) for name, value in data["excess"].items()},
                proxy={str(name): float(v) for name, v in data.get("proxy", {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue
        if is_trial_id(entry.id):
            found.setdefault(entry.id, entry)
    return found


def add_trial(
    study: optuna.study.Study,
    params: Mapping[str, Any],
    config: StudyConfig,
    state: TrialState,
    *,
    values: list[float] | None = None,
    constraints: Mapping[str, float] | None = None,
) -> None:
    """Add what is known already to an Optuna study."""
    fixed = optuna.trial.FixedTrial(dict(params))
    suggest_candidate(fixed, config.trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params=fixed.params,
                distributions=fixed.distributions,
                values=values,
                system_attrs={
                    f"{CONSTRAINT_KEY}:{name}": excess
                    for name, excess in (constraints or {}).items()
                },
            )
        )
