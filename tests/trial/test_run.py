from pathlib import Path

import pytest

from growsearch.errors import UsageError
from growsearch.trial.config import (
    GrowthTrial,
    RecipeChoice,
    SparseTrial,
    config_from_json,
    trial_id,
    trial_seed,
)
from growsearch.trial.network import AppliedTransform, Network
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask
from search_spaces import SEARCH_SPACES

ONE_EPOCH = RecipeChoice(epochs=1)
SPARSE = SparseTrial(
    space="mlp-digits",
    transform="none",
    sparsity=0.75,
    distribution="uniform",
    updater="rigl",
    training=ONE_EPOCH,
)
GROWTH = GrowthTrial(
    space="mlp-digits", budget_metric="macs", budget=9000, training=RecipeChoice(epochs=2)
)


def _task(folder: Path) -> TrialTask:
    return TrialTask(dataset="digits", data_dir=None, devices=("wafer-cs2",), folder=folder)


def _run(config: SparseTrial | GrowthTrial, folder: Path):
    return run_trial(config, _task(folder), number=7, study_seed=0, report=lambda _: None)


@pytest.mark.parametrize("config", [SPARSE, GROWTH])
def test_a_config_survives_json_and_its_id_and_seed_follow_from_it(config) -> None:
    assert config_from_json(config.to_json()) == config
    assert trial_id(config, 0) == trial_id(config_from_json(config.to_json()), 0)
    assert trial_id(config, 0) != trial_id(config, 1)
    assert trial_seed(config, 0) != trial_seed(config, 1)


def test_a_config_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="valid: growth, sparse"):
        config_from_json({**SPARSE.to_json(), "kind": "pruned"})


def test_a_sparse_trial_has_exactly_the_zeros_that_were_asked_for(tmp_path: Path) -> None:
    trial = _run(SPARSE, tmp_path)
    weights = 64 * 256 + 256 * 256 + 256 * 10
    assert trial.status == "finished", trial.error
    assert trial.number == 7
    # Linear layers on one row: a MAC a weight.
    assert trial.metrics["dense_macs"] == weights
    assert trial.metrics["macs"] == weights - round(0.75 * weights)


def test_a_transformed_trial_keeps_the_dense_macs_and_its_network_is_rebuilt(
    tmp_path: Path,
) -> None:
    config = SparseTrial(
        space="mlp-digits",
        transform="sparse_parallel",
        sparsity=0.5,
        distribution="erk",
        updater="static",
        training=ONE_EPOCH,
    )
    trial = _run(config, tmp_path)
    dense = 64 * 256 + 256 * 256 + 256 * 10
    assert trial.metrics["macs"] == pytest.approx(dense, rel=1e-4)
    assert trial.network is not None
    network = Network.from_json(trial.network)
    assert network.transform == AppliedTransform(name="sparse_parallel", sparsity=0.5)
    assert sum(p.numel() for p in network.build().parameters()) == trial.metrics["dense_parameters"]


def test_a_grown_trial_stays_within_its_budget_and_logs_widths(tmp_path: Path) -> None:
    trial = _run(GROWTH, tmp_path)
    assert trial.metrics["macs"] <= 9000
    history = (tmp_path / "trials" / trial.id / "history.csv").read_text().splitlines()
    assert history[0].endswith("width.hidden0,width.hidden1")
    assert len(history) == 3
    # Every cell is a number: what only language models have gets no column.
    assert "perplexity" not in history[0]
    assert all(float(cell) >= 0 for line in history[1:] for cell in line.split(","))


def test_a_trial_is_the_same_twice(tmp_path: Path) -> None:
    first, second = _run(GROWTH, tmp_path / "a"), _run(GROWTH, tmp_path / "b")
    assert first.metrics == second.metrics
    files = [
        p / "trials" / first.id / "weights.safetensors" for p in (tmp_path / "a", tmp_path / "b")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_candidate_that_cannot_be_trained_is_a_failed_trial_with_the_reason(
    tmp_path: Path,
) -> None:
    diverging = SparseTrial(
        space="mlp-digits",
        transform="none",
        sparsity=0.5,
        distribution="erk",
        updater="static",
        training=RecipeChoice(epochs=1, learning_rate=1e30),
    )
    trial = _run(diverging, tmp_path)
    assert trial.status == "failed"
    assert trial.error is not None
    assert "DivergedError" in trial.error
    assert "step" in trial.error
    assert not trial.metrics


def test_a_network_file_of_another_format_or_space_is_refused() -> None:
    space = SEARCH_SPACES["mlp-digits"]
    data = Network(architecture=space.largest(), input_shape=(1, 8, 8), num_classes=10).to_json()
    assert Network.from_json(data).to_json() == data
    with pytest.raises(UsageError, match="format"):
        Network.from_json({**data, "format": 2})
    with pytest.raises(UsageError, match="unknown search space"):
        Network.from_json({**data, "space": "mlp-planets"})
