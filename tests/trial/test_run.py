import copy
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from growsearch.errors import UsageError
from growsearch.kinds import (
    DataChoice,
    GrowFirst,
    GrowthBound,
    GrowthCandidate,
    Network,
    RecipeChoice,
    SparseCandidate,
    candidate_from_json,
    trial_id,
    trial_seed,
)
from growsearch.kinds.network import AppliedTransform
from growsearch.kinds.recipe_choice import recipe_values
from growsearch.sparsity import Masks, NOfM
from growsearch.transforms import TOLERANCE, sparse_plan
from growsearch.trial.record import Trial
from growsearch.trial.run import run_trial
from growsearch.trial.task import TrialTask
from search_spaces import SEARCH_SPACES

ONE_EPOCH = RecipeChoice(epochs=1)
SPARSE = SparseCandidate(
    space="mlp-digits",
    transform="none",
    sparsity=0.75,
    distribution="uniform",
    updater="rigl",
    training=ONE_EPOCH,
)
GROWTH = GrowthCandidate(
    space="mlp-digits", budget=GrowthBound("macs", 9000), training=RecipeChoice(epochs=2)
)


def _task(folder: Path) -> TrialTask:
    return TrialTask(
        data=DataChoice(name="digits", folder=None), devices=("wafer-cs2",), folder=folder
    )


def _run(config: SparseCandidate | GrowthCandidate, folder: Path):
    return run_trial(config, _task(folder), number=7, study_seed=0, report=lambda _: None)


GROWN_SPARSE = dataclasses.replace(
    SPARSE, grow=GrowFirst(budget=GrowthBound("macs", 0.4), epochs=2)
)


@pytest.mark.parametrize("config", [SPARSE, GROWTH, GROWN_SPARSE])
def test_a_config_survives_json_and_its_id_and_seed_follow_from_it(config) -> None:
    assert candidate_from_json(config.to_json()) == config
    assert trial_id(config, 0) == trial_id(candidate_from_json(config.to_json()), 0)
    assert trial_id(config, 0) != trial_id(config, 1)
    assert trial_seed(config, 0) != trial_seed(config, 1)


def test_a_config_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="valid: growth, sparse"):
        candidate_from_json({**SPARSE.to_json(), "kind": "pruned"})


def test_layers_have_their_shares_of_each_latency_that_knows_them(tmp_path: Path) -> None:
    task = dataclasses.replace(_task(tmp_path), devices=("wafer-cs2", "cpu"))
    trial = run_trial(SPARSE, task, number=0, study_seed=0, report=lambda _: None)
    assert trial.status == "finished", trial.error
    wafer = [layer.latency_share["wafer-cs2"] for layer in trial.layers]
    assert sum(wafer) == pytest.approx(1, abs=1e-3)
    # What lies between the layers, ReLU for one, takes time as well.
    cpu = [layer.latency_share["cpu"] for layer in trial.layers]
    assert len(cpu) == 3
    assert all(share > 0 for share in cpu)
    assert sum(cpu) < 1


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
    config = SparseCandidate(
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
    assert _live_widths(tmp_path, trial) == [
        [int(cell) for cell in line.split(",")[-2:]] for line in history[1:]
    ]


def _live_widths(folder: Path, trial: Trial) -> list[list[int]]:
    """Return every epoch's widths as structures.jsonl has them."""
    lines = (folder / "trials" / trial.id / "structures.jsonl").read_text().splitlines()
    return [[len(live) for live in json.loads(line)["live"].values()] for line in lines]


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
    diverging = SparseCandidate(
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


FULL = SparseCandidate(
    space="mlp-digits",
    transform="sparse_factorized",
    sparsity=0.5,
    distribution="snip",
    positions="saliency",
    updater="granet",
    activation=False,
    training=RecipeChoice(epochs=2, batch_size=128, learning_rate=0.05, name="sparse-ift-cifar"),
    record=("spectra", "gradient_flow"),
)


def test_settings_that_earlier_versions_had_not_keep_old_ids() -> None:
    assert SPARSE.to_json() == {
        "kind": "sparse",
        "space": "mlp-digits",
        "transform": "none",
        "sparsity": 0.75,
        "distribution": "uniform",
        "updater": "rigl",
        "epochs": 1,
        "batch_size": 64,
        "learning_rate": 0.1,
    }
    # What version 0.1.0 named its folder.
    assert trial_id(SPARSE, 0) == "f562e7d25a"


def test_recording_changes_neither_id_nor_seed_and_survives_json() -> None:
    silent = dataclasses.replace(FULL, record=())
    assert trial_id(FULL, 0) == trial_id(silent, 0)
    assert trial_seed(FULL, 0) == trial_seed(silent, 0)
    assert candidate_from_json(FULL.to_json()) == FULL
    assert candidate_from_json(silent.to_json()) == silent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"updater": "granite"}, "unknown 'granite'"),
        ({"record": ["loss"]}, "unknown 'loss'; valid: spectra, gradient_flow"),
        ({"record": ["spectra", "spectra"]}, "stands twice"),
        ({"pattern": "4:2"}, "keeps every weight"),
        ({"distribution": "erk"}, "erk chooses no positions"),
    ],
)
def test_a_config_with_settings_that_cannot_be_is_refused(change, message) -> None:
    with pytest.raises(UsageError, match=message):
        candidate_from_json({**FULL.to_json(), **change})


