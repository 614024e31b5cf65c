"""Values of a study that would be changed, dropped or never met, and what is said of them."""

import math
import textwrap
from typing import Any

import numpy as np
import pytest
import torch

from growsearch import Study
from growsearch.errors import UsageError
from growsearch.reading import parse_yaml, write_yaml
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.config.study import StudyConfig
from growsearch.search.samplers.initial_points import points_to_evaluate

BASE = """\
name: hostile
dataset: digits
trials:
  sparse:
    space: mlp-digits
    transform: none
    sparsity: 0.5
    epochs: 2
objectives: {accuracy: maximize, "latency[cpu]": minimize}
search: {trials: 4, seed: 1}
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str) -> StudyConfig:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path)

    return read


def refused(read, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(text)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("trials: 4", "trials: true", 10, ["search.trials", "True is no whole number"]),
        ("trials: 4", "trials: 1_000", 10, ["'1_000' is no whole number", "write 1000"]),
        ("trials: 4", "trials: '4'", 10, ["'4' is no whole number", "write 4 without quotes"]),
        ("trials: 4", "trials: 4.5", 10, ["4.5 is no whole number"]),
        ("trials: 4", "trials: .inf", 10, ["search.trials", "no whole number"]),
        ("trials: 4", "trials: 1e400", 10, ["too large"]),
        ("trials: 4", "trials: [4]", 10, ["[4] is no whole number"]),
        ("seed: 1", "seed: 4294967296", 10, ["search.seed", "4294967295"]),
        ("seed: 1", "seed: -1", 10, ["search.seed"]),
        ("seed: 1", "seed: 99999999999999999999", 10, ["search.seed", "2^63"]),
        ("seed: 1", "gpus_per_trial: .nan", 10, ["gpus_per_trial", "no finite number"]),
        ("seed: 1", "time_limit: 1:30", 10, ["'1:30' is no duration", "90 s"]),
        ("dataset: digits", "dataset: digits\nsubset: true", 3, ["subset", "True is no whole"]),
        ("dataset: digits", "dataset: digits\ntraining: {threads: '2'}", 3, ["training.threads"]),
        ("dataset: digits", "dataset: digits\ntext: {carried: yes}", 3, ["text.carried"]),
        ("seed: 1", "stop_early: {eta: yes}", 10, ["search.stop_early.eta", "'yes'"]),
        ("epochs: 2", "epochs: 2.5", 8, ["trials.sparse.epochs", "2.5"]),
        ("epochs: 2", "epochs: .nan", 8, ["trials.sparse.epochs"]),
        ("epochs: 2", "learning_rate: .nan", 8, ["trials.sparse.learning_rate", "no number above"]),
        ("epochs: 2", "learning_rate: .inf", 8, ["trials.sparse.learning_rate"]),
        ("epochs: 2", "learning_rate: {low: 1e-3, high: .nan}", 8, ["learning_rate"]),
        ("epochs: 2", "pattern: 124", 8, ["124 is no pattern"]),
        ("epochs: 2", "activation: no", 8, ["'no' is neither true nor false"]),
        ("sparsity: 0.5", "sparsity: .nan", 7, ["trials.sparse.sparsity = nan", "not a share"]),
        ("sparsity: 0.5", "sparsity: '1e999%'", 7, ["trials.sparse.sparsity"]),
        ("name: hostile", "name: 2024", 1, ["name = 2024", "put it in quotes"]),
        ("name: hostile", 'name: "a\\e[31m"', 1, ["name", "control code"]),
        ("name: hostile", 'name: "\\ud800"', 1, ["name", "half a character"]),
        ("dataset: digits", 'dataset: "digits\\0"', 2, ["dataset", "control code"]),
        ("dataset: digits", "dataset: digits\ndata_dir: 5", 3, ["data_dir", "put it in quotes"]),
        ("trials: 4", "warm_start: runs/a", 10, ["search.warm_start", "write a list"]),
        ("trials: 4", "points_to_evaluate: [{sparsity: .nan}]", 10, ["no finite number"]),
        ("search: {", "search: [", 10, ["YAML"]),
        ("    epochs: 2", "    epochs: 2\n    epochs: 3", 9, ["trials.sparse.epochs stands twice"]),
    ],
)
def test_a_value_that_would_be_changed_is_refused_with_its_line_and_the_remedy(
    read, old, new, line, words
):
    message = refused(read, BASE.replace(old, new))
    assert f"study.yaml:{line}: " in message or f"line {line}" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("written", "rate"), [("1e-3", 0.001), ("1E-3", 0.001), (".5", 0.5), ("5e-1", 0.5), ("1", 1.0)]
)
def test_a_learning_rate_is_the_number_that_is_written(read, written, rate):
    config = read(BASE.replace("epochs: 2", f"learning_rate: {written}"))
    assert config.trials["sparse"].learning_rate.values == (rate,)


@pytest.mark.parametrize(
    ("written", "count"), [("1e2", 100), ("010", 10), ("5.0", 5), ("0x10", 16)]
)
def test_a_count_is_the_whole_number_that_is_written(read, written, count):
    config = read(BASE.replace("trials: 4", f"trials: {written}").replace("s: 2", f"s: {written}"))
    assert config.search.trials == count
    assert config.trials["sparse"].epochs.values == (count,)
    assert type(config.search.trials) is int
    assert type(config.trials["sparse"].epochs.values[0]) is int


def test_the_largest_seed_is_taken(read):
    assert read(BASE.replace("seed: 1", "seed: 4294967295")).search.seed == 2**32 - 1


@pytest.mark.parametrize(
    "key", ["constraints: {'latency[cpu]': {max: VALUE}}", "select: {max: {'latency[cpu]': VALUE}}"]
)
@pytest.mark.parametrize("value", ["0.001", "1", "1e-3", "[1]", "true", "~", "''"])
def test_a_time_without_its_unit_is_refused_and_shown_with_one(read, key, value):
    message = refused(read, BASE + key.replace("VALUE", value) + "\n")
    assert "study.yaml:11: " in message
    assert "latency[cpu]" in message
    assert "ms" in message


@pytest.mark.parametrize("value", ["1 ms", "0.001 s", "1e-3 s", "1000 us"])
def test_a_time_with_its_unit_is_read_and_kept_with_one(read, value):
    config = read(BASE + f"constraints: {{'latency[cpu]': {{max: {value}}}}}\n")
    assert config.constraints["latency[cpu]"].max == 0.001
    plain = config.to_plain()
    assert plain["constraints"] == {"latency[cpu]": {"max": "0.001 s"}}
    assert parse_study(parse_yaml(write_yaml(plain), "resolved").data) == config


def test_a_run_resolved_by_an_earlier_version_has_its_times_in_seconds(tmp_path):
    path = tmp_path / "study.yaml"
    old = "constraints: {'latency[cpu]': {max: 0.001}}\nselect: {max: {'latency[cpu]': 5.0e-4}}\n"
    path.write_text(BASE + old)
    config = load_study(path, run=True)
    assert config.constraints["latency[cpu]"].max == 0.001
    assert config.select.max == {"latency[cpu]": 0.0005}


@pytest.mark.parametrize(
    ("bounds", "line", "words"),
    [
        (
            "constraints: {parameters: {min: 10k, max: 1k}}",
            11,
            ["constraints.parameters", "contra"],
        ),
        (
            "constraints: {accuracy: {min: 0.9, max: 50%}}",
            11,
            ["constraints.accuracy", "contradict"],
        ),
        ("select: {max: {macs: 1k}, min: {macs: 2k}}", 11, ["select.macs", "contradict"]),
        (
            "constraints: {macs: {min: 2k}}\nselect: {max: {macs: 1k}}",
            12,
            ["select.macs", "contradict"],
        ),
        ("constraints: {parameters: {max: 0}}", 11, ["is met by no network"]),
        ("constraints: {parameters: {max: 0.5}}", 11, ["is met by no network"]),
        ("constraints: {'latency[cpu]': {max: 0 s}}", 11, ["is met by no network"]),
        ("constraints: {accuracy: {min: 1.5}}", 11, ["not a share"]),
        ("constraints: {parameters: {}}", 11, ["write {max: VALUE}"]),
        ("constraints: {parameters: 5k}", 11, ["write {max: VALUE}"]),
        ("constraints: {parameters: {max: -5}}", 11, ["not below 0"]),
        ("constraints: {parameters: {max: .nan}}", 11, ["finite"]),
        ("constraints: {parameters: {max: 1e999k}}", 11, ["parameters"]),
    ],
)
def test_bounds_that_no_network_can_meet_are_refused_when_they_are_read(read, bounds, line, words):
    message = refused(read, BASE + bounds + "\n")
    assert f"study.yaml:{line}: " in message
    for word in words:
        assert word in message


def test_bounds_that_touch_are_taken(read):
    config = read(BASE + "constraints: {macs: {min: 1k, max: 1k}}\n")
    assert [b.value for b in config.bounds()] == [1000.0, 1000.0]


def _deep(depth: int) -> Any:
    data: Any = 1
    for _ in range(depth):
        data = {"a": data}
    return data


def _study(**changes: Any) -> dict[str, Any]:
    return {**parse_yaml(BASE, "base").data, **changes}


@pytest.mark.parametrize(
    "data",
    [
        5,
        None,
        [],
        ["name"],
        b"name: x",
        {1: 2},
        {},
        _study(name=None),
        _study(trials=5),
        _study(trials=[]),
        _study(trials={"sparse": None}),
        _study(trials={"sparse": [1]}),
        _study(trials={"sparse": {"space": {"a": 1}}}),
        _study(trials={"sparse": {"space": [[1]], "transform": [None]}}),
        _study(objectives=["accuracy"]),
        _study(objectives={1: "maximize"}),
        _study(objectives={"accuracy": ["maximize"]}),
        _study(search=_deep(5000)),
        _study(search={"seed": 10**5000}),
        _study(search={"trials": np.int64(3)}),
        _study(select={"max": {"macs": complex(1)}}),
        _study(select={"weights": {"accuracy": math.nan}, "prefer": "weights"}),
        _study(constraints={"macs": {"max": np.zeros(3)}}),
        _study(metrics={"pgd_accuracy": {"norm": [2]}}),
        _study(metrics={"pgd_accuracy": {"epsilon": math.inf}}),
        _study(profiles={"cpu": 5}),
        _study(data_dir="a\0b"),
        _study(code_dir="x" * 5000),
        _study(name="\ud800"),
        _study(dataset=torch.zeros(3)),
        _study(dataset=object()),
    ],
    # Some of these cannot be written down.
    ids=lambda data: type(data).__name__,
)
def test_a_mapping_of_any_wrong_shape_is_refused_in_one_line(tmp_path, data):
    with pytest.raises(UsageError) as caught:
        Study(data, tmp_path / "run")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 2000


@pytest.mark.parametrize(
    "point",
    [
        {"kind": []},
        {"kind": "sparse", "sparsity": {"low": 0.5}},
        {"kind": "sparse", "sparsity": 10**30},
        {"kind": "sparse", "epochs": True},
        {"kind": "sparse", "space": [["a"]]},
        {"kind": "growth"},
        {"": 1},
    ],
)
def test_a_point_that_is_no_candidate_is_named_by_its_place(point):
    kinds = parse_study(_study()).trials
    with pytest.raises(UsageError, match=r"^search\.points_to_evaluate\[1\]: "):
        points_to_evaluate(kinds, ("dense", point))


def test_a_study_that_holds_itself_is_refused(tmp_path):
    data = _study()
    data["search"] = data
    with pytest.raises(UsageError, match="nested more than 32 deep"):
        Study(data, tmp_path / "run")


@pytest.mark.parametrize("folder", ["a\0b", "s3://bucket/run"])
def test_a_folder_that_is_none_is_refused_before_anything_else(folder):
    with pytest.raises(UsageError):
        Study(_study(), folder)


def test_a_folder_for_a_study_and_a_pipe_nobody_writes_to_are_named(tmp_path, read):
    with pytest.raises(UsageError, match=r"cannot read .*give a study file"):
        load_study(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*File name too long; give a study file"):
        load_study(tmp_path / ("x" * 300))


def test_what_is_written_for_a_name_is_that_name_again(read):
    # YAML 1.1 would write it without quotes, and 1.2 read a number.
    config = read(BASE.replace("name: hostile", "name: '1e3'"))
    assert config.name == "1e3"
    again = parse_study(parse_yaml(write_yaml(config.to_plain()), "resolved").data)
    assert again == config


def test_several_mistakes_are_counted_and_the_first_has_its_line(read):
    text = textwrap.dedent(BASE).replace("sparsity: 0.5", "sparsty: 0.5").replace("4", "0")
    message = refused(read, text)
    assert message.startswith(str(message.split(":7: ")[0]) + ":7: trials.sparse.sparsty: unknown")
    assert "also" in message
