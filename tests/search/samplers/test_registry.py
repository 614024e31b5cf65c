"""Which sampler does a study get, and does every one work wherever a study runs?"""

import copy
import pickle
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from growsearch.errors import UsageError
from growsearch.kinds import suggest_candidate
from growsearch.search.config.file import parse_study
from growsearch.search.config.search_settings import Sampler
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.gp_ehvi.sampler import GPEHVISampler
from growsearch.search.samplers.history import create_study
from growsearch.search.samplers.known_costs import StudyCosts
from growsearch.search.samplers.registry import AUTO, SAMPLERS, chosen_sampler, make_sampler
from growsearch.search.study.study import Study
from growsearch.trial.task import TrialTask


def _foresight(config: StudyConfig, folder: Path) -> StudyCosts:
    task = TrialTask(data=config.data_choice, devices=config.devices, folder=folder, profiles={})
    return StudyCosts(config, task)


def _named(tiny: dict[str, Any], **search: Any) -> StudyConfig:
    data = copy.deepcopy(tiny)
    data["search"] |= search
    return parse_study(data)


@pytest.mark.parametrize("name", ["gp", "gp-ehvi"])
def test_a_sampler_named_in_a_study_searches_serially(
    name: str, tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"] |= {"sampler": name, "trials": 3}
    study = Study(tiny, run_folder)
    assert len(study.run()) >= 1
    assert len({trial.id for trial in study.trials}) == 3


def test_auto_takes_what_suits_space_and_budget(tiny: dict[str, Any]) -> None:
    # Growth decides on its network while it trains: its costs are not known.
    assert chosen_sampler(_named(tiny, trials=200)) == "tpe"
    assert chosen_sampler(_named(tiny, trials=1001)) == "nsga2"
    assert chosen_sampler(_named(tiny, trials=10, sampler="random")) == "random"
    del tiny["trials"]["growth"]
    assert chosen_sampler(_named(tiny, trials=200)) == "gp-ehvi"
    assert chosen_sampler(_named(tiny, trials=201)) == "tpe"
    measured = copy.deepcopy(tiny)
    measured["objectives"]["latency[cpu]"] = "minimize"
    assert chosen_sampler(_named(measured, trials=20)) == "tpe"
    tiny["trials"]["sparse"]["updater"] = ["static", "gmp"]
    assert chosen_sampler(_named(tiny, trials=20)) == "tpe"
    tiny["trials"]["sparse"]["updater"] = "static"
    tiny["objectives"] = {"accuracy": "maximize"}
    assert chosen_sampler(_named(tiny, trials=10)) == "tpe"


def test_a_study_may_name_every_sampler_that_there_is() -> None:
    assert get_args(Sampler) == (AUTO, *SAMPLERS)


def test_gp_ehvi_without_accuracy_is_refused_with_the_remedy(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["objectives"] = {"macs": "minimize", "training_macs": "minimize"}
    config = _named(tiny, sampler="gp-ehvi")
    with pytest.raises(UsageError, match="need accuracy: maximize"):
        make_sampler(config, _foresight(config, run_folder))


def test_an_unknown_sampler_lists_the_valid_ones(tiny: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"search\.sampler = 'bayes'.*'gp-ehvi'"):
        _named(tiny, sampler="bayes")


def test_gp_ehvi_of_a_study_works_in_a_plain_optuna_study_and_after_pickling(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    config = _named(tiny, sampler="gp-ehvi")
    sampler = make_sampler(config, _foresight(config, run_folder))
    assert isinstance(sampler, GPEHVISampler)
    # Tune pickles its searcher, sampler and all.
    first, second = (
        _plain(config, chosen) for chosen in (sampler, pickle.loads(pickle.dumps(sampler)))
    )
    assert first == second
    assert len({frozenset(params.items()) for params in first}) == len(first)


def _plain(config: StudyConfig, sampler: optuna.samplers.BaseSampler) -> list[dict[str, Any]]:
    """Search with a made-up accuracy that follows the first decisions."""
    study = create_study(config, sampler)
    for _ in range(9):
        asked = study.ask()
        candidate = suggest_candidate(asked, config.trials)
        size = 0.3 if candidate.kind == "growth" else 1 - float(asked.params["sparse.sparsity"])
        study.tell(asked, [0.9 - 0.1 / (1 + size), 40_000 * size, 1e-6 * (1 + size)])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_suggests_the_same_to_equal_studies(
    name: str, tiny: dict[str, Any], run_folder: Path
) -> None:
    config = _named(tiny, sampler=name)
    runs = []
    for _ in range(2):
        study = create_study(config, make_sampler(config, _foresight(config, run_folder)))
        asked = [study.ask() for _ in range(3)]
        runs.append([suggest_candidate(trial, config.trials) for trial in asked])
    assert runs[0] == runs[1]


def test_quick_forecasts_follow_the_exact_ones_with_few_networks(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["trials"]["sparse"]["transform"] = "none"
    config = parse_study(tiny)
    foresight = _foresight(config, run_folder)
    study = create_study(config, optuna.samplers.RandomSampler(seed=0))
    kinds = set()
    for _ in range(30):
        candidate = suggest_candidate(study.ask(), config.trials)
        quick, exact = foresight.quick(candidate), foresight.exact(candidate)
        assert quick.metrics.keys() == exact.metrics.keys()
        for name, value in exact.metrics.items():
            assert quick.metrics[name] == pytest.approx(value, rel=0.03), name
        kinds.add(candidate.kind)
    assert kinds == {"growth", "sparse"}
    # Nine places of a budget and of a sparsity under two ratios, whatever the number of candidates.
    assert len(foresight._networks) <= 27
