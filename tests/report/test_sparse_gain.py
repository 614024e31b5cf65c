"""A sparse network that is no faster than its dense twin says so wherever it is shown."""

import json
import re

import pytest

from growsearch import Study
from growsearch.report import choice_lines, read_run, study_choice, write_report
from growsearch.report.choice.sparse_gain import sparse_lines, zeros_share
from growsearch.report.page_data import page_data

STUDY = "objectives: {accuracy: maximize, 'latency[cpu]': minimize}\nname: zeros\n"


def layers(left: float, width: int = 100) -> list[dict]:
    return [
        {
            "name": name,
            "kind": "conv",
            "output_shape": [width],
            "dense_macs": 10 * width,
            "effective_macs": round(10 * width * left),
            "parameters": width,
            "nonzero_parameters": round(width * left),
        }
        for name in ("one", "two")
    ]


def line(name: str, accuracy: float, left: float, width: int = 100, **latency: dict) -> dict:
    seconds = {f"latency[{d}]": e.get("median_s", e.get("latency_s")) for d, e in latency.items()}
    return {
        "id": name,
        "number": 0,
        "kind": "sparse",
        "status": "finished",
        "config": {"kind": "sparse", "space": "resnet-digits", "sparsity": 1 - left},
        "metrics": {"accuracy": accuracy, **seconds},
        "latency": latency,
        "layers": layers(left, width),
    }


def measured(seconds: float, noise: float = 0.01, **more) -> dict:
    return {"method": "measured", "median_s": seconds, "noise": noise, **more}


@pytest.fixture
def make_run(tmp_path):
    def make(*lines):
        (tmp_path / "study.yaml").write_text(STUDY)
        (tmp_path / "trials.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
        return read_run(tmp_path)

    return make


def test_beside_its_dense_twin_a_sparse_network_is_no_faster_on_cpu(make_run):
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(1.00e-3)),
        line("dense", 0.90, 1.0, cpu=measured(1.01e-3)),
    )
    assert zeros_share(run.trial("sparse")) == pytest.approx(0.8)
    assert sparse_lines(run, run.trial("sparse")) == {
        "cpu": "On cpu it is no faster than the same network without zeros (dense): 80 % of its "
        "weights are zero, and nothing there skips them."
    }
    assert sparse_lines(run, run.trial("dense")) == {}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.50e-3, "it is 2.0 times as fast as the same network without zeros (dense)"),
        (0.96e-3, "it is 4.2 % faster than the same network without zeros (dense)"),
        (0.99e-3, "it is no faster than the same network without zeros (dense): 80 %"),
        (1.50e-3, "it is no faster than the same network without zeros (dense): 80 %"),
    ],
)
def test_where_zeros_are_skipped_the_two_latencies_are_compared(make_run, seconds, words):
    devices = {"cpu-sparse": measured(seconds)}
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(1e-3), **devices),
        line("dense", 0.90, 1.0, cpu=measured(1e-3), **{"cpu-sparse": measured(1e-3)}),
    )
    assert words in sparse_lines(run, run.trial("sparse"))["cpu-sparse"]
    assert "nothing there skips" not in sparse_lines(run, run.trial("sparse"))["cpu-sparse"]


def test_without_a_twin_only_a_device_that_skips_nothing_is_told(make_run):
    analytic = {"method": "analytic", "latency_s": 1e-6}
    devices = {"cpu-sparse": measured(1e-3), "wafer-cs2": analytic, "mine": measured(1e-3)}
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(1e-3), **devices),
        # Other widths, another batch: no twins of it.
        line("wide", 0.90, 1.0, 200, cpu=measured(1e-3), **devices),
        line("batch", 0.90, 1.0, cpu=measured(1e-3, batch_size=64), **devices | {"mine": analytic}),
    )
    told = sparse_lines(run, run.trial("sparse"))
    assert told["cpu"] == (
        "On cpu it is no faster than the same network without zeros would be: 80 % of its "
        "weights are zero, and nothing there skips them."
    )
    assert "mine" not in told


