"""Are candidates that break a hard constraint kept from being trained, and nothing else?"""

import copy
from pathlib import Path
from typing import Any

import optuna
import pytest

from growsearch.errors import UsageError
from growsearch.kinds import CandidateConfig, DataChoice, suggest_candidate, trial_id
from growsearch.pareto import Bound
from growsearch.report import read_run
from growsearch.report.json_export import render_json
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.samplers.constraint_filter import ConstraintFilter, read_rejected
from growsearch.search.samplers.history import create_study
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.study.study import Study
from growsearch.trial.task import TrialTask


def _task(study: Study) -> TrialTask:
    return TrialTask(
        data=DataChoice(name="digits", folder=None),
        devices=study.config.devices,
        folder=study.folder.path,
    )


def test_what_breaks_a_budget_is_rejected_before_training_and_never_counts(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    # Sparse Wide keeps the dense network's MACs; the untransformed one saves half and more.
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"]["sparsity"] = {"low": 0.1, "high": 0.9}
    tiny["constraints"] = {"macs": {"max": 30_000}}
    tiny["search"] |= {"sampler": "random", "trials": 3, "seed": 1}
    study = Study(tiny, run_folder)
    study.run()
    rejected = read_rejected(run_folder)
    assert len(study.trials) == 3
    assert all(trial.finished and trial.metrics["macs"] <= 30_000 for trial in study.trials)
    assert rejected
    assert not {trial.id for trial in study.trials} & rejected.keys()
    assert not any((run_folder / "trials" / name).exists() for name in rejected)
    assert all(entry.excess["macs max"] > 0 for entry in rejected.values())
    run = read_run(run_folder)
    assert run.rejected == len(rejected)
    assert f'"rejected": {len(rejected)}' in render_json(run)

    # A later session knows them, and the sampler hears of them as infeasible.
    foresight = StudyCosts(study.config, _task(study))
    constraint_filter = ConstraintFilter(study.config, foresight, run_folder)
    fresh = create_study(study.config, optuna.samplers.RandomSampler(seed=0))
    constraint_filter.restore(fresh)
    assert len(fresh.trials) == len(rejected)
    for trial in fresh.trials:
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert trial.constraints["macs max"] > 0
        candidate = suggest_candidate(optuna.trial.FixedTrial(trial.params), study.config.trials)
        assert trial_id(candidate, 1) in rejected


def test_a_measured_constraint_rejects_nothing_beforehand(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["constraints"] = {"latency[cpu]": {"max": "1 ns"}, "accuracy": {"min": 0.999}}
    study = Study(tiny, run_folder)
    constraint_filter = ConstraintFilter(
        study.config, StudyCosts(study.config, _task(study)), run_folder
    )
    fresh = create_study(study.config, optuna.samplers.RandomSampler(seed=0))
    for _ in range(4):
        asked = fresh.ask()
        assert not constraint_filter.refuses(
            fresh, asked, suggest_candidate(asked, study.config.trials)
        )
    assert not (run_folder / "rejected.jsonl").exists()


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    whole = '{"id":"a","candidate":{"kind":"growth"},"excess":{"macs max":1.5}}'
    (tmp_path / "rejected.jsonl").write_text(f"{whole}\n{whole[:40]}")
    assert {name: dict(e.excess) for name, e in read_rejected(tmp_path).items()} == {
        "a": {"macs max": 1.5}
    }


def _hopeless(tiny: dict[str, Any]) -> dict[str, Any]:
    """Two candidates, and a budget that neither meets, which only a look at them tells."""
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"] |= {
        "transform": "sparse_wide",
        "sparsity": [0.5, 0.75],
        "distribution": "uniform",
        "updater": "static",
    }
    tiny["constraints"] = {"macs": {"max": 1}}
    tiny["search"] |= {"sampler": "random", "trials": 2}
    return tiny


def test_rejections_without_an_end_stop_the_search_with_the_constraint_and_the_remedy(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    for _ in range(2):
        with pytest.raises(
            UsageError, match=r"500 candidates in a row miss macs max .*loosen the constraints"
        ):
            Study(_hopeless(copy.deepcopy(tiny)), run_folder).run()
        # Each is written down once, in this session and the next.
        assert len((run_folder / "rejected.jsonl").read_text().splitlines()) == 2
    assert not (run_folder / "trials.jsonl").exists()
    assert not (run_folder / "started.jsonl").exists()


def test_on_ray_rejections_without_an_end_are_the_same_message(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    from growsearch.search.backends.ray.backend import LedgerSearch
    from growsearch.search.backends.ray.trouble import Trouble

    study = Study(_hopeless(tiny), run_folder)
    study.folder.open(study.config)
    trouble = Trouble()
    recorder = Recorder(study.folder, seed=study.config.search.seed)
    search = LedgerSearch(study.config, _task(study), recorder, trouble)
    assert search.suggest("a") == LedgerSearch.FINISHED
    assert isinstance(trouble.error, UsageError)
    assert "500 candidates in a row miss macs max" in str(trouble.error)
    assert search.suggest("b") == LedgerSearch.FINISHED


def test_only_rejections_in_a_row_count_towards_the_end(
    tiny: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("growsearch.search.samplers.constraint_filter._MAX_IN_A_ROW", 3)
    study = Study(_hopeless(tiny), run_folder)
    study.folder.open(study.config)
    (bound,) = study.config.bounds()
    costs = iter([2.0, 2.0, 2.0, None, 2.0, 2.0, 2.0, 2.0])

    class _Told:
        def broken(self, _candidate: CandidateConfig) -> dict[Bound, float]:
            value = next(costs)
            return {} if value is None else {bound: value}

    constraint_filter = ConstraintFilter(study.config, _Told(), run_folder)  # type: ignore[arg-type]
    fresh = create_study(study.config, optuna.samplers.RandomSampler(seed=0))
    answers = []
    for _ in range(7):
        constraint_filter.rejected.clear()
        asked = fresh.ask()
        answers.append(
            constraint_filter.refuses(fresh, asked, suggest_candidate(asked, study.config.trials))
        )
    assert answers == [True, True, True, False, True, True, True]
    constraint_filter.rejected.clear()
    asked = fresh.ask()
    with pytest.raises(UsageError, match="3 candidates in a row"):
        constraint_filter.refuses(fresh, asked, suggest_candidate(asked, study.config.trials))
