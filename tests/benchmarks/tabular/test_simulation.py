import math
import tracemalloc
from collections.abc import Sequence

import optuna
import pytest
from tabular.simulation import Outcome, Rung, SimulatedTrial, simulate

from growsearch.errors import UsageError
from growsearch.search.fidelity.mo_asha import MultiObjectiveAsha


def _study() -> optuna.study.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )


def _taking(seconds: Sequence[float]) -> list[SimulatedTrial]:
    def objective(trial: optuna.Trial) -> Outcome:
        value = trial.suggest_float("x", 0, 1)
        return Outcome(values=(value, trial.number), seconds=seconds[trial.number])

    return list(simulate(_study(), objective, workers=2, trials=len(seconds)))


def test_two_workers_start_their_next_trial_when_a_pencil_says_so() -> None:
    # Worker 0: trial 0 until 5, then 4 until 6. Worker 1: trials 1, 2 and 3 until 2, 4 and 7.
    found = _taking([5, 2, 2, 3, 1])
    times = {t.number: (t.worker, t.started_s, t.ended_s) for t in found}
    assert times == {
        1: (1, 0, 2),
        2: (1, 2, 4),
        0: (0, 0, 5),
        3: (1, 4, 7),
        4: (0, 5, 6),
    }
    assert [t.number for t in found] == [1, 2, 0, 4, 3]


def test_trials_that_end_together_end_in_the_order_of_their_starts() -> None:
    assert [t.number for t in _taking([1, 1, 1, 1])] == [0, 1, 2, 3]


def test_a_sampler_hears_of_a_trial_before_its_worker_asks_again() -> None:
    study = _study()
    known: list[tuple[int, int]] = []

    def objective(trial: optuna.Trial) -> Outcome:
        states = [t.state for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        known.append(
            (
                states.count(optuna.trial.TrialState.COMPLETE),
                states.count(optuna.trial.TrialState.RUNNING),
            )
        )
        return Outcome(values=(trial.suggest_float("x", 0, 1), 0.0), seconds=1.0)

    assert len(list(simulate(study, objective, workers=3, trials=6))) == 6
    assert known == [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (3, 2)]


def test_a_value_that_is_not_finite_fails_its_trial() -> None:
    study = _study()

    def objective(trial: optuna.Trial) -> Outcome:
        trial.suggest_float("x", 0, 1)
        return Outcome(values=(math.nan, 1.0) if trial.number else (1.0, 1.0), seconds=1.0)

    assert len(list(simulate(study, objective, workers=1, trials=2))) == 2
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL"]


def test_no_worker_and_negative_time_are_refused() -> None:
    with pytest.raises(UsageError, match="workers = 0"):
        list(simulate(_study(), lambda _: Outcome(values=(0, 0), seconds=1), workers=0, trials=1))
    with pytest.raises(UsageError, match="seconds = -1"):
        list(simulate(_study(), lambda _: Outcome(values=(0, 0), seconds=-1), workers=1, trials=1))


def test_memory_for_a_trial_does_not_grow_with_the_trials_before_it() -> None:
    def objective(trial: optuna.Trial) -> Outcome:
        value = trial.suggest_float("x", 0, 1)
        return Outcome(values=(value, 1 - value), seconds=1 + value)

    held = []
    tracemalloc.start()
    try:
        for done, _ in enumerate(simulate(_study(), objective, workers=50, trials=900), 1):
            if done % 300 == 0:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    first, second = held[1] - held[0], held[2] - held[1]
    assert 0 < second < 1.25 * first


def test_a_rung_frees_the_worker_of_a_stopped_trial_when_a_pencil_says_so() -> None:
    # All take 10 s with a rung after 1 s. One worker, one of two goes on.
    errors = [5.0, 6.0, 4.0, 7.0]

    def objective(trial: optuna.Trial) -> Outcome:
        trial.suggest_float("x", 0, 1)
        error = errors[trial.number]
        rung = Rung(steps=1, seconds=1.0, values={"error": error, "cost": 1.0})
        return Outcome(values=(error, 1.0), seconds=10.0, rungs=[rung])

    stopping = MultiObjectiveAsha({"error": "minimize", "cost": "minimize"}, (1, 10), eta=2, seed=0)
    study = _study()
    found = list(simulate(study, objective, workers=1, trials=4, stopping=stopping))
    # 0 goes on, nobody else being there; 1 is worse than 0; 2 is the best; 3 the worst of four.
    assert [(t.number, t.stopped, t.ended_s) for t in found] == [
        (0, False, 10),
        (1, True, 11),
        (2, False, 21),
        (3, True, 22),
    ]
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
