"""Budgets in a growth study: branches of a trunk are trials, and the trunk is trained once."""

from pathlib import Path
from typing import Any

import pytest

from growsearch import Study
from growsearch.errors import UsageError
from growsearch.growth.front.front import Front
from growsearch.kinds import candidate_from_json, trial_id, trial_seed
from growsearch.search.config.file import load_study
from growsearch.search.study.study import StudyOptions
from growsearch.trial.record import Trial
from growsearch.trial.run import Listener

SHARES = [0.1, 0.2, 0.4]
GROWTH = {
    "space": "mlp-digits",
    "budgets": {"macs": ["10%", "20%", "40%"]},
    "epochs": 2,
    "stage_epochs": [2, 1, 1],
    "decline_epochs": 1,
}


def _study(changes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    growth = {key: value for key, value in {**GROWTH, **(changes or {})}.items() if value}
    return {
        "name": "front",
        "dataset": "digits",
        "subset": 200,
        "trials": {"growth": growth},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 3, "seed": 1, "backend": "serial", "sampler": "random"},
        **more,
    }


def _lines(study: Study) -> list[dict[str, Any]]:
    """Return what the ledger says, without the time it took and when that was."""
    found = [trial.to_json() for trial in study.trials]
    return [
        {k: v for k, v in line.items() if k not in ("duration_s", "ended_at")} for line in found
    ]


