import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from growsearch.errors import UsageError
from growsearch.kinds import candidate_from_json, suggest_candidate
from growsearch.kinds.domain import Categorical, Range, parse_domain
from growsearch.metrics import MetricSettings
from growsearch.search.config.file import load_study, parse_study
from growsearch.sparsity import MASK_UPDATERS, SPARSITY_DISTRIBUTIONS, NOfM
from growsearch.transforms import TRANSFORMS

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits.yaml"


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


def _unset(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

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
        (
            _set("trials", "sparse", "grow", value={"budget": {"macs": 0.4}, "epochs": 1}),
            ["trials.sparse.grow.epochs", "at least 2"],
        ),
        (
            _set("trials", "sparse", "grow", value={"budgets": 1}),
            ["trials.sparse.grow.budget", "is missing"],
        ),
        (_set("trials", "growth", "budget", "macs", value=9), ["exactly one"]),
        (_set("objectives", "latency[gpu]", value="minimize"), ["'gpu'", "wafer-cs2"]),
        (_set("objectives", "acuracy", value="maximize"), ["'acuracy'", "accuracy"]),
        (_set("objectives", "accuracy", value="up"), ["objectives.accuracy", "maximize"]),
        (_set("constraints", "parameters", value={"max": "3q"}), ["'3q'", "k, K, M"]),
        (_set("constraints", "parameters", value={"most": 3}), ["constraints.parameters.most"]),
        (_set("select", value={"max": {"latency[cpu]": "1 ms"}}), ["latency[cpu]", "objectives"]),
        (_set("select", value={"ties": "lowest"}), ["select.ties", "'lowest'", "cheapest"]),
        (
            _set("select", value={"ties": "cheapest", "prefer": "knee"}),
            ["select.ties", "goes with prefer: accuracy, not with knee"],
        ),
        (_set("search", "repeats", value=-1), ["search.repeats", "-1"]),
        (_set("search", "trials", value=0), ["search.trials", "0"]),
        (_set("dataset", value="digit"), ["'digit'", "digits"]),
        (_set("augmentation", value="mixip"), ["augmentation", "'mixip'", "mixup"]),
        (
            _set("augmentation", value=[{"mixup": {"alpha": 0}}]),
            ["augmentation", "mixup.alpha", "is not above 0"],
        ),
        (_set("name", value="../up"), ["name", "../up"]),
        (_set("trials", "sparse", "distribution", value="snap"), ["'snap'", "synflow"]),
        (_set("trials", "sparse", "pattern", value="2/4"), ["trials.sparse.pattern", '"4:8-t"']),
        (_set("trials", "sparse", "pattern", value="4:4"), ["keeps every weight"]),
        (_set("trials", "sparse", "positions", value="saliency"), ["positions", "snip"]),
        (_set("trials", "sparse", "activation", value="yes"), ["'yes'", "true nor false"]),
        (_set("trials", "sparse", "activation", value=False), ["activation", "sparse_parallel"]),
        (_set("trials", "sparse", "activation", value={"low": False, "high": True}), ["no range"]),
        (_set("trials", "sparse", "record", value=["loss"]), ["trials.sparse.record", "spectra"]),
        (_set("trials", "sparse", "record", value=["spectra"] * 2), ["stands twice"]),
        (_set("trials", "sparse", "recipe", value="sgd"), ["'sgd'", "default", "gpt3-small"]),
        (_set("trials", "sparse", "learning_rate", value="fast"), ["learning_rate", "'fast'"]),
        (_unset("trials", "sparse", "sparsity"), ["trials.sparse", "sparsity is missing"]),
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
    assert parse_domain([1, 2], int) == Categorical(values=(1, 2))
    assert parse_domain(7, int) == Categorical(values=(7,))
    assert parse_domain({"low": 1, "high": 3}, int) == Range(low=1, high=3)


@pytest.mark.parametrize("raw", [[], [1, 1], {"low": 2, "high": 2}, {"low": 1}, {"min": 1}])
def test_a_decision_without_a_real_choice_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match=r"stands twice|empty list|not below|low and high"):
        parse_domain(raw, int)


