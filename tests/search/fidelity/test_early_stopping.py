"""Are trials stopped where they should be, labelled, and judged the same after a crash?"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from growsearch.errors import UsageError
from growsearch.kinds import suggest_candidate, trial_id
from growsearch.report import read_run
from growsearch.report.json_export import render_json
from growsearch.search.backends.ray import early_stopping as ray_stopping
from growsearch.search.config.file import parse_study
from growsearch.search.config.study import StudyConfig
from growsearch.search.fidelity.early_stopping import (
    EarlyStopping,
    rung_directions,
    stopped_at_rung,
)
from growsearch.search.samplers.history import create_study, tell, warm_start
from growsearch.search.study.study import Study, StudyOptions
from growsearch.training import EpochRecord
from growsearch.trial.ledger_file import read_ledger
from growsearch.trial.record import Trial


def _config(tiny: dict[str, Any], epochs: int = 9) -> StudyConfig:
    tiny["trials"]["growth"]["epochs"] = epochs
    tiny["trials"]["sparse"]["epochs"] = epochs
    tiny["search"]["stop_early"] = {"first": 1, "eta": 3}
    return parse_study(tiny)


def _values(accuracy: float, macs: float) -> dict[str, float]:
    return {"accuracy": accuracy, "macs": macs, "training_macs": 1.0}


def test_a_rung_compares_accuracy_and_macs_which_stand_for_every_cost() -> None:
    assert rung_directions(
        {"latency[cpu]": "minimize", "accuracy": "maximize", "parameters": "minimize"}
    ) == {"macs": "minimize", "accuracy": "maximize"}
    assert rung_directions({"training_macs": "minimize"}) == {"training_macs": "minimize"}


def test_a_trial_goes_on_among_the_best_third_of_its_rung_as_a_pencil_says(
    tiny: dict[str, Any],
) -> None:
    stopping = EarlyStopping(_config(tiny), ())
    assert stopping.rungs == (1, 3, 9)
    # Fewer than three: nobody is stopped.
    assert stopping.goes_on("a", 1, _values(0.8, 10))
    assert stopping.goes_on("b", 1, _values(0.7, 20))
    # The best one of three: "a" dominates "c" and "b".
    assert not stopping.goes_on("c", 1, _values(0.75, 15))
    # Better than "a" in both: the best of four.
    assert stopping.goes_on("d", 1, _values(0.9, 9))
    # Between rungs and at the end nobody is judged.
    assert stopping.goes_on("e", 2, _values(0.1, 99))
    assert stopping.goes_on("e", 9, _values(0.1, 99))


def test_a_first_rung_at_the_end_of_every_trial_is_refused(tiny: dict[str, Any]) -> None:
    tiny["search"]["stop_early"] = {"first": 2, "eta": 3}
    with pytest.raises(UsageError, match="first = 2 is not before the end of the longest trial"):
        parse_study(tiny)


def test_rungs_rebuilt_from_the_ledger_judge_like_those_that_saw_the_search(
    tiny: dict[str, Any],
) -> None:
    config = _config(tiny)
    told = [(f"t{n}", 0.5 + 0.05 * ((7 * n) % 8), 10.0 + (5 * n) % 11) for n in range(9)]
    seen = EarlyStopping(config, ())
    ledger = []
    for name, accuracy, macs in told:
        seen.goes_on(name, 1, _values(accuracy, macs))
        ledger.append(
            seen.labelled(
                Trial(id=name, number=0, kind="sparse", status="stopped", config={}, seed=0)
            )
        )
    read = [Trial.from_json(json.loads(trial.to_line())) for trial in ledger]
    rebuilt = EarlyStopping(config, read)
    for name, accuracy, macs in [("x", 0.86, 14.0), ("y", 0.5, 30.0), ("z", 0.7, 8.0)]:
        again = _values(accuracy, macs)
        assert rebuilt.goes_on(name, 1, again) == seen.goes_on(name, 1, again)


def test_a_trial_that_starts_again_after_a_crash_is_not_counted_twice(tiny: dict[str, Any]) -> None:
    stopping = EarlyStopping(_config(tiny), ())
    for _ in range(3):
        assert stopping.goes_on("a", 1, _values(0.8, 10))
    trial = Trial(id="a", number=0, kind="sparse", status="finished", config={}, seed=0)
    assert [result.epoch for result in stopping.labelled(trial).rungs] == [1]


def test_a_trial_that_was_let_go_on_is_not_asked_again_though_others_have_come_since(
    tiny: dict[str, Any],
) -> None:
    stopping = EarlyStopping(_config(tiny), ())
    poor = _values(0.2, 50)
    # The first one of its rung goes on; by now it would not.
    assert stopping.goes_on("poor", 1, poor)
    for number in range(6):
        stopping.goes_on(f"good{number}", 1, _values(0.9, 5))
    assert stopping.goes_on("poor", 1, poor)
    assert not stopping.has_stopped("poor")
    # One that was stopped stays so, however often it comes.
    assert not stopping.goes_on("other", 1, poor)
    assert not stopping.goes_on("other", 1, poor)


def test_a_rung_passed_in_an_earlier_session_is_remembered_and_not_judged(
    tiny: dict[str, Any],
) -> None:
    stopping = EarlyStopping(_config(tiny), ())
    assert stopping.goes_on("first", 1, _values(0.5, 50))
    stopping.passed("resumed", 1, _values(0.2, 60))
    stopping.passed("resumed", 2, _values(0.9, 60))
    assert not stopping.has_stopped("resumed")
    trial = Trial(id="resumed", number=0, kind="sparse", status="finished", config={}, seed=0)
    assert [(r.epoch, r.values["accuracy"]) for r in stopping.labelled(trial).rungs] == [(1, 0.2)]
    # It counts: the next one is the third, of whom one may go on.
    assert not stopping.goes_on("third", 1, _values(0.4, 55))


def test_a_trial_cut_off_past_a_rung_keeps_it_and_is_judged_where_the_crash_came_first(
    tiny: dict[str, Any], run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"]["epochs"] = 4
    tiny["search"] |= {"stop_early": {"first": 1, "eta": 2}, "trials": 1, "sampler": "random"}

    def die(epoch: int) -> None:
        def report(record: EpochRecord) -> None:
            if record.epoch == epoch:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Study(tiny, run_folder).run(StudyOptions(report=report))

    # The checkpoint of epoch 2 is written, its rung not asked.
    die(2)
    asked: list[tuple[str, int]] = []
    for name in ("goes_on", "passed"):
        method = getattr(EarlyStopping, name)

        def spy(self: Any, trial: str, epoch: int, values: Any, _n=name, _m=method) -> Any:
            asked.append((_n, epoch))
            return _m(self, trial, epoch, values)

        monkeypatch.setattr(EarlyStopping, name, spy)
    heard: list[int] = []
    study = Study(tiny, run_folder)
    study.run(StudyOptions(report=lambda record: heard.append(record.epoch)))
    assert asked == [("passed", 1), ("goes_on", 2), ("goes_on", 3), ("goes_on", 4)]
    # Whoever watches hears of what is trained now alone.
    assert heard == [3, 4]
    assert [rung.epoch for rung in study.trials[0].rungs] == [1, 2]
    assert study.trials[0].finished


def test_a_worker_reports_what_it_had_passed_as_passed_and_the_last_epoch_to_be_judged() -> None:
    told: list[tuple[int, bool]] = []
    listener = ray_stopping.rung_reports(
        (1, 3), lambda r: told.append((r["rung_epoch"], r["rung_passed"]))
    )
    records = [
        EpochRecord(epoch=e, loss=1.0, accuracy=0.5, training_macs=e, forward_macs=1)
        for e in (1, 2, 3, 4)
    ]
    listener.resumed(records[:3])
    listener(records[3])
    assert told == [(1, True), (3, False)]


@pytest.fixture(scope="module")
def stopped_folder(
    tmp_path_factory: pytest.TempPathFactory, new_tiny: Callable[[], dict[str, Any]]
) -> Path:
    """The folder of a search that stopped trials early; of which tests take copies."""
    tiny, folder = new_tiny(), tmp_path_factory.mktemp("stopped") / "run"
    tiny["trials"]["growth"]["epochs"] = tiny["trials"]["sparse"]["epochs"] = 3
    tiny["search"] |= {
        "stop_early": {"first": 1, "eta": 2},
        "trials": 7,
        "sampler": "random",
        "seed": 1,
    }
    Study(tiny, folder).run()
    return folder


@pytest.fixture
def stopped_run(stopped_folder: Path, run_folder: Path) -> Study:
    shutil.copytree(stopped_folder, run_folder)
    study = Study(run_folder / "study.yaml", run_folder)
    # Everything is finished: it reads what is there.
    study.run()
    return study


def test_stopped_trials_are_labelled_everywhere_and_never_on_the_front(stopped_run: Study) -> None:
    study, folder = stopped_run, stopped_run.folder.path
    stopped = [trial for trial in study.trials if trial.stopped]
    finished = [trial for trial in study.trials if trial.finished]
    assert len(study.trials) == 7
    assert stopped
    assert finished
    for trial in stopped:
        assert trial.metrics["epochs"] == trial.rungs[-1].epoch < 3
        assert trial.metrics["accuracy"] == trial.rungs[-1].values["accuracy"]
    assert not {t.id for t in stopped} & {member.id for member in study.front.points}
    report = json.loads(render_json(read_run(folder)))
    assert {entry["id"] for entry in report["stopped"]} == {trial.id for trial in stopped}
    assert report["trials"]["stopped"] == len(stopped)
    assert report["trials"]["finished"] == len(finished)

    fresh = create_study(study.config, optuna.samplers.RandomSampler(seed=0))
    warm_start(
        fresh, read_ledger(study.folder.ledger).trials, study.folder.read_starts(), study.config
    )
    states = [trial.state.name for trial in fresh.trials]
    assert states.count("PRUNED") == len(stopped)
    assert states.count("COMPLETE") == len(finished)
    asked = fresh.ask()
    tell(fresh, asked, stopped[0], study.config)
    assert fresh.trials[-1].state == optuna.trial.TrialState.PRUNED


def test_a_resumed_search_goes_on_with_the_rungs_it_had(stopped_run: Study) -> None:
    before = stopped_run.folder.ledger.read_bytes()
    search = stopped_run.config.search.model_copy(update={"trials": 9})
    config = stopped_run.config.model_copy(update={"search": search})
    study = Study(config, stopped_run.folder.path)
    study.run()
    assert len(study.trials) == 9
    assert stopped_run.folder.ledger.read_bytes().startswith(before)
    rebuilt = EarlyStopping(study.config, study.trials)
    judged = [trial for trial in study.trials if trial.rungs]
    assert len(judged) == sum(not trial.failed for trial in study.trials)
    assert all(rebuilt.labelled(trial).rungs == trial.rungs for trial in judged)


def test_a_trial_stopped_from_outside_is_told_from_one_that_was_only_interrupted(
    tiny: dict[str, Any],
) -> None:
    config = _config(tiny)
    candidate = suggest_candidate(
        create_study(config, optuna.samplers.RandomSampler(seed=0)).ask(), config.trials
    )
    stopping = EarlyStopping(config, ())
    name = trial_id(candidate, config.search.seed)
    for number in range(3):
        stopping.goes_on(f"good{number}", 1, _values(0.9, 5))
    values = _values(0.2, 50)
    assert not stopping.has_stopped(name)
    assert not stopping.goes_on(name, 1, values)
    assert stopping.has_stopped(name)
    report = {"rung_epoch": 1, "rung_values": json.dumps(values), "time_total_s": 2.5}
    trial = stopping.labelled(stopped_at_rung(candidate, config.search.seed, report))
    assert trial.stopped
    assert (trial.id, trial.metrics["epochs"], trial.metrics["accuracy"]) == (name, 1, 0.2)
    assert [dict(rung.values) for rung in trial.rungs] == [{"accuracy": 0.2, "macs": 50}]
    assert Trial.from_json(json.loads(trial.to_line())) == trial


def test_accuracy_stands_on_a_rung_for_what_no_epoch_tells():
    assert rung_directions({"ood_auroc": "maximize", "ece": "minimize", "macs": "minimize"}) == {
        "accuracy": "maximize",
        "macs": "minimize",
    }
