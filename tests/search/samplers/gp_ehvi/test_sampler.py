import itertools
import math
from collections.abc import Mapping
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tabular.simulation import Outcome, simulate
from tabular.table import ResultTable

from growsearch.errors import UsageError
from growsearch.search.samplers.gp_ehvi.sampler import GPEHVISampler, GPEHVISettings, KnownCosts

optuna.logging.set_verbosity(optuna.logging.ERROR)

LAYERS = ("none", "small", "large")
_DEPTH = 5


def _table() -> ResultTable:
    """243 networks of five layers: more and larger layers err less and cost more, not evenly."""
    rows = list(itertools.product(range(3), repeat=_DEPTH))
    counts = np.array([[row.count(1), row.count(2)] for row in rows], dtype=float)
    position = np.array([sum(i * layer for i, layer in enumerate(row)) for row in rows])
    error = 4 + 40 * np.exp(-0.35 * counts[:, 0] - 0.6 * counts[:, 1]) + 0.4 * np.cos(position)
    cost = 1 + 2 * counts[:, 0] + 5 * counts[:, 1] + 0.2 * position
    return ResultTable(
        options={f"layer{index}": LAYERS for index in range(_DEPTH)},
        columns={"error": error, "cost": cost, "memory": 3 + counts.sum(axis=1)},
        descriptors=np.column_stack([counts, np.log(cost)]),
    )


TABLE = _table()
REFERENCE = (40.0, 30.0)


def _cost(params: Mapping[str, Any]) -> tuple[float, ...]:
    return (float(TABLE.column("cost")[TABLE.row(params)]),)


def _described(params: Mapping[str, Any]) -> Any:
    return TABLE.descriptors[TABLE.row(params)]


def _sampler(seed: int = 0, **changes: Any) -> GPEHVISampler:
    settings = GPEHVISettings(
        reference=REFERENCE, start_points=4, random_candidates=60, mutants=5, **changes
    )
    foresight = KnownCosts(costs=_cost, descriptors=_described)
    return GPEHVISampler(seed=seed, foresight=foresight, space=TABLE.suggest, settings=settings)


def _study(sampler: optuna.samplers.BaseSampler, objectives: int = 2) -> optuna.study.Study:
    return optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)


def _run(
    sampler: optuna.samplers.BaseSampler,
    trials: int,
    workers: int = 1,
    objectives: tuple[str, ...] = ("error", "cost"),
) -> list[tuple[float, ...]]:
    def objective(trial: optuna.Trial) -> Outcome:
        row = TABLE.suggest(trial)
        return Outcome(values=TABLE.values(row, objectives), seconds=1 + row % 7)

    study = _study(sampler, len(objectives))
    return [trial.values for trial in simulate(study, objective, workers=workers, trials=trials)]


def _share(values: list[tuple[float, ...]]) -> float:
    total = TABLE.hypervolume(("error", "cost"), REFERENCE)
    return float(moocore.hypervolume(np.array(values), ref=np.array(REFERENCE))) / total


def test_it_finds_the_front_that_random_search_does_not() -> None:
    assert np.median([_share(_run(_sampler(seed), 16)) for seed in range(3)]) > 0.97
    random = [_share(_run(optuna.samplers.RandomSampler(seed=seed), 16)) for seed in range(3)]
    assert np.median(random) < 0.93


@pytest.mark.parametrize("workers", [1, 4])
def test_equal_seeds_suggest_equal_candidates_and_none_twice(workers: int) -> None:
    first, second = (_run(_sampler(3), 14, workers) for _ in "ab")
    assert first == second
    assert first != _run(_sampler(4), 14, workers)
    assert len(set(first)) == len(first)


def test_the_first_candidates_have_a_range_of_the_known_cost_each() -> None:
    costs = [cost for _, cost in _run(_sampler(), 4)]
    below = TABLE.column("cost")[TABLE.column("cost") < REFERENCE[1]]
    places = [float((below < cost).mean()) for cost in costs]
    # The ranges are those of 60 random candidates, not of the whole table.
    for index, place in enumerate(places):
        assert index / 4 - 0.1 < place < (index + 1) / 4 + 0.1


def test_of_networks_that_cost_the_same_those_come_first_that_differ_most() -> None:
    def pair(trial: Any) -> tuple[float, float]:
        return trial.suggest_float("a", 0, 1), trial.suggest_float("b", 0, 1)

    settings = GPEHVISettings(start_points=3, random_candidates=200)
    study = _study(GPEHVISampler(seed=0, space=pair, settings=settings))
    points = []
    for _ in range(3):
        trial = study.ask()
        points.append(pair(trial))
        study.tell(trial, [1.0, 1.0])
    assert min(math.dist(a, b) for a, b in itertools.combinations(points, 2)) > 0.5


def test_a_small_space_is_tried_out_before_anything_repeats() -> None:
    def pair(trial: Any) -> tuple[int, int]:
        return trial.suggest_int("a", 0, 2), trial.suggest_int("b", 0, 1)

    study = _study(GPEHVISampler(seed=0, space=pair, settings=GPEHVISettings(start_points=2)))
    tried = []
    for _ in range(8):
        trial = study.ask()
        tried.append(pair(trial))
        study.tell(trial, [1.0 + sum(tried[-1]), 3.0 - tried[-1][0]])
    assert len(set(tried[:6])) == 6
    assert set(tried[6:]) <= set(tried[:6])