def _bound(trial: Trial) -> float:
    return float(trial.config["budget"]["macs"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of one trunk that nothing interrupted."""
    study = Study(_study(), tmp_path_factory.mktemp("front") / "run")
    study.run()
    return study


def test_each_budget_is_a_line_of_the_ledger(whole: Study) -> None:
    assert [trial.status for trial in whole.trials] == ["finished"] * 3
    assert [_bound(trial) for trial in whole.trials] == SHARES
    assert len({trial.id for trial in whole.trials}) == 3
    for trial in whole.trials:
        assert trial.config["trunk"] == {
            "budgets": SHARES,
            "stage_epochs": [2, 1, 1],
            "decline_epochs": [1, 1, 1],
        }
        assert trial.config["norms"] == "reset"
        assert trial.metrics["macs"] <= trial.metrics["budget_limit"]
        candidate = candidate_from_json(trial.config)
        assert candidate.to_json() == trial.config
        assert trial_id(candidate, 1) == trial.id
        assert whole.load(trial.id) is not None
    history = (whole.folder.path / "trials" / whole.trials[2].id / "history.csv").read_text()
    assert [line.split(",")[0] for line in history.split()] == ["epoch", *"12345"]


def test_the_front_s_training_macs_are_the_trunk_once_and_all_declines(whole: Study) -> None:
    metrics = [trial.metrics for trial in whole.trials]
    declines = [each["training_macs"] - each["trunk_training_macs"] for each in metrics]
    spent = metrics[-1]["trunk_training_macs"] + sum(declines)
    assert [each["front_training_macs"] for each in metrics] == [spent] * 3
    assert spent < sum(each["training_macs"] for each in metrics)


def test_branches_of_a_trunk_share_its_seed_and_other_trunks_have_another(whole: Study) -> None:
    (seed,) = {trial.seed for trial in whole.trials}
    config = dict(whole.trials[0].config)
    assert trial_seed(candidate_from_json({**config, "learning_rate": 0.2}), 1) != seed
    assert trial_seed(candidate_from_json(config), 2) != seed
    alone = candidate_from_json({k: v for k, v in config.items() if k != "trunk"})
    other = candidate_from_json({**alone.to_json(), "budget": {"macs": 0.3}})
    assert trial_seed(alone, 1) != trial_seed(other, 1)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which every stage that is trained will be appended."""
    trained: list[int] = []
    before = Front.train_stage

    def train_stage(self: Front, index: int, *rest: Any) -> Any:
        trained.append(index)
        return before(self, index, *rest)

    monkeypatch.setattr(Front, "train_stage", train_stage)
    return trained


def test_a_search_trains_each_trunk_once_and_asks_for_all_of_its_branches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = _counted(monkeypatch)
    changes = {"learning_rate": [0.05, 0.02], "budgets": {"macs": ["10%", "20%"]}}
    search = {"trials": 4, "seed": 1, "backend": "serial", "sampler": "random"}
    study = Study(_study({**changes, "stage_epochs": [1, 1]}, search=search), tmp_path / "run")
    study.run()
    asked = sorted((t.config["learning_rate"], _bound(t)) for t in study.trials)
    assert asked == [(0.02, 0.1), (0.02, 0.2), (0.05, 0.1), (0.05, 0.2)]
    assert sorted(trained) == [0, 0, 1, 1]
    assert len(list((tmp_path / "run").glob("shared/trunk-*.safetensors"))) == 4


class KilledError(BaseException):
    """Stands for a kill: nobody catches it."""


@pytest.mark.parametrize("stops", [(1, 3), (2, 2, 2), (4, 2)])
def test_a_search_that_was_killed_anywhere_ends_as_an_uninterrupted_one(
    whole: Study, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    for stop in stops:
        heard: list[int] = []

        def listen(record: Any, heard: list[int] = heard, stop: int = stop) -> None:
            heard.append(record.epoch)
            if len(heard) == stop:
                raise KilledError

        with pytest.raises(KilledError):
            Study(_study(), tmp_path / "run").run(StudyOptions(report=listen))
    resumed = Study(load_study(tmp_path / "run" / "study.yaml", run=True), tmp_path / "run")
    resumed.run()
    assert _lines(resumed) == _lines(whole)
    for trial in whole.trials:
        file = Path("trials") / trial.id / "weights.safetensors"
        assert (resumed.folder.path / file).read_bytes() == (whole.folder.path / file).read_bytes()
    assert not list((tmp_path / "run").glob("shared/*.part*"))


def test_a_stage_that_is_lost_or_damaged_is_trained_again_to_the_same_network(
    whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(record: Any, heard: list[int] = []) -> None:  # noqa: B006
        heard.append(record.epoch)
        if len(heard) == 4:
            raise KilledError

    with pytest.raises(KilledError):
        Study(_study(), tmp_path / "run").run(StudyOptions(report=listen))
    files = sorted((tmp_path / "run" / "shared").glob("trunk-*[0-9a-f].safetensors"))
    assert len(files) == 1
    files[0].write_bytes(files[0].read_bytes()[:-10])
    trained = _counted(monkeypatch)
    resumed = Study(_study(), tmp_path / "run")
    resumed.run()
    assert _lines(resumed) == _lines(whole)
    assert sorted(trained) == [0, 1, 2]


def test_whoever_follows_a_branch_hears_of_the_trunk_once_and_in_order(tmp_path: Path) -> None:
    told: list[tuple[str, list[int]]] = []
    listener = Listener(
        lambda record: told.append(("epoch", [record.epoch])),
        lambda records: told.append(("behind", [record.epoch for record in records])),
    )
    changes = {"budgets": {"macs": ["10%", "20%"]}, "stage_epochs": [2, 1]}
    Study(_study(changes), tmp_path / "run").run(StudyOptions(report=listener))
    first = [("epoch", [1]), ("epoch", [2]), ("epoch", [3])]
    assert told == [*first, ("behind", [1, 2]), ("epoch", [3]), ("epoch", [4])]


def test_a_point_of_a_trunk_s_study_names_a_branch_and_uniform_baselines_its_budgets(
    tmp_path: Path,
) -> None:
    point = {"kind": "growth", "budget": {"macs": "20%"}}
    search = {"trials": 2, "backend": "serial", "points_to_evaluate": [point]}
    changes = {"budgets": {"macs": ["10%", "20%"]}, "stage_epochs": [1, 1]}
    study = Study(
        _study(changes, search=search, baselines=["uniform"], subset=64), tmp_path / "run"
    )
    study.run()
    found = [(trial.kind, _bound(trial)) for trial in study.trials]
    assert found == [("baseline", 0.1), ("baseline", 0.2), ("growth", 0.2), ("growth", 0.1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {"macs": "10%"}}, "give one bound as budget, or several"),
        ({"budgets": None, "stage_epochs": None, "decline_epochs": None}, "give one bound as"),
        ({"budgets": None, "budget": {"macs": "10%"}}, r"stage_epochs = .*: goes with budgets"),
        ({"budgets": {"macs": "10%"}, "stage_epochs": None}, "a list of two or more"),
        ({"budgets": {"macs": {"low": "10%", "high": "20%"}}}, "a list of two or more"),
        ({"budgets": {"macs": ["40%", "20%", "10%"]}}, "write them in ascending order"),
        ({"budgets": {"macs": ["10%", 20000, "40%"]}}, r"all are shares .* or all are counts"),
        ({"budgets": {"latency[cpu]": ["10%", "20%", "40%"]}}, "one latency as budget"),
        ({"stage_epochs": [2, 1]}, r"stage_epochs = .*: has 2 of 3 numbers"),
        ({"decline_epochs": [2, 1]}, r"decline_epochs = .*: has 2 of 3 numbers"),
        ({"stage_epochs": [2, 1, 0]}, "0 is no whole number above 0"),
        ({"stage_epochs": [2, 1, True]}, "True is no whole number above 0"),
        ({"norms": ["reset", "transfer"]}, "with budgets take reset or kept"),
        ({"freeze_at": 0.5}, r"freeze_at = .*: has no meaning with budgets"),
        ({"policy": "uniform"}, r"policy = .*: has no meaning with budgets"),
        ({"policy": ["planned", "learned"]}, r"policy = .*: has no meaning with budgets"),
        ({"until": "epochs"}, r"until = .*: has no meaning with budgets"),
        ({"pace": "epochs"}, r"pace = .*: has no meaning with budgets"),
        ({"steps": 3}, r"steps = .*: has no meaning with budgets"),
        ({"seed_share": 0.2}, r"seed_share = .*: has no meaning with budgets"),
        ({"direct_design": True}, r"direct_design = .*: has no meaning with budgets"),
        ({"device_batch": 4}, r"device_batch = .*: has no meaning with budgets"),
        ({"schedule": "constant"}, r"schedule = .*: has no meaning with budgets"),
    ],
)
def test_keys_that_are_none_of_a_trunk_s_are_refused_in_one_line(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Study(_study(changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("study: trials.growth")


def test_a_trunk_does_not_grow_from_trained_weights(whole: Study, tmp_path: Path) -> None:
    file = whole.folder.path / "trials" / whole.trials[0].id / "weights.safetensors"
    with pytest.raises(UsageError, match=r"fresh weights; remove the key, or shrink .* with prune"):
        Study(_study({"init": str(file)}), tmp_path / "run")


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"trials": 2}, "search.trials: 2 are fewer than the 3 that trials.growth trains together"),
        ({"trials": 3, "stop_early": {"first": 1}}, "branches of one trunk share its epochs"),
        ({"trials": 3, "workers_per_trial": 2}, "stages of a trunk are one worker's each"),
    ],
)
def test_searches_that_cannot_have_a_trunk_are_refused(
    search: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        Study(_study(search=search), tmp_path / "run")


@pytest.mark.parametrize("value", ["0.01%", 10])
def test_a_budget_below_the_least_network_is_refused_before_anything_trains(
    value: Any, tmp_path: Path
) -> None:
    values = [value, "20%", "40%"] if value == "0.01%" else [value, 20_000, 30_000]
    with pytest.raises(UsageError, match=r"trials.growth.budgets: .*below the smallest network"):
        Study(_study({"budgets": {"macs": values}}), tmp_path / "run").run()
    assert not (tmp_path / "run" / "started.jsonl").exists()


def test_a_study_resumes_from_its_own_file_with_more_trials(whole: Study) -> None:
    again = load_study(whole.folder.path / "study.yaml", run=True)
    assert again.trials == whole.config.trials
    assert again.trials.max_epochs == 5
