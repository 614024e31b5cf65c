"""Is what a forecast tells what the trained network turns out to be?"""

import dataclasses
from pathlib import Path

import pytest

from growsearch.datasets import load_dataset
from growsearch.kinds import (
    CandidateConfig,
    DataChoice,
    Forecast,
    ForecastContext,
    GrowFirst,
    GrowthBound,
    GrowthCandidate,
    RecipeChoice,
    SparseCandidate,
    forecast,
    trial_seed,
)
from growsearch.kinds.forecasts import LIVE_NUMBERS
from growsearch.trial.record import Trial
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask

SEED = 3


def _both(config: CandidateConfig, folder: Path) -> tuple[Forecast, Trial]:
    dataset = load_dataset("digits", None)
    devices = {"wafer-cs2": None, "cpu": None}
    found = forecast(
        config, ForecastContext(dataset=dataset, devices=devices, seed=trial_seed(config, SEED))
    )
    assert found is not None
    task = TrialTask(
        data=DataChoice(name="digits", folder=None), devices=("wafer-cs2",), folder=folder
    )
    trial = run_trial(config, task, number=0, study_seed=SEED, report=lambda _: None)
    assert trial.finished, trial.error
    return found, trial


def _sparse(transform: str, updater: str, distribution: str = "erk") -> SparseCandidate:
    return SparseCandidate(
        space="mlp-digits",
        transform=transform,
        sparsity=0.8,
        distribution=distribution,
        updater=updater,
        training=RecipeChoice(epochs=1),
    )


@pytest.mark.parametrize("transform", ["none", "sparse_wide", "sparse_parallel", "low_rank"])
def test_static_masks_cost_exactly_what_was_foretold(transform: str, tmp_path: Path) -> None:
    found, trial = _both(_sparse(transform, "static"), tmp_path)
    assert set(found.metrics) == {"macs", "dense_macs", "parameters", "latency[wafer-cs2]"}
    for name, value in found.metrics.items():
        assert trial.metrics[name] == pytest.approx(value, rel=1e-12), name
    assert len(found.live) == LIVE_NUMBERS


def test_a_saliency_is_foretold_from_the_trial_s_own_data_and_weights(tmp_path: Path) -> None:
    found, trial = _both(_sparse("none", "static", "snip"), tmp_path)
    assert trial.metrics["macs"] == found.metrics["macs"]


def test_rewired_masks_cost_at_most_what_was_foretold(tmp_path: Path) -> None:
    found, trial = _both(_sparse("none", "rigl"), tmp_path)
    # A connection that is grown at weight 0 and never gets a gradient saves its MACs.
    assert 0.9 * found.metrics["macs"] < trial.metrics["macs"] <= found.metrics["macs"]


def test_masks_that_get_sparser_tell_the_dense_macs_alone(tmp_path: Path) -> None:
    found, trial = _both(_sparse("none", "gmp"), tmp_path)
    assert found.metrics == {"dense_macs": trial.metrics["dense_macs"]}
    assert len(found.live) == LIVE_NUMBERS


@pytest.mark.parametrize(("metric", "budget"), [("parameters", 0.1), ("macs", 0.4)])
def test_growth_spends_its_budget_up_to_less_than_a_channel(
    metric: str, budget: float, tmp_path: Path
) -> None:
    config = GrowthCandidate(
        space="mlp-digits",
        budget=GrowthBound(metric, budget),
        training=RecipeChoice(epochs=2),
    )
    found, trial = _both(config, tmp_path)
    name = "dense_parameters" if metric == "parameters" else "macs"
    assert found.least[metric] <= trial.metrics[name] <= found.metrics[metric]
    assert found.least[metric] > 0.5 * found.metrics[metric]


def test_what_cannot_be_built_is_not_foretold() -> None:
    config = SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.9999,
        distribution="erk",
        updater="static",
        training=RecipeChoice(epochs=1),
    )
    dataset = load_dataset("digits", None)
    found = forecast(config, ForecastContext(dataset=dataset, devices={"cpu": None}, seed=0))
    assert found is None or "latency[cpu]" not in found.metrics


def test_nothing_is_foretold_of_a_trial_that_grows_first() -> None:
    first = GrowFirst(budget=GrowthBound("macs", 0.5), epochs=2)
    config = dataclasses.replace(_sparse("none", "static"), grow=first)
    assert (
        forecast(
            config,
            ForecastContext(
                dataset=load_dataset("digits", None), devices={"wafer-cs2": None}, seed=SEED
            ),
        )
        == Forecast()
    )