def test_running_trials_count_with_what_is_expected_of_them() -> None:
    study = _study(_sampler())
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, TABLE.values(TABLE.suggest(trial), ("error", "cost")))
    asked = [study.ask() for _ in range(4)]
    rows = [TABLE.suggest(trial) for trial in asked]
    assert len(set(rows)) == 4
    # One that is expected to be as good and as cheap as a running one adds next to nothing.
    costs = TABLE.column("cost")[rows]
    assert min(abs(a - b) for a, b in itertools.combinations(costs, 2)) > 0.3


def test_a_candidate_that_breaks_a_constraint_for_certain_is_never_proposed() -> None:
    foresight = KnownCosts(
        costs=_cost, descriptors=_described, feasible=lambda params: _cost(params)[0] <= 12
    )
    sampler = GPEHVISampler(seed=0, foresight=foresight, space=TABLE.suggest)
    assert max(cost for _, cost in _run(sampler, 15)) <= 12
    nothing = KnownCosts(feasible=lambda _: False)
    with pytest.raises(UsageError, match="none of 500 random candidates"):
        _run(GPEHVISampler(seed=0, foresight=nothing, space=TABLE.suggest), 1)


def test_a_result_that_breaks_a_measured_constraint_is_not_on_the_front() -> None:
    study = _study(_sampler())
    for index in range(9):
        trial = study.ask()
        row = TABLE.suggest(trial)
        trial.set_constraint("measured", 1.0 if index % 2 else -1.0)
        study.tell(trial, TABLE.values(row, ("error", "cost")))
    assert len({frozenset(trial.params.items()) for trial in study.trials}) == 9


def test_an_unknown_cost_is_learned() -> None:
    sampler = GPEHVISampler(
        seed=0,
        foresight=KnownCosts(descriptors=_described),
        space=TABLE.suggest,
        settings=GPEHVISettings(reference=REFERENCE, start_points=5, random_candidates=60),
    )
    assert _share(_run(sampler, 24)) > 0.93


@pytest.mark.parametrize("known", [True, False])
def test_three_objectives_work_with_known_and_unknown_costs(known: bool) -> None:
    def costs(params: Mapping[str, Any]) -> tuple[float, float]:
        memory = float(TABLE.column("memory")[TABLE.row(params)])
        return (*_cost(params), memory if known else math.nan)  # type: ignore[return-value]

    sampler = GPEHVISampler(
        seed=1,
        foresight=KnownCosts(costs=costs),
        space=TABLE.suggest,
        settings=GPEHVISettings(start_points=3, random_candidates=30, mutants=3),
    )
    objectives = ("error", "cost", "memory")
    values = _run(sampler, 10, objectives=objectives)
    assert len(set(values)) == 10
    reference = (40.0, 30.0, 9.0)
    found = moocore.hypervolume(np.array(values), ref=np.array(reference))
    assert found > 0.8 * TABLE.hypervolume(objectives, reference)


def test_failed_trials_are_not_tried_again_and_do_not_stop_the_search() -> None:
    study = _study(_sampler())
    tried = []
    for index in range(12):
        trial = study.ask()
        tried.append(TABLE.suggest(trial))
        if index % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, TABLE.values(tried[-1], ("error", "cost")))
    assert len(set(tried)) == 12


def test_a_plain_study_needs_no_space_function() -> None:
    settings = GPEHVISettings(start_points=3, random_candidates=40)
    study = _study(GPEHVISampler(seed=0, settings=settings))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("width", 4, 64, log=True)
        rate = trial.suggest_float("rate", 1e-3, 1.0, log=True)
        return 1 / width + 0.1 * abs(math.log10(rate) + 1.5), float(width)

    study.optimize(objective, n_trials=20)
    rates = [trial.params["rate"] for trial in study.trials[-10:]]
    assert sum(10**-2.0 < rate < 10**-1.0 for rate in rates) >= 8


def test_a_maximised_metric_is_its_distance_from_the_ceiling() -> None:
    def accuracy(ceiling: float) -> set[float]:
        study = optuna.create_study(
            directions=["maximize", "minimize"],
            sampler=GPEHVISampler(
                seed=0,
                foresight=KnownCosts(costs=_cost, descriptors=_described),
                space=TABLE.suggest,
                settings=GPEHVISettings(
                    start_points=4, random_candidates=40, ceiling=ceiling, reference=(60, 30)
                ),
            ),
        )
        for _ in range(12):
            trial = study.ask()
            error, cost = TABLE.values(TABLE.suggest(trial), ("error", "cost"))
            study.tell(trial, [100 - error, cost])
        return {100 - trial.values[0] for trial in study.trials}

    best = min(TABLE.column("error")[TABLE.column("cost") < 30])
    assert min(accuracy(100.0)) < best + 1
    with pytest.raises(UsageError, match="set ceiling"):
        accuracy(1.0)


def test_costs_for_another_number_of_objectives_are_refused() -> None:
    two = KnownCosts(costs=lambda _: (1.0, 2.0))
    with pytest.raises(UsageError, match="costs: 2 values for 1 objectives"):
        _run(GPEHVISampler(seed=0, foresight=two, space=TABLE.suggest), 1)
    settings = GPEHVISettings(reference=(1.0, 2.0, 3.0))
    with pytest.raises(UsageError, match="reference: 3 values for 2 objectives"):
        _run(GPEHVISampler(seed=0, space=TABLE.suggest, settings=settings), 1)
    with pytest.raises(UsageError, match="start_points = 1"):
        GPEHVISettings(start_points=1)
