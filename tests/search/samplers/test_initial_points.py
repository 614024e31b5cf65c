"""Do the points that come first reach the sampler as a person wrote them?"""

from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import UsageError
from growsearch.search.config.file import parse_study
from growsearch.search.samplers.initial_points import points_to_evaluate
from growsearch.search.samplers.replay import candidate_of, params_of
from growsearch.search.study.study import Study

POINT = {
    "kind": "sparse",
    "transform": "none",
    "sparsity": "70%",
    "distribution": "uniform",
    "updater": "static",
}


def _points(tiny: dict[str, Any], *points: Any) -> list[dict[str, Any]]:
    tiny["search"]["points_to_evaluate"] = list(points)
    config = parse_study(tiny)
    return points_to_evaluate(config.trials, config.search.points_to_evaluate)


def test_named_points_are_the_dense_baseline_and_the_papers_settings(tiny: dict[str, Any]) -> None:
    dense, growth, rigl, wide = _points(tiny, "dense", "papers")
    assert dense["sparse.transform"] == "none"
    assert dense["sparse.sparsity"] == 0.5
    assert (rigl["sparse.updater"], rigl["sparse.distribution"]) == ("rigl", "erk")
    # 90 % is beyond the study's 50 to 80 %, 36 % beyond its 5 to 30 %.
    assert rigl["sparse.sparsity"] == wide["sparse.sparsity"] == 0.8
    assert wide["sparse.transform"] == "sparse_wide"
    assert growth == {"kind": "growth", "growth.budget.parameters": 0.3}


def test_what_a_study_does_not_offer_is_no_paper_s_setting(tiny: dict[str, Any]) -> None:
    tiny["trials"]["sparse"] |= {"updater": "static", "transform": "sparse_wide"}
    assert [point["kind"] for point in _points(tiny, "dense", "papers")] == ["growth"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparsity": 0.9}, r"sparsity = 0\.9; this study has 0\.5 to 0\.8"),
        ({"updater": "set"}, "updater = 'set'; this study has: static, rigl"),
        ({"kind": "magic"}, "kind = 'magic'; this study has: growth, sparse"),
        ({"sparsity": [0.5, 0.6]}, "one value a key"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_point_outside_the_space_is_refused(
    tiny: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        _points(tiny, POINT | change)


def test_points_run_first_and_once_and_a_candidate_survives_its_file(
    tiny: dict[str, Any], run_folder: Path
) -> None:
    tiny["search"] |= {"points_to_evaluate": [POINT, "dense"], "trials": 3}
    study = Study(tiny, run_folder)
    study.run()
    first, second, _ = study.trials
    assert (first.config["sparsity"], second.config["sparsity"]) == (0.7, 0.5)
    assert first.config["updater"] == second.config["updater"] == "static"
    for trial in study.trials:
        params = params_of(trial.config, study.config.trials)
        assert candidate_of(params, study.config.trials).to_json() == dict(trial.config)
    # A resume does not run them again.
    tiny["search"]["trials"] = 4
    again = Study(tiny, run_folder)
    again.run()
    assert len({trial.id for trial in again.trials}) == 4
