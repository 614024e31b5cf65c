"""The contract of a kind of trial, and that a new kind is one registration."""

import atexit
import dataclasses
import json
import pkgutil
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pytest
import torch
from typer.testing import CliRunner

import growsearch.kinds
from growsearch import Study
from growsearch.cli import app
from growsearch.datasets import load_dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full
from growsearch.kinds import (
    KINDS,
    CandidateConfig,
    CheckContext,
    DataChoice,
    Forecast,
    ForecastContext,
    KindSpace,
    Network,
    RecipeChoice,
    TrainedCandidate,
    TrainingContext,
    TrialKind,
    TrialKinds,
    candidate_from_json,
    forecast,
    suggest_candidate,
    trial_id,
)
from growsearch.kinds.codec import inline
from growsearch.kinds.domain import values_of
from growsearch.kinds.forecasts import LIVE_NUMBERS
from growsearch.kinds.questions import Questions
from growsearch.kinds.registry import KindRegistry
from growsearch.kinds.words import KindWords
from growsearch.report.describe import describe_trial
from growsearch.search.samplers.replay import candidate_of, params_of
from growsearch.training import TRAINING_PASSES, TrainingOptions, train
from growsearch.transforms import MacProfile
from growsearch.trial.record import Trial
from search_spaces import search_space

optuna.logging.set_verbosity(optuna.logging.WARNING)
# Nothing is interpolated between networks of other kinds.
NO_AXIS = ("baseline",)


def _trained_weights() -> str:
    """Return a file of weights that is there as long as this process."""
    path = Path(tempfile.mkdtemp()) / "trained.pth"
    atexit.register(shutil.rmtree, path.parent)
    torch.save(build_full(search_space("mlp-digits"), 3).state_dict(), path)
    return str(path)