def test_another_network_with_the_same_layers_is_no_twin(make_run):
    sparse = line("sparse", 0.95, 0.2, **{"cpu-sparse": measured(0.5e-3)})
    dense = line("dense", 0.90, 1.0, **{"cpu-sparse": measured(1e-3)})
    assert sparse_lines(make_run(sparse, dense), make_run(sparse, dense).trial("sparse"))
    dense["config"]["space"] = "mine:Net"
    assert sparse_lines(make_run(sparse, dense), make_run(sparse, dense).trial("sparse")) == {}
    dense["config"]["space"] = sparse["config"]["space"]
    # The ledger names the networks themselves: these have other attentions, say.
    both = {**sparse, "network_hash": "a" * 16}, {**dense, "network_hash": "b" * 16}
    assert sparse_lines(make_run(*both), make_run(*both).trial("sparse")) == {}


def test_a_measurement_that_is_too_noisy_to_tell_says_so_where_zeros_are_skipped(make_run):
    devices = {"cpu-sparse": measured(0.8e-3, 0.2), "cpu": measured(0.8e-3, 0.2)}
    run = make_run(
        line("sparse", 0.95, 0.2, **devices),
        line("dense", 0.90, 1.0, **{name: measured(1e-3, 0.2) for name in devices}),
    )
    told = sparse_lines(run, run.trial("sparse"))
    assert "its latency cannot be told from that of the same network" in told["cpu-sparse"]
    assert told["cpu"].endswith(
        "it is no faster than the same network without zeros (dense): 80 % "
        "of its weights are zero, and nothing there skips them."
    )


def test_a_gain_that_no_zeros_made_is_told_as_one(make_run):
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(0.8e-3)), line("dense", 0.9, 1.0, cpu=measured(1e-3))
    )
    assert sparse_lines(run, run.trial("sparse"))["cpu"] == (
        "On cpu nothing skips zeros (80 % of its weights are zero): that it is 1.2 times as fast "
        "as the same network without zeros (dense) is the machine's doing and not theirs."
    )


def test_a_study_s_dense_baseline_is_the_twin_of_its_sparse_networks(tmp_path):
    sparse = {"space": "mlp-digits", "transform": "none", "sparsity": 0.9, "epochs": 1}
    study = {
        "name": "twins",
        "dataset": "digits",
        "subset": 64,
        "trials": {"sparse": {**sparse, "distribution": "uniform", "updater": "static"}},
        "baselines": ["dense"],
        "objectives": {"accuracy": "maximize", "latency[wafer-cs2]": "minimize"},
        "search": {"trials": 1, "seed": 1, "backend": "serial"},
    }
    trained = Study(study, tmp_path / "run")
    trained.run()
    dense, sparse = trained.trials
    told = sparse_lines(read_run(tmp_path / "run"), sparse)
    assert f"the same network without zeros ({dense.id})" in told["wafer-cs2"]


def test_it_is_said_in_the_choice_in_report_md_and_on_the_page(make_run):
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(1.00e-3)),
        line("dense", 0.90, 1.0, cpu=measured(1.01e-3)),
    )
    words = sparse_lines(run, run.trial("sparse"))["cpu"]
    lines = choice_lines(study_choice(run))
    assert max(map(len, lines)) <= 80
    assert words in " ".join(" ".join(lines).split())
    assert page_data(run, 100_000)["details"]["sparse"]["zeros"] == {"cpu": words}
    text = write_report(run.folder, ["md"])["md"].read_text()
    assert words in re.sub(r"\s+", " ", text)


@pytest.mark.browser
def test_the_page_says_it_beside_the_choice(browser, make_run):
    run = make_run(
        line("sparse", 0.95, 0.2, cpu=measured(1.00e-3)),
        line("dense", 0.90, 1.0, cpu=measured(1.01e-3)),
    )
    browser.open(write_report(run.folder, ["html"])["html"])
    shown = browser.evaluate("document.getElementById('beside').textContent")
    assert sparse_lines(run, run.trial("sparse"))["cpu"] in shown
