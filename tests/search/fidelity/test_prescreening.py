"""Does rung 0 train the better share, whatever its size, and is nothing scored or lost twice?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from growsearch.errors import UsageError
from growsearch.kinds import CandidateConfig, DataChoice, candidate_from_json, trial_id
from growsearch.report import read_run
from growsearch.report.markdown import render_markdown
from growsearch.search.backends import serial as serial_backend
from growsearch.search.config.file import parse_study
from growsearch.search.fidelity.prescreening import POOLS_FILE, FirstFidelity, read_pools
from growsearch.search.fidelity.proxy_ranking import better_share, costs_to_compare
from growsearch.search.ledger.recorder import Recorder
from growsearch.search.ledger.run_folder import RunFolder
from growsearch.search.samplers.constraint_filter import ConstraintFilter, read_rejected
from growsearch.search.samplers.history import create_study, prepare
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.study.study import Study
from growsearch.trial.proxies import PROXIES, Scored
from growsearch.trial.task import TrialTask

OBJECTIVES: Any = {"accuracy": "maximize", "macs": "minimize"}


def _chosen(pool: list[tuple[float | None, float]], keep: float = 0.5, seed: int = 0) -> set[int]:
    scored = [Scored(score=score, costs={"macs": macs}) for score, macs in pool]
    lots = np.random.default_rng(seed)
    return set(better_share(scored, OBJECTIVES, keep=keep, lots=lots))


def test_the_better_of_two_of_equal_cost_is_trained() -> None:
    assert _chosen([(1.0, 10), (2.0, 10), (9.0, 90), (8.0, 90)]) == {1, 2}


def test_a_small_network_is_not_let_go_for_a_large_one_with_a_higher_proxy() -> None:
    # The large ones score a thousand times more, but two of them for more MACs than another.
    pool = [(1.0, 10), (2.0, 20), (5000.0, 100), (4000.0, 110), (3000.0, 120), (1.5, 30)]
    assert _chosen(pool) == {0, 1, 2}


def test_a_proxy_that_only_tells_the_cost_prefers_no_size() -> None:
    pool = [(float(10**place), float(place)) for place in range(16)]
    means = [np.mean(list(_chosen(pool, seed=seed))) for seed in range(40)]
    assert 6.5 < np.mean(means) < 8.5


def test_the_scale_of_a_proxy_does_not_matter() -> None:
    pool = [(3.0, 5.0), (1.0, 2.0), (2.0, 4.0), (4.0, 9.0), (2.5, 3.0), (0.5, 8.0)]
    stretched = [(10.0**score, macs) for score, macs in pool if score is not None]
    assert _chosen(list(pool)) == _chosen(list(stretched))


def test_what_has_no_score_is_trained() -> None:
    assert _chosen([(None, 1), (1.0, 10), (2.0, 10)]) == {0, 2}


def test_costs_are_the_objectives_that_all_know_or_else_macs() -> None:
    static = Scored(score=1.0, costs={"macs": 5, "dense_macs": 9, "parameters": 3})
    scheduled = Scored(score=1.0, costs={"dense_macs": 9})
    both: Any = OBJECTIVES | {"parameters": "minimize", "latency[cpu]": "minimize"}
    assert costs_to_compare([static, static], both) == {
        "macs": "minimize",
        "parameters": "minimize",
    }
    assert costs_to_compare([static, scheduled], both) == {"dense_macs": "minimize"}
    assert costs_to_compare([static], {"accuracy": "maximize"}) == {"macs": "minimize"}


@pytest.fixture
def pools(tiny: dict[str, Any]) -> dict[str, Any]:
    del tiny["trials"]["growth"]
    tiny["objectives"] = dict(OBJECTIVES)
    tiny["search"] |= {"sampler": "random", "first_fidelity": {"proxy": "snip", "pool": 4}}
    return tiny


def test_the_better_half_of_every_pool_is_trained_and_the_rest_is_counted(
    pools: dict[str, Any], run_folder: Path
) -> None:
    study = Study(pools, run_folder)
    front = study.run()
    scored = list(read_pools(run_folder / POOLS_FILE))
    assert [len(pool) for pool in scored] == [4, 4]
    kept = [entry.id for pool in scored for entry in pool if entry.kept]
    let_go = {entry.id: entry for pool in scored for entry in pool if not entry.kept}
    assert [trial.id for trial in study.trials] == kept
    assert len(kept) == 4
    rejected = read_rejected(run_folder)
    assert {n: dict(r.proxy) for n, r in rejected.items()} == {
        name: {"snip": entry.score} for name, entry in let_go.items()
    }
    assert not {member.id for member in front.points} & rejected.keys()
    assert not any((run_folder / "trials" / name).exists() for name in rejected)
    run = read_run(run_folder)
    assert run.rejected == 4
    assert "4 candidates were rejected before training" in render_markdown(run)


def test_an_equal_search_chooses_equally_and_a_resumed_one_scores_nothing_twice(
    pools: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Study(pools, tmp_path / "whole")
    whole.run()
    pools["search"]["trials"] = 1
    Study(pools, tmp_path / "cut").run()
    first = (tmp_path / "cut" / POOLS_FILE).read_text()
    # As if the driver had died between the pool's line and those of the rejected.
    (tmp_path / "cut" / "rejected.jsonl").unlink()
    counted: list[int] = []
    score = serial_backend.score_here

    def counting(candidates: Sequence[CandidateConfig], **rest: Any) -> list[Scored]:
        counted.append(len(candidates))
        return score(candidates, **rest)

    monkeypatch.setattr(serial_backend, "score_here", counting)
    pools["search"]["trials"] = 4
    resumed = Study(pools, tmp_path / "cut")
    resumed.run()
    assert counted == [4]
    assert (tmp_path / "cut" / POOLS_FILE).read_text().startswith(first)
    assert [trial.id for trial in resumed.trials] == [trial.id for trial in whole.trials]
    assert read_rejected(tmp_path / "cut").keys() == read_rejected(tmp_path / "whole").keys()
    assert resumed.front.points == whole.front.points


def _rung_zero(pools: dict[str, Any], folder: Path) -> tuple[FirstFidelity, optuna.study.Study]:
    """Return one whose proxy is the sparsity, behind an opened run folder."""
    config = parse_study(pools)
    run = RunFolder(folder)
    run.open(config)
    task = TrialTask(data=DataChoice(name="digits", folder=None), devices=(), folder=folder)
    study = create_study(config, optuna.samplers.RandomSampler(seed=1))
    constraint_filter = ConstraintFilter(config, StudyCosts(config, task), folder)
    recorder = Recorder(run, config.search.seed)
    prepare(study, config, recorder, constraint_filter)

    def score(candidates: Sequence[CandidateConfig]) -> list[Scored]:
        return [Scored(score=c.to_json()["sparsity"], costs={"macs": 1.0}) for c in candidates]

    return FirstFidelity(config, study, recorder, constraint_filter, score), study


def test_the_sampler_hears_of_what_is_let_go_as_pruned(
    pools: dict[str, Any], run_folder: Path
) -> None:
    rung, study = _rung_zero(pools, run_folder)
    best = [rung.next() for _ in range(2)]
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") == states.count("RUNNING") == 2
    pruned = [t.params["sparse.sparsity"] for t in study.trials if t.state.name == "PRUNED"]
    trained = [asked.params["sparse.sparsity"] for asked, _ in filter(None, best)]
    assert min(trained) > max(pruned)


def test_a_persons_points_and_grown_networks_are_not_judged(
    pools: dict[str, Any], tiny: dict[str, Any], run_folder: Path
) -> None:
    kind = pools["trials"]["sparse"]
    pools["search"]["points_to_evaluate"] = ["dense"]
    pools["trials"] = {
        "sparse": kind,
        "growth": {"space": "mlp-digits", "budget": {"parameters": "20%"}, "epochs": 2},
    }
    rung, _ = _rung_zero(pools, run_folder)
    first = rung.next()
    assert first is not None
    assert first[1].to_json()["sparsity"] == 0.5
    assert not (run_folder / POOLS_FILE).exists()
    later = [rung.next() for _ in range(6)]
    assert any(found is not None and found[1].kind == "growth" for found in later)
    scored = [entry for pool in read_pools(run_folder / POOLS_FILE) for entry in pool]
    assert all(entry.params["kind"] == "sparse" for entry in scored)


def test_a_space_that_runs_dry_ends_the_search(pools: dict[str, Any], run_folder: Path) -> None:
    pools["trials"]["sparse"] |= {"sparsity": [0.5, 0.8], "transform": "none", "updater": "static"}
    study = Study(pools, run_folder)
    study.run()
    assert len(study.trials) == 2
    assert len(read_rejected(run_folder)) == 2


def test_a_pool_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    entry = {"id": "a", "params": {"x": 1}, "score": 2.0, "kept": True}
    line = json.dumps({"proxy": "snip", "pool": [entry]})
    (tmp_path / POOLS_FILE).write_text(f"{line}\n{line[:30]}")
    assert [[e.id for e in pool] for pool in read_pools(tmp_path / POOLS_FILE)] == [["a"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": {"macs": "minimize"}}, "add accuracy: maximize"),
        ({"search": {"first_fidelity": {"keep": 1.0}}}, "keep"),
        ({"search": {"first_fidelity": {"proxy": "luck"}}}, "synflow"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    pools: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_study(pools | change)


def test_growth_alone_is_refused(tiny: dict[str, Any]) -> None:
    del tiny["trials"]["sparse"]
    tiny["search"]["first_fidelity"] = {}
    with pytest.raises(UsageError, match="only trials that start with their network"):
        parse_study(tiny)


def test_every_proxy_can_be_named_in_a_study(pools: dict[str, Any]) -> None:
    for name in PROXIES:
        pools["search"]["first_fidelity"]["proxy"] = name
        settings = parse_study(pools).search.first_fidelity
        assert settings is not None
        assert settings.proxy == name


@pytest.mark.parametrize("change", ["range", "kind", "epochs"])
def test_pools_of_before_an_edit_are_of_the_edited_study_where_it_would_draw_them(
    pools: dict[str, Any], run_folder: Path, change: str
) -> None:
    pools["search"]["trials"] = 2
    Study(pools, run_folder).run()
    (pool,) = read_pools(run_folder / POOLS_FILE)
    before = (run_folder / "rejected.jsonl").read_bytes()
    sparse, most = pools["trials"]["sparse"], max(entry.params["sparse.sparsity"] for entry in pool)
    if change == "range":
        sparse["sparsity"]["high"] = most - 1e-6
    elif change == "kind":
        budget = {"parameters": {"low": "5%", "high": "30%"}}
        pools["trials"]["growth"] = {"space": "mlp-digits", "budget": budget, "epochs": 2}
    else:
        sparse["epochs"] = 2
    pools["search"]["trials"] = 3
    run = Study(pools, run_folder)
    run.run()
    assert len(run.trials) == 3
    assert (run_folder / "rejected.jsonl").read_bytes().startswith(before)
    # A line never says of one candidate what another's id is.
    for name, found in read_rejected(run_folder).items():
        assert trial_id(candidate_from_json(found.candidate), 3) == name
    ids = [json.loads(line)["id"] for line in (run_folder / "rejected.jsonl").open()]
    assert len(ids) == len(set(ids))