SMALL = {
    "growth": {
        "space": "mlp-digits",
        "budget": {"parameters": {"low": "10%", "high": "60%"}},
        "policy": ["learned", "random-order", "uniform"],
        "width_multiple": [1, 8],
        "optimizer": ["sgd", "adamw"],
        "epochs": [2, 4],
    },
    "sparse": {
        "space": "mlp-digits",
        "transform": ["none", "sparse_wide"],
        "sparsity": {"low": 0.5, "high": 0.9},
        "updater": ["static", "rigl"],
        "precision": ["float32", "bfloat16"],
        "epochs": [1, 2],
    },
    "tickets": {
        "space": "mlp-digits",
        "source": "digits",
        "scheme": ["omp", "imp", "lmp"],
        "sparsity": {"low": 0.5, "high": 0.8},
        "epochs": [1, 2],
    },
    "prune": {
        "space": "mlp-digits",
        "init": _trained_weights(),
        "budget": {"macs": {"low": "10%", "high": "60%"}},
        "importance": ["taylor", "group-l2", "gates"],
        "allocation": ["knapsack", "uniform"],
        "steps": [2, 3],
        "distillation": [0, 0.5],
        "epochs": [2, 4],
    },
    "baseline": {
        "space": "mlp-digits",
        "init": _trained_weights(),
        "which": ["mine", "dense", "uniform"],
        "budget": {"macs": {"low": "10%", "high": "60%"}},
        "learning_rate": {"low": 0.01, "high": 0.1},
        "epochs": [1, 2],
    },
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlainCandidate(CandidateConfig):
    """Train a space's full configuration as it is."""

    kind: ClassVar[str] = "plain"

    space: str
    training: RecipeChoice = inline()


class PlainKind(TrialKind[KindSpace, PlainCandidate]):
    """A kind in a test: two methods."""

    name: ClassVar[str] = "plain"
    title: ClassVar[str] = "plain"
    space = KindSpace
    candidate = PlainCandidate

    def suggest(self, questions: Questions, space: KindSpace) -> PlainCandidate:
        name = str(questions.ask("space", space.space))
        return PlainCandidate(space=name, training=questions.recipe(space))

    def train(
        self, candidate: PlainCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        data = context.dataset
        space = search_space(candidate.space).for_data(data.input_shape, data.num_classes)
        model = build_full(space, context.seed)
        macs = MacProfile.of(model, space.example_inputs()).dense_macs
        task = context.learning.task(model)
        recipe = candidate.training.recipe()
        history, state = train(
            model, task, recipe, seed=context.seed, forward_macs=macs, options=options
        )
        examples = state.total_steps * task.batch_examples(recipe.batch_size)
        return TrainedCandidate(
            model=model,
            network=Network(
                architecture=space.largest(),
                input_shape=data.input_shape,
                num_classes=data.num_classes,
            ),
            history=tuple(history),
            training_macs=state.training_macs,
            dense_training_macs=TRAINING_PASSES * macs * examples,
        )


@pytest.fixture
def plain_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fourth kind: one line in the registry."""
    monkeypatch.setitem(KINDS, "plain", PlainKind())


def kinds_of(name: str) -> TrialKinds:
    return TrialKinds.model_validate({name: SMALL[name]})


def candidates(name: str, count: int = 40) -> list[tuple[dict[str, Any], CandidateConfig]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = []
    for _ in range(count):
        trial = study.ask()
        candidate = suggest_candidate(trial, kinds_of(name))
        found.append((trial.params, candidate))
    return found


def test_every_kind_has_a_study_here() -> None:
    assert set(SMALL) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_and_its_words_which_need_no_torch_say_the_same(name: str) -> None:
    words = KindRegistry({name: f"growsearch.kinds.{name}"}).words(name)
    assert isinstance(words, KindWords)
    config = {"budget": {"macs": 0.3}, "scheme": "omp", "sparsity": 0.5, "updater": "rigl"}
    assert words.title == KINDS[name].title
    assert words.describe(config) == KINDS[name].describe(config)
    assert KINDS.words("pruned") is None


def test_no_module_shadows_a_name_of_the_package() -> None:
    modules = {module.name for module in pkgutil.iter_modules(growsearch.kinds.__path__)}
    assert modules.isdisjoint(growsearch.kinds.__all__)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_registered_under_its_own_name_with_a_title(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name == kind.candidate.kind
    assert kind.title
    assert set(kind.space.whereabouts) <= set(kind.space.model_fields)


@pytest.mark.parametrize("name", SMALL)
def test_a_space_reads_what_it_writes(name: str) -> None:
    kinds = kinds_of(name)
    again = TrialKinds.model_validate(kinds.model_dump(mode="json", exclude_none=True))
    assert again == kinds
    assert kinds.max_epochs == max(values_of(kinds[name].epochs))


@pytest.mark.parametrize("name", SMALL)
def test_a_candidate_survives_json_and_its_id_tells_it_from_others(name: str) -> None:
    found = [candidate for _, candidate in candidates(name)]
    for candidate in found:
        again = candidate_from_json(json.loads(json.dumps(candidate.to_json())))
        assert again == candidate
        assert trial_id(again, 3) == trial_id(candidate, 3)
    assert len({trial_id(candidate, 3) for candidate in found}) == len(set(found))


@pytest.mark.parametrize("name", SMALL)
def test_answers_make_a_candidate_and_a_candidate_gives_its_answers(name: str) -> None:
    kinds = kinds_of(name)
    for params, candidate in candidates(name):
        assert candidate_of(params, kinds) == candidate
        assert params_of(candidate.to_json(), kinds) == params


@pytest.mark.parametrize("name", SMALL)
def test_a_sampler_is_asked_under_the_kind_s_name_alone(name: str) -> None:
    for params, _ in candidates(name):
        assert all(key.startswith(f"{name}.") for key in params)


@pytest.mark.parametrize("name", SMALL)
def test_a_candidate_moves_along_its_axis_and_nowhere_else(name: str) -> None:
    kind, kinds = KINDS[name], kinds_of(name)
    for _, candidate in candidates(name, 10):
        plain = kind.same_network(candidate)
        assert kind.same_network(plain) == plain
        axis = kind.axis(kinds[name], plain)
        if name in NO_AXIS:
            assert axis is None
            continue
        assert axis is not None
        assert axis.domain.low <= axis.value <= axis.domain.high
        assert axis.at(axis.value) == plain
        assert trial_id(axis.at(float(axis.domain.low)), 0) != trial_id(plain, 0)


@pytest.mark.parametrize("name", SMALL)
def test_a_forecast_has_lower_ends_for_what_it_tells(name: str) -> None:
    context = ForecastContext(dataset=load_dataset("digits"), seed=0, devices={"wafer-cs2": None})
    for _, candidate in candidates(name, 4):
        found = forecast(candidate, context)
        assert isinstance(found, Forecast)
        assert len(found.live) == LIVE_NUMBERS
        assert all(found.least[key] <= found.metrics[key] for key in found.least)


@pytest.mark.parametrize("name", SMALL)
def test_a_kind_checks_its_study_and_names_the_key(name: str) -> None:
    context = CheckContext(dataset=load_dataset("digits"), data_dir=None, key=name)
    kind = KINDS[name]
    kind.check(kinds_of(name)[name], context)
    other = {**SMALL[name], "space": "lstm-ptb-small"}
    with pytest.raises(UsageError, match=rf"trials\.{name}\.space: "):
        kind.check(TrialKinds.model_validate({name: other})[name], context)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("wanted", ["dense", "papers"])
def test_initial_points_are_in_the_space(name: str, wanted: str) -> None:
    kinds = kinds_of(name)
    for written in KINDS[name].initial_points(kinds[name], wanted):
        assert candidate_of(params_of({"kind": name, **written}, kinds), kinds)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("config", [{}, {"sparsity": "much", "budget": [1], "scheme": None}])
def test_a_candidate_of_any_file_is_described_without_an_error(name: str, config: dict) -> None:
    trial = Trial(id="a", number=0, kind=name, status="finished", config=config, seed=0)
    assert isinstance(describe_trial(trial), str)
    for _, candidate in candidates(name, 3):
        whole = dataclasses.replace(trial, config=candidate.to_json())
        assert len(describe_trial(whole)) > 3


def test_an_unknown_kind_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="kind = 'luck'; valid: growth, sparse, tickets"):
        candidate_from_json({"kind": "luck"})


def test_an_unknown_key_of_a_kind_lists_its_own(tmp_path: Path) -> None:
    study = {**_study(tmp_path), "trials": {"sparse": {**SMALL["sparse"], "sparsty": 1}}}
    with pytest.raises(
        UsageError,
        match=r"trials\.sparse\.sparsty: unknown key; did you mean sparsity\? valid here: .*",
    ):
        Study(study, tmp_path / "run")


def _study(folder: Path) -> dict[str, Any]:
    return {
        "name": "fourth",
        "dataset": "digits",
        "trials": {
            "plain": {"space": ["mlp-digits", "resnet-digits"], "epochs": 1},
            "sparse": {"space": "mlp-digits", "transform": "none", "sparsity": 0.5, "epochs": 1},
        },
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 3, "seed": 0, "backend": "serial", "sampler": "tpe"},
    }


@pytest.mark.usefixtures("plain_kind")
def test_a_fourth_kind_is_searched_reported_selected_and_exported(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    study = Study(_study(tmp_path), folder)
    front = study.run()
    plain = [trial for trial in study.trials if trial.kind == "plain"]
    assert plain
    assert all(trial.finished for trial in study.trials), [t.error for t in study.trials]
    assert Study(_study(tmp_path), folder).run().members == front.members
    runner = CliRunner()
    reported = runner.invoke(app, ["report", str(folder), "--format", "all"])
    assert reported.exit_code == 0, reported.output
    assert "plain" in (folder / "report.md").read_text()
    chosen = runner.invoke(
        app, ["select", str(folder), "--min", "accuracy=0", "--out", str(tmp_path / "chosen")]
    )
    assert chosen.exit_code == 0, chosen.output
    best = plain[0]
    exported = study.export(best.id, tmp_path / "exported")
    program = torch.export.load(exported.program).module()
    inputs = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(program(inputs), study.load(best.id)(inputs), atol=1e-5)
    assert DataChoice(name="digits").load().dataset.num_classes == 10


def test_a_kind_that_is_not_registered_is_an_unknown_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"trials\.plain: unknown key; valid here: growth, sparse"):
        Study(_study(tmp_path), tmp_path / "run")
