import json

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.datasets import load_dataset
from growsearch.errors import UsageError
from growsearch.report import read_run
from growsearch.report.markdown import render_markdown
from growsearch.report.page_data import page_data
from growsearch.search.study.study import Study

STUDY = {
    "name": "tiny",
    "dataset": "digits",
    "trials": {
        "sparse": {
            "space": "mlp-digits",
            "transform": "none",
            "sparsity": [0.5, 0.8],
            "distribution": "erk",
            "updater": "static",
            "epochs": 1,
        }
    },
    "objectives": {"accuracy": "maximize", "macs": "minimize"},
    "metrics": {"pgd_accuracy": {"epsilon": 0.02, "steps": 1, "step_size": 0.02}},
    "search": {"trials": 2, "seed": 3, "backend": "serial", "sampler": "random"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    study = Study(STUDY, folder)
    study.run()
    return folder, study.trials[0]


@pytest.fixture
def run(finished):
    folder, trial = finished
    yield folder, trial
    (folder / "trials" / trial.id / "evaluation.json").unlink(missing_ok=True)


def test_a_trial_is_given_by_the_beginning_of_its_id(run):
    folder, trial = run
    done = evaluate(folder, trial.id[:6], "--metrics", "ece", "--json")
    assert done.exit_code == 0, done.output
    assert (folder / "trials" / trial.id / "evaluation.json").exists()


def evaluate(folder, trial, *arguments):
    return CliRunner().invoke(app, ["evaluate", str(folder), trial, *arguments])


def test_a_network_is_evaluated_on_the_images_that_the_search_did_not_see(run):
    folder, trial = run
    done = evaluate(folder, trial.id, "--metrics", "accuracy,ece", "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.output)
    assert data["split"] == "test"
    assert data["examples"] == len(load_dataset("digits").test)
    # The same weights, loaded again, are as right as when they were trained.
    assert data["metrics"]["accuracy"] == trial.metrics["test_accuracy"]
    assert json.loads((folder / "trials" / trial.id / "evaluation.json").read_text()) == data


def test_the_validation_split_gives_the_ledgers_accuracy(run):
    folder, trial = run
    done = evaluate(folder, trial.id, "--metrics", "accuracy", "--split", "validation", "--json")
    assert json.loads(done.output)["metrics"]["accuracy"] == trial.metrics["accuracy"]


def test_all_metrics_make_a_table_of_80_columns(run):
    folder, trial = run
    done = evaluate(folder, trial.id)
    assert done.exit_code == 0, done.output
    *table, last = done.output.strip().split("Written to")
    lines = "".join(table).splitlines()
    assert max(map(len, lines)) <= 80
    assert {"ece", "pgd_accuracy"} <= {line.split(" ")[0] for line in lines}
    assert not any("perplexity" in line or "mean_iou" in line for line in lines)
    assert last.strip().endswith("evaluation.json")


def test_what_was_evaluated_before_is_kept_under_the_same_conditions_only(run):
    folder, trial = run
    evaluate(folder, trial.id, "--metrics", "nll")
    data = json.loads(evaluate(folder, trial.id, "--metrics", "brier", "--json").output)
    assert list(data["metrics"]) == ["nll", "brier"]
    other = ("--metrics", "ece", "--split", "validation", "--json")
    assert list(json.loads(evaluate(folder, trial.id, *other).output)["metrics"]) == ["ece"]


def test_reports_show_evaluations_where_there_are_some(run):
    folder, trial = run
    assert "Beyond accuracy" not in render_markdown(read_run(folder))
    evaluate(folder, trial.id, "--metrics", "nll")
    text = render_markdown(read_run(folder))
    table = text[text.index("## Beyond accuracy") :]
    assert "Negative log-likelihood (nats)" in table
    assert f"| {trial.id} | test of digits |" in table
    details = page_data(read_run(folder))["details"]
    shown = details[trial.id]["evaluation"]["metrics"]
    assert [metric["title"] for metric in shown] == ["Negative log-likelihood (nats)"]
    assert 0 < shown[0]["value"] < 10
    assert sum(detail["evaluation"] is None for detail in details.values()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "trial 'nobody' is not in this run; finished ones: "),
        (["ID", "--metrics", "eec"], "metrics: unknown 'eec'; valid: accuracy"),
        (["ID", "--metrics", ","], "--metrics: no name in ','"),
        (["ID", "--metrics", "mean_iou"], "mean_iou is for labels one a pixel"),
        (["ID", "--split", "train"], "--split: unknown 'train'; valid: test, validation"),
        (["ID", "--metrics", "ood_auroc", "--against", "digits"], "against: digits is the data"),
    ],
)
def test_what_cannot_be_evaluated_is_said(run, arguments, message):
    folder, trial = run
    name, *rest = (trial.id if word == "ID" else word for word in arguments)
    done = evaluate(folder, name, *rest)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert not (folder / "trials" / trial.id / "evaluation.json").exists()


def test_a_network_whose_files_are_damaged_is_not_evaluated(run):
    folder, trial = run
    weights = folder / "trials" / trial.id / "weights.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:100])
        done = evaluate(folder, trial.id)
        assert "run the trial again" in str(done.exception)
        weights.unlink()
        assert "is missing" in str(evaluate(folder, trial.id).exception)
    finally:
        weights.write_bytes(whole)


def test_a_damaged_evaluation_says_what_to_do(run):
    folder, trial = run
    path = folder / "trials" / trial.id / "evaluation.json"
    for text in ("{", "[]", '{"metrics": {"eec": 1}}', '{"metrics": {"ece": "low"}}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="remove it to go without"):
            render_markdown(read_run(folder))
