import json
import os
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler

from growsearch.kinds import DataChoice
from growsearch.search.study.study import Study, StudyOptions

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
# Half a minute each: `make test-cluster`.
with_the_cluster = pytest.mark.skipif(
    os.environ.get("GROWSEARCH_CLUSTER_TESTS") != "1",
    reason="takes half a minute: GROWSEARCH_CLUSTER_TESTS is not 1 (make test-cluster)",
)


@pytest.mark.filterwarnings("ignore")
def test_a_search_on_ray_records_each_trial_once_and_resumes(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"] |= {"backend": "ray", "parallel": 2, "trials": 3}
    tiny["objectives"]["latency[cpu]"] = "minimize"
    Study(tiny, run_folder).run()
    tiny["search"]["trials"] = 5
    study = Study(tiny, run_folder)
    front = study.run()
    lines = (run_folder / "trials.jsonl").read_text().splitlines()
    assert study.resumed_trials == 3
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 5
    assert sorted(trial.number for trial in study.trials) == [0, 1, 2, 3, 4]
    for trial in study.trials:
        if trial.finished:
            assert trial.latency["cpu"].method == "measured"
            assert trial.latency["cpu"].threads == 1
            assert trial.latency["wafer-cs2"].method == "analytic"
    assert len(front) >= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_folder_stops_the_search_with_a_message(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    from growsearch.errors import GrowsearchError

    tiny["search"] |= {"backend": "ray", "parallel": 1, "trials": 1}
    run_folder.mkdir(mode=0o500)
    with pytest.raises(GrowsearchError, match="writable"):
        Study(tiny, run_folder).run()


@with_the_cluster
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_dies_before_it_answers_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from growsearch.errors import GrowsearchError
    from growsearch.search.cluster.session import check_nodes, ray_session
    from growsearch.trial.task import TrialTask

    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=tmp_path)
    (tmp_path / "study.yaml").write_text("")
    with ray_session(1, 0, None):
        there = ray.nodes()
        gone = {**there[0], "NodeID": "0" * 56}
        monkeypatch.setattr(ray, "nodes", lambda: [*there, gone])
        assert len(check_nodes(task)) == len(there)
        monkeypatch.setattr(ray, "nodes", lambda: [gone])
        with pytest.raises(GrowsearchError, match="lost its nodes with a CPU; add one"):
            check_nodes(task)


@with_the_cluster
@pytest.mark.filterwarnings("ignore")
def test_on_ray_gp_ehvi_searches_rungs_stop_trials_and_budgets_reject_candidates(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["trials"]["growth"]["epochs"] = tiny["trials"]["sparse"]["epochs"] = 3
    tiny["constraints"] = {"dense_macs": {"max": "1M"}, "macs": {"max": 30_000}}
    tiny["search"] |= {
        "backend": "ray",
        "parallel": 2,
        "trials": 8,
        "sampler": "gp-ehvi",
        "stop_early": {"first": 1, "eta": 2},
        "points_to_evaluate": ["dense", "papers"],
    }
    study = Study(tiny, run_folder)
    front = study.run()
    assert len({trial.id for trial in study.trials}) == len(study.trials) == 8
    stopped = [trial for trial in study.trials if trial.stopped]
    assert stopped
    assert all(trial.rungs and trial.metrics["epochs"] < 3 for trial in stopped)
    assert not {trial.id for trial in stopped} & {point.id for point in front.points}
    # Sparse Wide, a paper's setting, keeps the dense network's MACs and breaks the budget.
    rejected = [json.loads(line) for line in (run_folder / "rejected.jsonl").open()]
    assert any(entry["candidate"].get("transform") == "sparse_wide" for entry in rejected)
    assert not {entry["id"] for entry in rejected} & {trial.id for trial in study.trials}


class _Dead:
    """A trial of Tune's whose worker is no more, for whatever reason."""

    def __init__(self, candidate: Any, error: Exception, failures: int = 4) -> None:
        self.config = {"candidate": candidate.to_json()}
        self.num_failures, self.error_file = failures, None
        self._error = error

    def get_pickled_error(self) -> Exception:
        return self._error


@pytest.mark.parametrize("starts", [True, False])
def test_a_worker_that_dies_fails_its_trial_and_one_that_cannot_start_it_stops_the_search(
    starts: bool, tiny: dict[str, Any], run_folder: Path
) -> None:
    from ray.exceptions import ActorDiedError, RayTaskError

    from growsearch.errors import MachineError
    from growsearch.kinds import suggest_candidate
    from growsearch.search.backends.ray.trouble import TrialWatch, Trouble
    from growsearch.search.ledger.recorder import Recorder
    from growsearch.search.samplers.history import create_study

    study = Study(tiny, run_folder)
    study.folder.open(study.config)
    recorder, trouble = Recorder(study.folder, seed=3), Trouble()
    asked = create_study(study.config, RandomSampler(seed=0)).ask()
    start = recorder.begin(suggest_candidate(asked, study.config.trials), asked.params)
    cause = ModuleNotFoundError("No module named 'fvcore'")
    missing = RayTaskError("train", f"Traceback\n{cause!r}", cause)
    error = ActorDiedError() if starts else missing
    TrialWatch(recorder, 3, trouble).on_trial_error(trial=_Dead(start.candidate, error))
    if starts:
        assert trouble.error is None
        assert "WorkerDied: its worker died 4 times" in str(recorder.trials[start.id].error)
        return
    assert isinstance(trouble.error, MachineError)
    assert "No module named 'fvcore'" in str(trouble.error)
    assert "install the same version of everything on every node" in str(trouble.error)
    assert [left.id for left in recorder.unfinished()] == [start.id]
    assert not recorder.running


class _UpOnceBothTrain:
    """A clock that stands still until both trials have an epoch behind them."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def __call__(self) -> float:
        kept = list(self._run.glob("trials/*/checkpoint.safetensors"))
        return 7200.0 if len(kept) == 2 else 0.0


@with_the_cluster
@pytest.mark.filterwarnings("ignore")
def test_time_that_is_up_cuts_trials_off_on_ray_and_keeps_their_epochs(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    del tiny["trials"]["growth"]
    tiny["trials"]["sparse"] |= {"epochs": 100_000, "updater": "static"}
    tiny["search"] |= {"backend": "ray", "parallel": 2, "trials": 2, "time_budget": "1 h"}
    study = Study(tiny, run_folder)
    study.run(StudyOptions(clock=_UpOnceBothTrain(run_folder)))
    assert study.time_was_up == "it was used up"
    assert study.trials == ()
    assert len((run_folder / "started.jsonl").read_text().splitlines()) == 2
    assert len(list(run_folder.glob("trials/*/checkpoint.safetensors"))) == 2
