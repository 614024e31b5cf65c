from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growsearch.errors import UsageError
from growsearch.search.decisions import Options, Range, parse_decision
from growsearch.search.study_file import load_study, parse_study

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.yaml"


def test_the_example_study_is_legal_and_survives_its_own_resolved_form() -> None:
    study = load_study(EXAMPLE)
    assert parse_study(study.to_plain()) == study
    assert study.devices == ("cpu", "wafer-cs2")
    assert [(b.objective, b.sense, b.value) for b in study.bounds()] == [
        ("parameters", "max", 200_000)
    ]
    assert study.select.max == {"latency[cpu]": 0.0005}


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data.setdefault(key, {})
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("tirals", value=1), ["tirals", "unknown key", "trials"]),
        (_set("trials", "sparse", "sparsty", value=1), ["trials.sparse.sparsty", "sparsity"]),
        (_set("trials", "sparse", "sparsity", value=1.0), ["trials.sparse.sparsity", "1.0"]),
        (_set("trials", "sparse", "transform", value=["wide"]), ["'wide'", "sparse_wide"]),
        (_set("trials", "sparse", "updater", value="rigel"), ["'rigel'", "rigl"]),
        (_set("trials", "sparse", "space", value="resnet"), ["'resnet'", "resnet-digits"]),
        (_set("trials", "growth", "epochs", value=1), ["trials.growth.epochs", "at least 2"]),
        (_set("trials", "growth", "budget", "macs", value=9), ["exactly one"]),
        (_set("objectives", "latency[gpu]", value="minimize"), ["'gpu'", "wafer-cs2"]),
        (_set("objectives", "acuracy", value="maximize"), ["'acuracy'", "accuracy"]),
        (_set("objectives", "accuracy", value="up"), ["objectives.accuracy", "maximize"]),
        (_set("constraints", "parameters", value={"max": "3q"}), ["'3q'", "k, K, M"]),
        (_set("constraints", "parameters", value={"most": 3}), ["constraints.parameters.most"]),
        (_set("select", value={"max": {"latency[cpu]": "1 ms"}}), ["latency[cpu]", "objectives"]),
        (_set("search", "trials", value=0), ["search.trials", "0"]),
        (_set("dataset", value="digit"), ["'digit'", "digits"]),
        (_set("name", value="../up"), ["name", "../up"]),
    ],
)
def test_a_wrong_key_is_named_with_its_value_and_the_rule(
    tiny: dict[str, Any], change: Callable[[dict[str, Any]], None], words: list[str]
) -> None:
    change(tiny)
    with pytest.raises(UsageError) as caught:
        parse_study(tiny)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", ["line 1", "YAML"]),
        ("- a list", ["mapping"]),
        ("!!python/object/apply:os.system ['true']", ["YAML"]),
    ],
)
def test_a_file_that_is_no_study_is_refused_in_one_line(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_study(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


def test_a_list_is_a_choice_and_low_and_high_are_a_range() -> None:
    assert parse_decision([1, 2], int) == Options(values=(1, 2))
    assert parse_decision(7, int) == Options(values=(7,))
    assert parse_decision({"low": 1, "high": 3}, int) == Range(low=1, high=3)


@pytest.mark.parametrize("raw", [[], [1, 1], {"low": 2, "high": 2}, {"low": 1}, {"min": 1}])
def test_a_decision_without_a_real_choice_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match=r"stands twice|empty list|not below|low and high"):
        parse_decision(raw, int)
