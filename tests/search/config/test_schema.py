"""The schema of a study knows what the models know: it takes what they take, and all keys."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError
from growsearch.kinds import KINDS
from growsearch.search.config.file import parse_study
from growsearch.search.config.schema import keys, study_schema

EXAMPLES = Path(__file__).parents[3] / "examples"
STUDIES = sorted(EXAMPLES.rglob("*.yaml"))


@pytest.fixture(scope="module")
def schema():
    return study_schema()


@pytest.fixture(scope="module")
def check(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _places(data, path=()):
    """Yield the path of every key of a study."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key)
            yield from _places(value, (*path, key))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.name)
def test_studies_of_the_examples_are_valid(check, file):
    check.validate(yaml.safe_load(file.read_text()))


def test_a_resolved_study_is_valid_but_for_what_only_a_run_writes(check):
    study = parse_study(yaml.safe_load((EXAMPLES / "digits.yaml").read_text()))
    plain = json.loads(json.dumps(study.to_plain()))
    for kind in plain["trials"].values():
        for hidden in ("steering", "steering_strength", "init_file"):
            kind.pop(hidden, None)
    check.validate(plain)


@settings(deadline=None, max_examples=60)
@given(draw=st.randoms(use_true_random=False))
def test_a_misspelt_key_is_refused_wherever_the_models_refuse_it(draw):
    validator = jsonschema.Draft202012Validator(study_schema())
    study = yaml.safe_load((EXAMPLES / "digits.yaml").read_text())
    *path, key = draw.choice(list(_places(study)))
    place = copied = copy.deepcopy(study)
    for part in path:
        place = place[part]
    place[f"{key}_"] = place.pop(key)
    with pytest.raises(UsageError):
        parse_study(copied)
    # Names of metrics are open: of those only reading the study tells.
    if not {"objectives", "constraints", "max"} & set(path):
        assert not validator.is_valid(copied), (path, key)


def test_every_key_that_people_write_is_in_it_and_no_other(schema):
    found = set(keys(schema))
    assert len(found) > 150
    for kind, entry in KINDS.items():
        for name in ("space", "epochs", "learning_rate"):
            assert f"trials.{kind}.{name}" in found
        assert f"trials.{kind}.init_file" not in found
        assert entry.space is not None
    assert "whole" not in found
    assert "trials.growth.steering" not in found
    budget = schema["properties"]["trials"]["properties"]["growth"]["properties"]["budget"]
    assert set(budget["properties"]) == {"parameters", "macs"}
    assert list(budget["patternProperties"]) == [r"^latency\[.+\]$"]


@pytest.mark.parametrize(
    ("path", "value", "good"),
    [
        (("trials", "sparse", "updater"), "rigl", True),
        (("trials", "sparse", "updater"), "rigel", False),
        (("trials", "sparse", "updater"), ["rigl", "set"], True),
        (("trials", "sparse", "transform"), "my_module:transform", True),
        (("trials", "sparse", "sparsity"), {"low": 0.5, "high": 0.9}, True),
        (("trials", "sparse", "sparsity"), {"low": 0.5}, False),
        (("trials", "growth", "budget"), {"latency[cpu]": "2 ms"}, True),
        (("trials", "growth", "budget"), {"speed": 3}, False),
        (("trials", "growth", "layers"), False, True),
        (("trials", "growth", "layers"), "sometimes", False),
        (("search", "backend"), "serial", True),
        (("search", "backend"), "slurm", False),
        (("search", "time_budget"), "10 min", True),
        (("data", "image_size"), 64, True),
    ],
)
def test_values_are_judged_by_their_form(check, path, value, good):
    study = yaml.safe_load((EXAMPLES / "digits.yaml").read_text())
    place = study
    for part in path[:-1]:
        place = place.setdefault(part, {})
    place[path[-1]] = value
    assert check.is_valid(study) == good, list(check.iter_errors(study))


def test_the_command_prints_it(schema):
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == json.loads(json.dumps(schema))
