"""Finishing a choice: longer, under several seeds, on all but the test, which comes last."""

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from growsearch import Study
from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.kinds import Learning
from growsearch.report import read_run
from growsearch.search.config.file import parse_study
from growsearch.search.study.finishing import FinishOptions, finish, plan_finish

STUDY = {
    "name": "choice",
    "dataset": "digits",
    "subset": 300,
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
    "search": {"trials": 2, "seed": 7, "backend": "serial", "sampler": "random"},
    "baselines": ["dense"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finish") / "run"
    Study(STUDY, folder).run()
    return folder


def _weights(folder, trial):
    return load_file(folder / "trials" / trial.id / "weights.safetensors")


def _same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def _plan(run, out, **options):
    found = read_run(run)
    chosen = next(trial for trial in found.trials if trial.kind == "sparse")
    options = FinishOptions(**options)
    return plan_finish(run, chosen, options, out), options


def test_it_learns_all_but_the_test_which_it_sees_once_a_seed(run, tmp_path, monkeypatch):
    seen, learned = [], []
    scores = Learning.scores

    def noted(self, model, split):
        seen.append(split)
        learned.append(len(self.dataset.train))
        return scores(self, model, split)

    monkeypatch.setattr(Learning, "scores", noted)
    plan, options = _plan(run, tmp_path / "out", epochs=2, seeds=2)
    result = finish(plan, options)
    # All 1,437 training and validation examples, and none of the 300 of the study alone.
    sizes = {len(Study(STUDY).config.data_choice.load().dataset.validation)}
    whole = parse_study({**STUDY, "subset": None}).data_choice.load().dataset
    assert sizes == {len(whole.validation)}
    assert set(learned) == {len(whole.train) + len(whole.validation)}
    assert seen == ["test", "test"]
    for trial in result.trials:
        assert trial.metrics["accuracy"] == trial.metrics["test_accuracy"]
        assert trial.config["epochs"] == 2
    first, second = (_weights(result.folder, trial) for trial in result.trials)
    assert not _same(first, second)
    assert result.first is result.trials[0]


def test_what_is_there_is_kept_and_more_seeds_are_added(run, tmp_path):
    plan, options = _plan(run, tmp_path / "out", epochs=1, seeds=1)
    before = finish(plan, options)
    lines = (tmp_path / "out" / "trials.jsonl").read_text()
    plan, options = _plan(run, tmp_path / "out", epochs=1, seeds=2)
    after = finish(plan, options)
    assert (tmp_path / "out" / "trials.jsonl").read_text().startswith(lines)
    assert [trial.number for trial in after.trials] == [0, 1]
    assert after.trials[0].id == before.trials[0].id


def test_a_seed_that_was_cut_off_goes_on_to_the_same_weights(run, tmp_path):
    plan, options = _plan(run, tmp_path / "whole", epochs=3, seeds=1)
    whole = finish(plan, options)

    def cut(seed):
        def hear(record):
            if record.epoch == 2:
                raise KeyboardInterrupt

        return hear

    plan, options = _plan(run, tmp_path / "cut", epochs=3, seeds=1, report=cut)
    with pytest.raises(KeyboardInterrupt):
        finish(plan, options)
    resumed = []
    from growsearch.trial.run import Listener

    plan, options = _plan(
        run,
        tmp_path / "cut",
        epochs=3,
        seeds=1,
        report=lambda seed: Listener(lambda _: None, lambda records: resumed.append(len(records))),
    )
    after = finish(plan, options)
    assert resumed == [2]
    assert _same(_weights(after.folder, after.first), _weights(whole.folder, whole.first))


def test_training_examples_alone_leave_the_validation_examples_to_judge_by(run, tmp_path):
    plan, options = _plan(run, None, epochs=1, seeds=1, with_validation=False)
    assert plan.folder.path.name.endswith("-1-train")
    result = finish(plan, options)
    assert set(result.first.metrics) >= {"accuracy", "test_accuracy"}
    assert read_run(result.folder).study.get("whole") is None


def test_a_search_cannot_ask_to_learn_what_it_judges_by():
    with pytest.raises(UsageError, match="growsearch finish"):
        parse_study({**STUDY, "whole": True})


def test_the_command_shows_the_test_over_seeds_and_exports(run):
    arguments = ["finish", str(run), "--epochs", "2", "--seeds", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "on the training and validation examples, 2 seeds; in its trial it had 1 epoch." in (
        result.output
    )
    assert "over 2 seeds (" in result.output
    assert "seed 2 of 2, epoch 2 of 2" in result.output
    (folder,) = (run / "finished").glob("*-2")
    assert (folder / "export" / "program.pt2").exists()
    card = (folder / "export" / "MODEL_CARD.md").read_text()
    assert "Accuracy (test; it has learned the validation examples)" in card
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.output
    assert "epoch 2 of 2" not in again.output
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trial", "zz"], ["'zz'", "not in this run"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--seeds", "0"], ["--seeds"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_trains(run, options, words):
    before = sorted(run.rglob("*"))
    result = CliRunner().invoke(app, ["finish", str(run), *options])
    assert result.exit_code != 0
    message = result.output + str(result.exception)
    assert all(word in message for word in words), message
    assert sorted(run.rglob("*")) == before
