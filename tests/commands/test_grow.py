import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands.one_trial.lines import granularity_lines, kept_lines
from growsearch.errors import UsageError
from growsearch.export import read_weights
from growsearch.kinds import GrowthBound, GrowthCandidate, Network, RecipeChoice
from growsearch.kinds.growth.space import GrowthSpace
from growsearch.kinds.space import KindSpace
from growsearch.training import plain
from growsearch.trial.ledger_file import read_ledger

ARGUMENTS = [
    "grow",
    *("--space", "mlp-digits", "--data", "digits", "--budget", "parameters=30%"),
    *("--epochs", "8", "--learning-rate", "0.05", "--threads", "1", "--subset", "400"),
    # Of all policies the one that has most to keep.
    *("--policy", "learned"),
]


def _grow(out, *changes):
    """Run the command here; later options override earlier ones."""
    return CliRunner().invoke(app, [*ARGUMENTS, "--out", str(out), *changes])


@pytest.fixture(scope="module", autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted: its folder and what was printed."""
    out = tmp_path_factory.mktemp("grow") / "whole"
    done = _grow(out)
    assert done.exit_code == 0, done.output
    return out, done.output


def _trial(out):
    (trial,) = read_ledger(out / "trials.jsonl").trials
    return trial


def _rows(out):
    folder = out / "trials" / _trial(out).id
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


def _structures(out):
    folder = out / "trials" / _trial(out).id
    return [json.loads(line) for line in (folder / "structures.jsonl").read_text().splitlines()]


def test_a_run_killed_by_sigkill_goes_on_to_the_identical_network(whole, tmp_path):
    out = tmp_path / "killed"
    script = "from growsearch.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *ARGUMENTS, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not list(out.glob("trials/*/checkpoint.safetensors")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "trials.jsonl").exists() or not (out / "trials.jsonl").read_text()
    resumed = _grow(out)
    assert resumed.exit_code == 0, resumed.output
    assert "Resuming: " in resumed.output
    for name in ("weights.safetensors", "architecture.json"):
        assert (out / "export" / name).read_bytes() == (whole[0] / "export" / name).read_bytes()
    assert _rows(out) == _rows(whole[0])
    assert _structures(out) == _structures(whole[0])


def test_the_folder_is_a_run_that_explains_itself(whole):
    out, _ = whole
    study = yaml.safe_load((out / "study.yaml").read_text())
    assert study["trials"]["growth"]["learning_rate"] == 0.05
    assert study["subset"] == 400
    assert study["provenance"]["versions"]["torch"] == torch.__version__
    assert [int(row["epoch"]) for row in _rows(out)] == list(range(1, 9))
    metrics = _trial(out).metrics
    assert metrics["budget_cost"] == metrics["parameters"] == metrics["dense_parameters"]
    assert metrics["budget_limit"] == int(0.3 * metrics["full_parameters"])
    assert metrics["budget_cost"] <= metrics["budget_limit"]
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_every_command_on_runs_works_on_a_grown_one(whole, tmp_path):
    out, _ = whole
    name, other = _trial(out).id, tmp_path / "other"
    assert _grow(other, "--epochs", "2", "--subset", "200", "--seed", "1").exit_code == 0
    for arguments in (
        ("report", str(out)),
        ("select", str(out), "--min", "accuracy=0.2", "--out", str(tmp_path / "chosen")),
        ("evaluate", str(out), name, "--metrics", "ece"),
        ("compare", str(out), str(other), "--out", str(tmp_path / "compared")),
    ):
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, (arguments, done.output, done.exception)
    chosen = read_weights(tmp_path / "chosen" / "weights.safetensors")
    ours = read_weights(out / "export" / "weights.safetensors")
    assert all(torch.equal(chosen[name], value) for name, value in ours.items())
    assert "30 % of parameters, grown" in (out / "report.md").read_text()


def test_every_structure_of_every_epoch_is_on_disk(whole):
    out, _ = whole
    lines = _structures(out)
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    for line, row in zip(lines, _rows(out), strict=True):
        widths = {name: len(live) for name, live in line["live"].items()}
        assert {f"width.{name}": str(width) for name, width in widths.items()} == {
            name: value for name, value in row.items() if name.startswith("width.")
        }
        for name, live in line["live"].items():
            waiting = line["dormant"][name]
            assert not set(live) & set(waiting)
            assert len(line["probability"][name]) == len(line["temperature"][name])
            assert max([*live, *waiting]) < len(line["probability"][name])
            assert all(0 <= p <= 1 for p in line["probability"][name])
    assert lines[-1]["frozen"]


def test_the_export_is_the_grown_network(whole):
    out, _ = whole
    network = Network.from_json(json.loads((out / "export" / "architecture.json").read_text()))
    model = network.build()
    model.load_state_dict(read_weights(out / "export" / "weights.safetensors"))
    assert sum(p.numel() for p in model.parameters()) == _trial(out).metrics["parameters"]
    program = torch.export.load(out / "export" / "program.pt2").module()
    inputs = torch.randn(3, *network.input_shape)
    assert torch.allclose(program(inputs), model.eval()(inputs), atol=1e-5)


def test_the_export_knows_its_input_as_that_of_a_search_does(whole):
    out, output = whole
    again = CliRunner().invoke(
        app, ["export", str(out), "--out", str(out.parent / "again"), "--no-onnx"]
    )
    assert again.exit_code == 0, again.output
    files = {file.name: file for file in (out / "export").iterdir()}
    assert set(files) == {file.name for file in (out.parent / "again").iterdir()}
    for name in ("preprocessing.json", "load.py", "read_pictures.py", "MODEL_CARD.md"):
        assert files[name].read_bytes() == (out.parent / "again" / name).read_bytes()
    about = json.loads(files["preprocessing.json"].read_text())
    assert (about["input"]["channel_order"], about["classes"]) == ("grey", list("0123456789"))
    assert f"python {out / 'export' / 'load.py'} photo.png" in output


def test_the_terminal_shows_a_line_an_epoch_and_a_summary_in_80_columns(whole):
    out, output = whole
    lines = [line for line in output.splitlines() if str(out) not in line]
    assert max(map(len, lines)) <= 80
    epochs = [line for line in lines if "/8 " in line]
    assert len(epochs) == 8
    metrics = _trial(out).metrics
    saving = metrics["dense_training_macs"] / metrics["training_macs"]
    assert f"{100 * metrics['accuracy']:.2f} %" in epochs[-1]
    assert f"{saving:.2f}x" in epochs[-1]
    assert f"{100 * metrics['test_accuracy']:.2f} % test" in output
    assert f"{saving:.2f} times fewer" in output
    assert 'torch.export.load("' in output


def test_a_finished_run_ends_at_once_with_the_same_summary(whole):
    out, output = whole
    before = (out / "export" / "weights.safetensors").read_bytes()
    again = _grow(out)
    assert "/8 " not in again.output
    assert again.output.split("Grown:")[1] == output.split("Grown:")[1]
    assert (out / "export" / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--budget", "parameters=40%"), "trials.growth.budget.parameters"),
        (("--learning-rate", "0.1"), "trials.growth.learning_rate"),
        (("--seed", "1"), "search.seed"),
        (("--subset", "100"), "subset"),
        (("--threads", "2"), "training.threads"),
    ],
)
def test_another_setting_is_refused_with_the_innermost_key(whole, change, message):
    done = _grow(whole[0], *change)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert "--out" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        (("--policy", "random-order"), "policy", "random-order"),
        (("--policy", "uniform"), "policy", "uniform"),
        (("--birth", "gradient"), "birth", "gradient"),
        (("--relaxation", "gumbel"), "indicators.relaxation", "gumbel"),
        (("--temperature", "global"), "indicators.temperature", "global"),
        (("--temperature-decay",), "indicators.temperature_decay", True),
        (("--control-gain", "80"), "indicators.control_gain", 80.0),
        (("--no-layers",), "grow_layers", False),
        (("--optimizer", "adamw"), "recipe.optimizer.kind", "AdamW"),
        (("--freeze-at", "0.3"), "freeze_at", 0.3),
    ],
)
def test_every_setting_of_growth_has_an_option_that_reaches_the_run(
    monkeypatch, tmp_path, options, key, value
):
    class StoppedError(Exception):
        pass

    def stop(*arguments, config, **others):
        found.append(plain(config))
        raise StoppedError

    found = []
    monkeypatch.setattr("growsearch.kinds.growth.training.grow", stop)
    _grow(tmp_path / "run", *options)
    setting = found[0]
    for part in key.split("."):
        setting = setting[part]
    assert setting == value


def test_direct_design_shows_and_exports_the_second_training(tmp_path):
    out = tmp_path / "direct"
    done = _grow(out, "--epochs", "2", "--direct-design", "--subset", "200")
    assert done.exit_code == 0, done.output
    # What was read comes first: a subset of the training images.
    assert done.output.startswith("Data digits: 200 training, 300 validation and 300 test images")
    assert "4/4 " in done.output
    assert "4 epochs in" in done.output
    assert [int(row["epoch"]) for row in _rows(out)] == [1, 2, 3, 4]


@pytest.fixture
def text_folder(tmp_path):
    """A text in the layout of Penn Treebank: numbers that count up."""
    folder = tmp_path / "data" / "ptb"
    folder.mkdir(parents=True)
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    for name, lines in (("train", 60), ("valid", 30), ("test", 30)):
        text = "".join(f" {' '.join(words)} \n" for _ in range(lines))
        (folder / f"ptb.{name}.txt").write_text(text)
    return folder.parent


def test_a_language_model_grows_from_a_text_to_an_export(text_folder, tmp_path):
    out = tmp_path / "lstm"
    text = ("--space", "lstm-ptb-small", "--data", "ptb", "--data-dir", str(text_folder))
    options = ("--epochs", "2", "--budget", "macs=20%", "--subset", "460", "--batch-size", "4")
    done = _grow(out, *text, *options, "--epoch-tokens", "201", "--optimizer", "adamw",
                 "--learning-rate", "0.01")  # fmt: skip
    assert done.exit_code == 0, done.output
    result = _trial(out).metrics
    assert result["budget_cost"] <= result["budget_limit"]
    assert 1 < result["test_perplexity"] < 8
    assert f"{result['perplexity']:.2f} validation, {result['test_perplexity']:.2f} test" in (
        done.output
    )
    assert "ppl " in done.output
    assert done.output.startswith(
        "Data ptb: 460 training, 240 validation and 240 test words, 8 of them different"
    )
    network = Network.from_json(json.loads((out / "export" / "architecture.json").read_text()))
    # 7 words and the end of a line.
    assert network.num_classes == 8
    model = network.build()
    model.load_state_dict(read_weights(out / "export" / "weights.safetensors"))
    assert _grow(out, *text, *options, "--epoch-tokens", "101").exit_code != 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--data", "ptb"), ["mlp-digits reads images", "ptb is a text"]),
        (("--space", "lstm-ptb-small"), ["--space", "lstm-ptb-small", "reads tokens"]),
        (("--space", "deeplabv3-resnet14"), ["gives outputs", "whose labels want (2, 10)"]),
        (("--epoch-tokens", "100"), ["--epoch-tokens", "digits is no text"]),
        (("--device-batch", "8"), ["--device-batch", "parameters"]),
        (("--optimizer", "adagrad"), ["--optimizer", "adagrad", "sgd, adamw"]),
        (("--birth", "divine"), ["birth", "divine", "gradient"]),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, changes, words):
    done = _grow(tmp_path / "run", *changes)
    assert isinstance(done.exception, UsageError), done.output
    assert all(word in str(done.exception) for word in words)


def test_a_latency_budget_ends_with_what_the_device_says(tmp_path):
    out = tmp_path / "wafer"
    done = _grow(out, "--budget", "latency[wafer-cs2]=40%", "--epochs", "4")
    assert done.exit_code == 0, done.output
    assert "Asking wafer-cs2 how long networks of mlp-digits take." in done.output
    (profile,) = out.glob("shared/latency-*.json")
    assert json.loads(profile.read_text())["device"] == "wafer-cs2"
    trial = _trial(out)
    result = trial.metrics
    assert result["budget_latency_s"] == pytest.approx(result["budget_cost"])
    assert 0.9 * result["budget_limit"] < result["budget_cost"] <= result["budget_limit"]
    assert f"{result['budget_cost'] * 1e9:.0f} ns analytic" in done.output
    assert trial.metrics["latency[wafer-cs2]"] == pytest.approx(result["budget_cost"])
    assert not list(out.glob("trials/*/checkpoint*"))


def test_a_budget_that_nothing_meets_is_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    refused = _grow(out, "--budget", "parameters=1")
    assert isinstance(refused.exception, UsageError)
    assert str(refused.exception).startswith("--budget")
    assert not (out / "study.yaml").exists()
    done = _grow(out, "--epochs", "2", "--subset", "200")
    assert done.exit_code == 0, done.output


def test_fresh_starts_anew_beside_what_is_there(tmp_path):
    settings = ("--epochs", "2", "--subset", "200")
    assert _grow(tmp_path / "run", *settings).exit_code == 0
    other = _grow(tmp_path / "run", *settings, "--seed", "1", "--fresh")
    assert other.exit_code == 0, other.output
    assert len(list(tmp_path.glob("run*"))) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--space", "planets"), ["--space", "planets", "resnet20"]),
        (("--data", "planets"), ["planets", "cifar10"]),
        (("--budget", "speed=3"), ["--budget", "speed"]),
        (("--recipe", "soup"), ["soup", "growth-cifar"]),
        (("--policy", "magic"), ["--policy", "magic", "random-order"]),
        (("--precision", "float8"), ["precision", "float8", "bfloat16"]),
        (("--subset", "100000"), ["100000"]),
        (("--data-dir", "nowhere"), ["nowhere"]),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(tmp_path, change, words):
    done = _grow(tmp_path / "run", *change)
    assert isinstance(done.exception, UsageError), done.output
    assert all(word in str(done.exception) for word in words)
    assert {path.name for path in tmp_path.glob("run/*")} <= {"run.lock"}


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = _grow(tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "choose another --out" in str(done.exception)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_help_shows_examples():
    output = CliRunner().invoke(app, ["grow", "--help"]).output
    assert "growsearch grow --space resnet-digits" in " ".join(output.split())
    assert "--budget" in output


@pytest.mark.parametrize(("multiple", "words"), [(1, "whole channels"), (8, "blocks of 8")])
def test_what_is_left_of_a_budget_is_explained_by_what_widths_move_in(multiple, words):
    candidate = GrowthCandidate(
        space="mlp-digits",
        budget=GrowthBound("macs", 0.4),
        training=RecipeChoice(epochs=2),
        width_multiple=multiple,
    )

    def lines(cost):
        metrics = {"budget_cost": cost, "budget_limit": 100}
        return granularity_lines(SimpleNamespace(config=candidate.to_json(), metrics=metrics))

    assert words in " ".join(lines(90))
    assert lines(100) == []


def test_layers_at_full_width_are_told_with_what_they_hold(tmp_path):
    trial = SimpleNamespace(metrics={"kept_parameters_share": 0.12, "kept_macs_share": 0.345})
    line = {"name": "stem", "reason": "it is frozen", "parameters": 0.12, "macs": 0.345}
    (tmp_path / "kept.jsonl").write_text(f"{json.dumps(line)}\n" * 7)
    first, *named, last = kept_lines(tmp_path, trial)
    assert "7 layers that could not grow: 12 % of the parameters, 34.5 % of the MACs" in first
    assert [name.strip() for name in named] == ["stem (34.5 % of the MACs): it is frozen"] * 5
    assert last.strip() == "and 2 more: kept.jsonl"
    assert kept_lines(tmp_path, SimpleNamespace(metrics={})) == []


FRONT = [
    *("grow", "--space", "mlp-digits", "--data", "digits", "--budgets", "macs=10%,30%"),
    *("--epochs", "2", "--threads", "1", "--subset", "100"),
]


def test_several_budgets_are_a_front_with_a_line_a_branch_and_what_all_took(tmp_path):
    out = tmp_path / "front"
    done = CliRunner().invoke(app, [*FRONT, "--stage-epochs", "2,1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    trials = read_ledger(out / "trials.jsonl").trials
    assert [trial.config["trunk"]["stage_epochs"] for trial in trials] == [[2, 1]] * 2
    assert "Branch 1 of 2, macs 10 %: 2 epochs of the trunk, 1 of its own" in done.output
    assert "Branch 2 of 2, macs 30 %: 3 epochs of the trunk, 1 of its own" in done.output
    assert "2 of 4 epochs are finished." in done.output
    assert max(map(len, done.output.splitlines())) <= max(80, len(str(out)) + 20)
    for trial in trials:
        assert (out / "export" / trial.id / "MODEL_CARD.md").exists()
        (row,) = (line for line in done.output.splitlines() if line.endswith(trial.id))
        assert f"{100 * trial.metrics['test_accuracy']:.2f} %" in row
    one, other = (trial.metrics for trial in trials)
    alone = 2 * 3 * 64 * (one["macs"] + other["macs"])  # 2 epochs of one step
    share = one["front_training_macs"] / alone
    assert f"the trunk once: {share:.2f} of what as many" in done.output
    again = CliRunner().invoke(app, [*FRONT, "--stage-epochs", "2,1", "--out", str(out)])
    assert "Branch" not in again.output
    assert f"{share:.2f} of what as many" in again.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--budget", "macs=10%"), "--budget: give one bound as --budget"),
        (("--budgets", "10%,30%"), "--budgets: '10%,30%' is not NAME=VALUE,VALUE"),
        (("--budgets", "macs=30%,10%"), "--budgets = "),
        (("--budgets", "macs=30%"), "a list of two or more"),
        (("--stage-epochs", "2"), "--stage-epochs = [2]: has 1 of 2 numbers; give one a budget"),
        (("--stage-epochs", "2,x"), "--stage-epochs: '2,x' are no whole numbers"),
        (("--freeze-at", "0.5"), "--freeze-at = 0.5: has no meaning with budgets"),
        (("--schedule", "cosine"), "--schedule = 'cosine': has no meaning with budgets"),
    ],
)
def test_a_front_that_cannot_be_grown_is_refused_by_its_option(tmp_path, changes, message):
    done = CliRunner().invoke(app, [*FRONT, *changes, "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, UsageError), done.output
    assert message in str(done.exception)
    assert not (tmp_path / "run" / "study.yaml").exists()


def test_lengths_of_a_trunk_go_with_budgets(tmp_path):
    done = _grow(tmp_path / "run", "--stage-epochs", "2,1")
    assert "--stage-epochs = [2, 1]: goes with budgets" in str(done.exception)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--device", "gpu", "--device = 'gpu': unknown 'gpu'; here there are: cpu"),
        ("--device", "cuda", "--device: 'cuda' is not there; here there are: cpu"),
        ("--precision", "half", "--precision = 'half': Input should be 'auto', 'float32'"),
    ],
)
def test_a_device_or_precision_that_is_not_had_is_refused_before_there_is_a_folder(
    tmp_path, option, value, message
):
    done = _grow(tmp_path / "run", option, value)
    assert done.exit_code != 0
    assert message in str(done.exception)
    assert not (tmp_path / "run" / "study.yaml").exists()


def test_defaults_that_the_help_tells_are_those_of_a_study():
    words = {True: "yes", False: "no"}
    told, usual = {}, {}
    for option in typer.main.get_command(app).commands["grow"].params:
        found = re.search(r"\[default: ([^]]+)\]\.$", getattr(option, "help", None) or "")
        if found and option.name in GrowthSpace.model_fields.keys() - KindSpace.model_fields.keys():
            assert option.default is None, option.name
            default = GrowthSpace.model_fields[option.name].default
            told[option.name] = found[1]
            usual[option.name] = words[default] if isinstance(default, bool) else str(default)
    # It says in words what it follows.
    assert told.pop("control_gain") == "10 an epoch, 160 at least"
    assert usual.pop("control_gain") == "None"
    assert len(told) == 15
    assert told == usual