def test_a_trial_with_everything_keeps_the_dense_macs_and_writes_its_records(
    tmp_path: Path,
) -> None:
    trial = _run(FULL, tmp_path)
    assert trial.status == "finished", trial.error
    metrics = trial.metrics
    forward = metrics["training_macs"] - metrics["dense_gradient_macs"]
    assert metrics["dense_gradient_macs"] > 0
    assert abs(forward / metrics["dense_training_macs"] - 1) <= TOLERANCE
    assert metrics["mac_error"] == pytest.approx(forward / metrics["dense_training_macs"] - 1)
    folder = tmp_path / "trials" / trial.id
    spectra, flow = (
        [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("spectra", "gradient_flow")
    )
    assert [line["epoch"] for line in spectra] == [line["epoch"] for line in flow] == [0, 1, 2]
    # One hidden layer between the dense ends, in two factors.
    assert list(spectra[0]["layers"]) == list(flow[0]["layers"])
    assert len(flow[0]["layers"]) == 2
    gaps = [figures["weighted_spectral_gap"] for figures in spectra[1]["layers"].values()]
    assert spectra[1]["mean"]["weighted_spectral_gap"] == pytest.approx(sum(gaps) / 2)
    norms = list(flow[2]["layers"].values())
    assert flow[2]["all"] == pytest.approx(math.hypot(*norms))
    assert flow[2]["mean"] == pytest.approx(sum(norms) / 2)
    assert flow[0] != flow[2]
    silent = _run(dataclasses.replace(FULL, record=()), tmp_path / "silent")
    assert silent.metrics == trial.metrics
    assert not (tmp_path / "silent" / "trials" / trial.id / "spectra.jsonl").exists()


@pytest.mark.parametrize("updater", ["granet", "gmp"])
def test_a_scheduled_trial_without_a_transform_ends_at_its_sparsity(updater, tmp_path) -> None:
    trial = _run(dataclasses.replace(SPARSE, updater=updater), tmp_path)
    weights = 64 * 256 + 256 * 256 + 256 * 10
    assert trial.metrics["macs"] == weights - round(0.75 * weights)
    # It was denser before.
    assert trial.metrics["training_macs"] > 0.3 * trial.metrics["dense_training_macs"]


@pytest.mark.parametrize(
    ("transform", "pattern", "sparsity"),
    [("none", NOfM(2, 4), 0.5), ("sparse_wide", NOfM(2, 8, transposable=True), 0.75)],
)
def test_a_pattern_is_in_the_weights_of_the_finished_network(
    transform, pattern, sparsity, tmp_path
) -> None:
    config = dataclasses.replace(SPARSE, transform=transform, pattern=pattern, sparsity=sparsity)
    assert candidate_from_json(config.to_json()) == config
    trial = _run(config, tmp_path)
    assert trial.status == "finished", trial.error
    weights = load_file(tmp_path / "trials" / trial.id / "weights.safetensors")
    matrix = weights["hidden.1.linear.weight"]
    groups = matrix.view(len(matrix), -1, pattern.m)
    assert ((groups != 0).sum(dim=2) <= pattern.n).all()
    network = Network.from_json(trial.network)
    network.build().load_state_dict(weights)


def test_a_low_rank_trial_is_rebuilt_with_its_ranks(tmp_path: Path) -> None:
    config = dataclasses.replace(SPARSE, transform="low_rank", sparsity=0.2, updater="static")
    trial = _run(config, tmp_path)
    assert trial.status == "finished", trial.error
    network = Network.from_json(trial.network)
    assert network.transform.sizes.ranks
    assert sum(p.numel() for p in network.build().parameters()) == trial.metrics["dense_parameters"]
    # Half a rank of the one layer: (280 + 280) / 2.
    dense = 64 * 256 + 256 * 256 + 256 * 10
    assert abs(trial.metrics["macs"] - dense) <= 286


def test_a_recipe_is_stretched_to_the_epochs_and_its_values_can_be_replaced() -> None:
    recipe = RecipeChoice(epochs=20, batch_size=32, learning_rate=0.2, name="sparse-ift-cifar")
    found = recipe.recipe()
    assert (found.epochs, found.batch_size, found.learning_rate) == (20, 32, 0.2)
    assert found.schedule.milestones == (6.0, 12.0, 16.0)
    assert found.weight_decay == 5e-4
    with pytest.raises(UsageError, match="valid: default, "):
        recipe_values("sparse-ift-mnist")


def test_a_sparse_trial_goes_on_with_what_it_has_grown(tmp_path: Path) -> None:
    heard = []
    trial = run_trial(GROWN_SPARSE, _task(tmp_path), number=7, study_seed=0, report=heard.append)
    assert trial.status == "finished", trial.error
    full = 64 * 256 + 256 * 256 + 256 * 10
    dense = trial.metrics["dense_macs"]
    assert 0.39 * full < dense <= 0.4 * full
    assert trial.metrics["macs"] == dense - round(0.75 * dense)
    # Two epochs of growing, one of sparse training: one history, and one bill.
    assert [record.epoch for record in heard] == [1, 2, 3]
    rows = (tmp_path / "trials" / trial.id / "history.csv").read_text().splitlines()
    assert len(rows) == 4
    # Structures change while it grows only.
    assert len(_live_widths(tmp_path, trial)) == 2
    assert heard[0].training_macs < heard[1].training_macs < heard[2].training_macs
    assert trial.metrics["training_macs"] == heard[2].training_macs
    network = Network.from_json(trial.network)
    network.build().load_state_dict(
        load_file(tmp_path / "trials" / trial.id / "weights.safetensors")
    )
    assert dict(network.architecture.choices) != dict(SEARCH_SPACES["mlp-digits"].largest().choices)


def test_the_weights_that_were_grown_are_the_ones_that_are_masked(monkeypatch, tmp_path) -> None:
    started = []

    def note(module, *arguments, **settings):
        plan = sparse_plan(module, *arguments, **settings)
        started.append((copy.deepcopy(module.state_dict()), copy.deepcopy(plan.module)))
        return plan

    monkeypatch.setattr("growsearch.kinds.sparse.training.sparse_plan", note)
    assert _run(GROWN_SPARSE, tmp_path).status == "finished"
    ((grown, masked),) = started
    masks = Masks.of(masked)
    assert len(masks) == 3
    for name in masks:
        assert torch.equal(masked.get_parameter(name), grown[name] * masks[name])


def test_a_transform_applies_to_the_grown_network_at_its_macs(tmp_path: Path) -> None:
    config = dataclasses.replace(
        GROWN_SPARSE, transform="sparse_wide", sparsity=0.75, distribution="uniform"
    )
    trial = _run(config, tmp_path)
    assert trial.status == "finished", trial.error
    assert abs(trial.metrics["mac_error"]) <= TOLERANCE
    assert trial.network["transform"]["name"] == "sparse_wide"
    network = Network.from_json(trial.network)
    network.build().load_state_dict(
        load_file(tmp_path / "trials" / trial.id / "weights.safetensors")
    )


def test_growing_first_takes_two_epochs() -> None:
    with pytest.raises(UsageError, match=r"grow\.epochs: 1"):
        GrowFirst(budget=GrowthBound("macs", 0.4), epochs=1)
