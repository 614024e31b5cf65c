from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from growsearch.search.samplers.gp_ehvi.search_space import CandidateSpace, uniform_numbers


def _conditional(trial: Any) -> None:
    """A plant or an animal; only an animal has legs, only many legs have a stride."""
    if trial.suggest_categorical("kind", ["plant", "animal"]) == "animal":
        legs = trial.suggest_int("legs", 2, 5)
        if legs >= 4:
            trial.suggest_float("stride", 0.01, 1.0, log=True)


def _flat(trial: Any) -> None:
    trial.suggest_categorical("letter", ["a", "b", "c"])
    trial.suggest_int("count", 1, 3)


def _space(function: Any) -> CandidateSpace:
    return CandidateSpace(function, uniform_numbers([0]))


def _sorted(many: Any) -> list[Mapping[str, Any]]:
    return sorted(many, key=str)


def test_every_decision_of_a_conditional_space_is_found() -> None:
    assert _space(_conditional).distributions == {
        "kind": CategoricalDistribution(["plant", "animal"]),
        "legs": IntDistribution(2, 5),
        "stride": FloatDistribution(0.01, 1.0, log=True),
    }


def test_neighbours_of_a_flat_candidate_are_all_that_differ_in_one_decision() -> None:
    found = _space(_flat).neighbours({"letter": "a", "count": 3}, uniform_numbers([1]))
    assert _sorted(found) == [
        {"letter": "a", "count": 1},
        {"letter": "a", "count": 2},
        {"letter": "b", "count": 3},
        {"letter": "c", "count": 3},
    ]


def test_an_edit_takes_away_and_adds_the_decisions_that_depend_on_it() -> None:
    space = _space(_conditional)
    near = list(space.neighbours({"kind": "animal", "legs": 2}, uniform_numbers([1])))
    assert {"kind": "plant"} in near
    assert {"kind": "animal", "legs": 3} in near
    long = [candidate for candidate in near if candidate.get("legs") == 5]
    assert len(long) == 1
    assert 0.01 <= long[0]["stride"] <= 1.0
    assert all(space.is_complete(candidate) for candidate in near)


def test_only_whole_candidates_are_complete() -> None:
    space = _space(_conditional)
    assert space.is_complete({"kind": "plant"})
    assert space.is_complete({"kind": "animal", "legs": 5, "stride": 0.2})
    assert not space.is_complete({"kind": "animal"})
    assert not space.is_complete({"kind": "plant", "legs": 3})
    assert not space.is_complete({"kind": "fungus"})
    assert not space.is_complete({"kind": "animal", "legs": 5, "stride": 2.0})


def test_two_edits_change_at_most_two_decisions_of_a_flat_candidate() -> None:
    space, uniforms = _space(_flat), uniform_numbers([2])
    start = {"letter": "a", "count": 1}
    mutants = [space.mutant(start, 2, uniforms) for _ in range(200)]
    assert all(space.is_complete(mutant) for mutant in mutants)
    assert {(m["letter"], m["count"]) for m in mutants} == {
        (letter, count) for letter in "abc" for count in (1, 2, 3)
    }
    once = [space.mutant(start, 1, uniforms) for _ in range(50)]
    assert all((m["letter"] == "a") or (m["count"] == 1) for m in once)


@pytest.mark.parametrize("function", [_flat, _conditional])
def test_draws_are_legal_and_even(function: Any) -> None:
    space, uniforms = _space(function), uniform_numbers([3])
    drawn = [space.draw(uniforms) for _ in range(3_000)]
    assert all(space.is_complete(candidate) for candidate in drawn[:50])
    name = next(iter(space.distributions))
    shares = [count / 3_000 for count in Counter(d[name] for d in drawn).values()]
    assert max(shares) - min(shares) < 0.06


def test_steps_and_whole_numbers_are_as_likely_at_the_ends_as_inside() -> None:
    def steps(trial: Any) -> None:
        trial.suggest_float("half", 0.0, 1.5, step=0.5)
        trial.suggest_int("third", 3, 12, step=3)

    space, uniforms = _space(steps), uniform_numbers([4])
    drawn = [space.draw(uniforms) for _ in range(4_000)]
    for name, values in (("half", {0.0, 0.5, 1.0, 1.5}), ("third", {3, 6, 9, 12})):
        counts = Counter(candidate[name] for candidate in drawn)
        assert set(counts) == values
        assert max(counts.values()) < 1.15 * min(counts.values())


def test_raw_choices_become_places_and_flags() -> None:
    space = _space(_conditional)
    # One flag an option, then legs from 1.5 to 5.5 and stride on a logarithmic scale.
    assert space.encode({"kind": "animal", "legs": 5, "stride": 0.1}) == pytest.approx(
        [0, 1, 0.875, 0.5], abs=1e-3
    )
    assert space.encode({"kind": "plant"}) == [1, 0, 0.5, 0.5]


def test_equal_seeds_draw_equal_candidates() -> None:
    first, second = (
        [_space(_conditional).draw(uniform_numbers([seed])) for seed in range(10)] for _ in "ab"
    )
    assert first == second
    assert len({str(candidate) for candidate in first}) > 1
