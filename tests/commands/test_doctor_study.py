"""A dry run of a study: what its trials need, labelled with what it was measured on."""

import json

import pytest
import torch
import yaml
from typer.testing import CliRunner

from growsearch.cli import app

STUDY = {
    "name": "tiny",
    "dataset": "digits",
    "trials": {
        "growth": {"space": "mlp-digits", "budget": {"parameters": "30%"}, "epochs": 2},
        "sparse": {
            "space": "mlp-digits",
            "transform": ["none", "sparse_wide"],
            "sparsity": {"low": 0.5, "high": 0.75},
            "distribution": "uniform",
            "updater": "static",
            "batch_size": [32, 64],
            "learning_rate": {"low": 0.01, "high": 1e9},
            "epochs": {"low": 1, "high": 3},
        },
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "search": {"trials": 5, "parallel": 2, "backend": "serial"},
    "training": {"device": "cpu"},
}


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Run the command on a changed study, and return its exit code, output and error."""
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()

    def run(*arguments, **changes):
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump({**STUDY, **changes}))
        done = CliRunner().invoke(app, ["doctor", str(file), *arguments])
        assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
        assert torch.get_num_threads() == before
        return done

    return run


def test_every_kind_is_tried_and_each_figure_says_what_it_is_of(tried):
    done = tried("--steps", "2")
    assert done.exit_code == 0, done.output
    assert (
        "ok  trials.growth: the largest network: mlp-digits, 30 % of parameters, grown"
        in done.output
    )
    assert (
        "ok  trials.sparse: the largest network: mlp-digits, 75 % sparse, sparse_wide"
        in done.output
    )
    assert done.output.count("measured on cpu, 1 thread, float32, 64 examples a step") == 2
    assert done.output.count("the median of 2 steps after the first") == 2
    assert "18 steps; a trial:" in done.output
    assert "study: 5 trials, 2 at a time: at most about" in done.output
    assert "Not in these figures: evaluation" in done.output


def test_the_largest_candidate_is_tried_and_the_times_are_products(tried):
    done = tried("--json", "--steps", "1")
    assert done.exit_code == 0, done.output
    growth, sparse = json.loads(done.output)["trials"]
    # Two hidden layers of 256: 64 x 256 + 256 x 256 + 256 x 10 weights, biases and BatchNorms.
    assert growth["parameters"] > 64 * 256 + 256 * 256 + 2560
    # Twice as wide at 75 %: the middle layer has four times the weights.
    assert sparse["parameters"] > 2.5 * growth["parameters"]
    assert (sparse["examples"], sparse["epochs"], sparse["steps_per_epoch"]) == (64, 3, 18)
    assert sparse["trial_s"] == pytest.approx(3 * 18 * sparse["step_s"])
    slowest = max(growth["trial_s"], sparse["trial_s"])
    # Three rounds of two at a time.
    assert json.loads(done.output)["study_seconds"] == pytest.approx(3 * slowest)


def test_most_parameters_and_most_macs_are_both_tried_where_they_are_two(tried):
    growth = {**STUDY["trials"]["growth"], "space": ["resnet-digits", "mlp-digits"]}
    done = tried("--steps", "1", trials={"growth": growth})
    assert done.exit_code == 0, done.output
    assert "trials.growth: the one with most parameters: mlp-digits" in done.output
    assert "trials.growth: the one with most MACs: resnet-digits" in done.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_here_is_named_and_the_exit_code_says_so(tried):
    changes = {"search": {**STUDY["search"], "gpus_per_trial": 1}, "training": {"device": "cuda"}}
    done = tried(**changes)
    assert done.exit_code == 1
    said = "!!  trials.sparse: cannot be tried here: UsageError: device: 'cuda' is not there"
    assert said in done.output
    assert "study: not known" in done.output


def test_one_kind_that_cannot_be_tried_leaves_the_others(tried):
    growth = {**STUDY["trials"]["growth"], "budget": {"parameters": 5}}
    done = tried("--steps", "1", trials={**STUDY["trials"], "growth": growth})
    assert done.exit_code == 1
    assert "!!  trials.growth: cannot be tried here: UsageError: trials.growth." in done.output
    assert "ok  trials.sparse:" in done.output
    assert "without 1 kind of trial that could not be tried" in done.output


def test_with_a_time_budget_alone_the_number_of_trials_is_open(tried):
    done = tried("--steps", "1", search={"time_budget": "1 h", "backend": "serial"})
    assert done.exit_code == 0, done.output
    assert "study: as many trials as fit the time budget" in done.output


def test_of_trials_with_several_workers_the_figures_say_that_they_are_of_one(tried):
    assert "of one worker" not in tried("--steps", "1").output
    done = tried("--steps", "1", search={"trials": 2, "workers_per_trial": 3})
    assert done.exit_code == 0, done.output
    assert "They are of one worker; a trial of this study has 3." in done.output


def test_a_wrong_study_is_told_as_search_tells_it(tried):
    done = tried(dataset="no-such-data")
    assert done.exit_code != 0
    assert "no-such-data" in str(done.exception)


def test_the_devices_to_train_on_say_what_they_compute():
    from growsearch.commands.doctor_accelerators import accelerators

    found = dict(accelerators())
    assert "GiB of memory; computes float32" in found["cpu"]


def test_repeats_of_the_front_are_told_beside_the_study_s_time(tried):
    search = {**STUDY["search"], "repeats": 3}
    done = tried("--steps", "1", search=search)
    assert "repeats: each network of the front is trained 3 times more" in done.output
    assert json.loads(tried("--steps", "1", "--json", search=search).output)["repeats"] == 3
    assert "repeats:" not in tried("--steps", "1").output