def _sparse(tiny: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return the tiny study with these settings of its sparse trials, and no other trials."""
    space = {"space": "mlp-digits", "sparsity": {"low": 0.5, "high": 0.8}, "transform": "none"}
    return {**tiny, "trials": {"sparse": {**space, **settings}}}


def test_a_pattern_with_an_updater_that_changes_the_sparsity_is_refused(
    tiny: dict[str, Any],
) -> None:
    with pytest.raises(
        UsageError, match=r"pattern = .*: goes with the updaters static, set and rigl"
    ):
        parse_study(_sparse(tiny, pattern="2:4", updater=["granet", "gmp"]))


def test_an_unquoted_pattern_is_read_as_it_was_meant(tmp_path: Path, tiny: dict[str, Any]) -> None:
    path = tmp_path / "study.yaml"
    text = yaml.safe_dump(_sparse(tiny, pattern="PATTERN"))
    # YAML 1.1 makes 124 of 2:4.
    path.write_text(text.replace("PATTERN", "[2:4, 4:8-t, 16x16, none]"))
    sparse = load_study(path).trials["sparse"]
    assert sparse is not None
    assert sparse.pattern == Categorical(values=("2:4", "4:8-t", "16x16", "none"))


def test_a_study_of_n_of_m_patterns_alone_needs_no_sparsity(tiny: dict[str, Any]) -> None:
    data = _sparse(tiny, pattern=["2:4", "1:4"])
    del data["trials"]["sparse"]["sparsity"]
    assert parse_study(parse_study(data).to_plain()) == parse_study(data)


def test_a_recipes_own_values_are_written_down_where_the_study_has_none(
    tiny: dict[str, Any],
) -> None:
    def kind(**settings: Any) -> Any:
        found = parse_study(_sparse(tiny, **settings)).trials["sparse"]
        assert found is not None
        return found

    preset = kind(recipe="gpt3-small", batch_size=16)
    assert preset.batch_size == Categorical(values=(16,))
    assert preset.learning_rate == Categorical(values=(6e-4,))
    assert kind().batch_size == Categorical(values=(64,))
    # Several recipes: each its own, so that nothing is written down.
    assert kind(recipe=["default", "gpt3-small"]).batch_size is None


def test_a_study_resolved_by_an_earlier_version_is_the_same_study(tiny: dict[str, Any]) -> None:
    old = _sparse(
        tiny,
        distribution="erk",
        updater="static",
        epochs=20,
        batch_size=64,
        learning_rate=0.1,
    )
    assert parse_study(old).to_plain() == parse_study(_sparse(tiny)).to_plain()


class _Dice:
    """Answers at random, and checks that one question is always the same question."""

    def __init__(self, seed: int, asked: dict[str, Any]) -> None:
        self._random, self._asked = random.Random(seed), asked

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        assert self._asked.setdefault(name, choices) == choices
        return self._random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        assert self._asked.setdefault(name, (low, high, log)) == (low, high, log)
        return self._random.randint(low, high)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert self._asked.setdefault(name, (low, high, log)) == (low, high, log)
        return self._random.uniform(low, high)


def test_every_candidate_of_the_widest_study_is_legal(tiny: dict[str, Any]) -> None:
    everything = _sparse(
        tiny,
        transform=["none", *TRANSFORMS],
        distribution=list(SPARSITY_DISTRIBUTIONS),
        positions=["random", "saliency"],
        pattern=["none", "2:4", "1:4-t", "4x4"],
        updater=list(MASK_UPDATERS),
        activation=[True, False],
        recipe=["default", "sparse-ift-cifar", "gpt3-small"],
        record=["spectra"],
    )
    kinds = parse_study(everything).trials
    asked: dict[str, Any] = {}
    found = [suggest_candidate(_Dice(seed, asked), kinds) for seed in range(400)]
    # A candidate that cannot be would have raised.
    assert all(candidate_from_json(config.to_json()) == config for config in found)
    for name in ("transform", "distribution", "positions", "pattern", "updater", "activation"):
        seen = {getattr(config, name) for config in found}
        wanted = everything["trials"]["sparse"][name]
        assert len(seen) == len(wanted), name
    patterned = [config for config in found if isinstance(config.pattern, NOfM)]
    assert {config.sparsity for config in patterned} == {0.5, 0.75}
    assert not {config.updater for config in patterned} & {"granet", "gmp"}
    assert {config.updater for config in found if config.transform == "low_rank"} == {"static"}
    recipes = {(c.training.name, c.training.batch_size) for c in found}
    assert recipes == {("default", 64), ("sparse-ift-cifar", 128), ("gpt3-small", 256)}
    assert kinds == type(kinds).model_validate(kinds.model_dump(mode="json"))


def test_sparse_trials_may_grow_first_with_a_searched_budget() -> None:
    data = yaml.safe_load(EXAMPLE.read_text())
    grow = {"budget": {"parameters": {"low": "10%", "high": "60%"}}, "epochs": 4}
    data["trials"]["sparse"]["grow"] = grow
    study = parse_study(data)
    assert parse_study(study.to_plain()) == study
    found = []
    for seed in range(20):
        candidate = suggest_candidate(_Dice(seed, {}), study.trials)
        assert candidate_from_json(candidate.to_json()) == candidate
        if candidate.kind == "sparse":
            assert candidate.grow is not None
            assert candidate.grow.epochs == 4
            assert candidate.grow.budget.metric == "parameters"
            found.append(candidate.grow.budget.value)
    assert len(set(found)) > 1
    assert all(0.1 <= budget <= 0.6 for budget in found)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90 s", 90.0), ("30 min", 1800.0), ("1.5h", 5400.0), (45, 45.0), (None, None)],
)
def test_a_time_limit_is_seconds_or_a_number_with_its_unit(
    tiny: dict[str, Any], written: Any, seconds: float | None
) -> None:
    tiny["search"]["time_limit"] = written
    config = parse_study(tiny)
    assert config.search.time_limit == seconds
    assert parse_study(config.to_plain()) == config


@pytest.mark.parametrize("written", ["30", "soon", "0 s", -1, True, "5 days", float("inf")])
def test_a_time_limit_that_is_none_is_an_error_with_examples(
    tiny: dict[str, Any], written: Any
) -> None:
    tiny["search"]["time_limit"] = written
    with pytest.raises(UsageError, match=r"search\.time_limit.*no duration; write for example"):
        parse_study(tiny)


def test_a_share_of_a_gpu_is_for_studies_that_have_one_among_their_devices(
    tiny: dict[str, Any],
) -> None:
    tiny["search"]["gpus_per_trial"] = 0.5
    assert parse_study(tiny).search.gpus_per_trial == 0.5
    tiny["training"] = {"device": "cpu"}
    with pytest.raises(UsageError, match=r"gpus_per_trial: trials train on the cpu and no.*cuda"):
        parse_study(tiny)
    tiny["objectives"]["latency[cuda]"] = "minimize"
    assert parse_study(tiny).search.gpus_per_trial == 0.5
    tiny["search"]["gpus_per_trial"] = 1.5
    with pytest.raises(UsageError, match="a part of one GPU, or a whole number of them"):
        parse_study(tiny)


def test_an_unknown_metric_lists_accuracy_costs_and_measures(tiny: dict[str, Any]) -> None:
    tiny["objectives"] = {"accuracy": "maximize", "eec": "minimize"}
    with pytest.raises(UsageError, match=r"unknown metric 'eec'; valid: accuracy, macs.* nll, ece"):
        parse_study(tiny)


def test_options_of_measures_are_checked_and_written_out(tiny: dict[str, Any]) -> None:
    tiny["objectives"] = {"accuracy": "maximize", "ood_auroc": "maximize"}
    tiny["metrics"] = {"ood_auroc": {"against": "fashion-mnist"}}
    config = parse_study(tiny)
    assert config.quality_names == ("ood_auroc",)
    assert config.metrics.quality(config.quality_names).against == "fashion-mnist"
    assert parse_study(config.to_plain()) == config
    tiny["metrics"] = {"ood_auroc": {"agianst": "fashion-mnist"}}
    with pytest.raises(UsageError, match=r"metrics\.ood_auroc\.agianst"):
        parse_study(tiny)


def test_the_usual_options_are_those_of_the_metrics(tiny: dict[str, Any]) -> None:
    found, usual = parse_study(tiny).metrics.quality(()).settings, MetricSettings()
    for name in ("noise", "epsilon", "attack", "smoothing", "radius", "attacked", "certified"):
        assert getattr(found, name) == getattr(usual, name)
