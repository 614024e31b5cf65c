"""Are candidates that break a hard constraint kept from being trained, and nothing else?"""

from pathlib import Path
from typing import Any

import optuna

from growsearch.kinds import DataChoice, suggest_candidate, trial_id
from growsearch.report import read_run
from growsearch.report.json_export import render_json
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
