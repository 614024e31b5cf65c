"""Finishing a choice: longer, under several seeds, on all but the test, which comes last."""

import json
import time

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from growsearch import Study
from growsearch.cli import app
from growsearch.commands.one_network.finish import finished_lines
from growsearch.errors import DivergedError, GrowsearchError, MachineError, UsageError
from growsearch.kinds import Learning
from growsearch.pareto import Bound
from growsearch.report import read_run
from growsearch.report.live.heartbeat import read_heartbeat
from growsearch.report.live.status import read_status
from growsearch.report.live.status_text import progress_words, status_lines
from growsearch.report.page_data import page_data
from growsearch.report.run_data import read_history
from growsearch.search.config.file import parse_study
from growsearch.search.ledger import pulse as pulse_module
from growsearch.search.study.finishing import FinishOptions, finish, plan_finish
from growsearch.trial import progress_file, retries
from growsearch.trial.progress_file import read_progress

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


def _raise(error):
    raise error


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


def test_accuracies_of_learned_examples_are_labelled_so_wherever_epochs_are_told(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(progress_file, "_BETWEEN_S", 0.0)
    words = []

    def look(seed):
        def hear(record):
            path = tmp_path / "whole" / "trials"
            (folder,) = path.iterdir()
            words.append(progress_words(read_progress(tmp_path / "whole", folder.name)))

        return hear

    plan, options = _plan(run, tmp_path / "whole", epochs=2, seeds=1, report=look)
    whole = finish(plan, options)
    history = read_history(read_run(whole.folder), whole.first)
    assert "learned_accuracy" in history
    assert "accuracy" not in history
    assert words[-1].endswith(" % of learned examples")
    details = page_data(read_run(whole.folder))["details"][whole.first.id]
    assert len(details["history"]["learned_accuracy"]) == 2
    plan, options = _plan(run, tmp_path / "part", epochs=1, seeds=1, with_validation=False)
    part = finish(plan, options)
    history = read_history(read_run(part.folder), part.first)
    assert history["accuracy"][-1] == part.first.metrics["accuracy"]
    assert not any(name.startswith("learned_") for name in history)


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
    assert "Test accuracy over 2 seeds" in card
    assert "trained anew, with the first of 2 seeds" in card
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.output
    assert "epoch 2 of 2" not in again.output
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert len(lines) == 2


def _failing(monkeypatch, number, error):
    """Have the training of so many seeds go, and the next one fail."""
    calls = []
    train = retries.run_trial

    def fails(config, task, **given):
        calls.append(given["study_seed"])
        if len(calls) == number + 1:
            raise error
        return train(config, task, **given)

    monkeypatch.setattr(retries, "run_trial", fails)
    return calls


def test_a_seed_that_fails_is_named_the_others_are_kept_and_it_is_tried_again(
    run, tmp_path, monkeypatch
):
    arguments = ["finish", str(run), "--epochs", "1", "--seeds", "3", "--out", str(tmp_path / "f")]
    with monkeypatch.context() as patch:
        _failing(patch, 1, DivergedError("the loss became nan"))
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "Seed 2 failed: DivergedError: the loss became nan" in result.output
    assert "The other seeds are kept; the same command trains what failed again." in result.output
    assert "over 2 seeds (" in result.output
    assert (tmp_path / "f" / "export" / "program.pt2").exists()
    lines = (tmp_path / "f" / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["finished", "failed", "finished"]
    calls = _failing(monkeypatch, 9, None)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.output
    assert len(calls) == 1
    assert "over 3 seeds (" in again.output
    assert "failed" not in again.output


def test_where_no_seed_comes_to_an_end_each_is_told(run, tmp_path, monkeypatch):
    plan, options = _plan(run, tmp_path / "out", epochs=1, seeds=2)
    monkeypatch.setattr(
        retries, "run_trial", lambda *_, **given: _raise(DivergedError(f"{given['study_seed']}"))
    )
    with pytest.raises(GrowsearchError) as found:
        finish(plan, options)
    assert "seed 1: DivergedError: 8; seed 2: DivergedError: 9" in str(found.value)
    status = read_status(tmp_path / "out")
    assert (status.state, len(status.run.failed)) == ("failed", 2)


def test_trouble_of_the_machine_names_the_seed_and_keeps_the_others(run, tmp_path, monkeypatch):
    plan, options = _plan(run, tmp_path / "out", epochs=1, seeds=2)
    _failing(monkeypatch, 1, MachineError("no space is left"))
    with pytest.raises(MachineError, match=r"^seed 2 of 2: .*no space is left"):
        finish(plan, options)
    assert len(read_run(tmp_path / "out").finished) == 1
    assert read_status(tmp_path / "out").unfinished == 1


def test_a_finish_at_work_is_seen_by_who_looks_at_its_folder_or_its_run(run, monkeypatch):
    monkeypatch.setattr(pulse_module, "_LEAST_S", 0.01)
    seen, above = [], []
    out = _plan(run, None, epochs=3, seeds=2)[0].folder.path

    def look(seed):
        def hear(record):
            for _ in range(500):
                beat = read_heartbeat(out)
                if beat is not None and beat.running:
                    break
                time.sleep(0.01)
            status = read_status(out)
            running = status.running
            above.append(read_status(run))
            seen.append((status.state, status.wanted, [t.started.number for t in running]))

        return hear

    plan, options = _plan(run, None, epochs=3, seeds=2, report=look)
    finish(plan, options)
    assert seen == [*[("running", 2, [0])] * 3, *[("running", 2, [1])] * 3]
    assert {each.finishing for each in above} == {(f"finished/{out.name}",)}
    assert any(f"finished/{out.name}" in line for line in status_lines(above[0]))
    assert read_status(run).finishing == ()
    assert read_status(out).state == "finished"


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


def test_of_finished_seeds_the_first_is_taken_whatever_the_test_says(run, tmp_path):
    import shutil

    from growsearch.report import study_choice
    from growsearch.report.choice.study_choice import choose

    found = finish(*_plan(run, tmp_path / "seeds", seeds=3, epochs=1))
    first = min(found.trials, key=lambda trial: trial.number)
    other = max(found.trials, key=lambda trial: trial.number)
    folder = tmp_path / "changed"
    shutil.copytree(found.folder, folder)
    ledger = folder / "trials.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for line in lines:
        line["metrics"]["accuracy"] = 0.99 if line["id"] == other.id else 0.5
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = read_run(folder)
    assert study_choice(again).chosen.id == first.id
    assert choose(again, again.wishes).chosen.id == first.id
    data = page_data(again, 0)
    assert [data["trials"]["id"][index] for index in data["only"]] == [first.id]
    assert page_data(read_run(run), 0)["only"] is None


def test_a_finished_network_outside_the_study_s_bounds_says_so(run, tmp_path):
    found = finish(*_plan(run, tmp_path / "out", seeds=1, epochs=1))
    macs = found.first.metrics["macs"]
    loose, tight = (Bound(objective="macs", sense="max", value=macs + d) for d in (1, -1))
    other = Bound(objective="latency[moon]", sense="max", value=1.0)
    assert "outside" not in " ".join(finished_lines(found, (loose, other)))
    told = [line for line in finished_lines(found, (tight, tight)) if "outside" in line]
    assert len(told) == 1
    assert told[0].startswith("Note: MACs (zeros skipped) ")
    assert "which the study asks for; in its trial it had" in told[0]
