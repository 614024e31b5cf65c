"""The page of a study's keys has every key of the models, and says what its validator does."""

import sys
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from growsearch.kinds import KINDS
from growsearch.kinds.registry import KindRegistry
from growsearch.kinds.space import KindSpace
from growsearch.kinds.values import Count
from growsearch.search.config.study import StudyConfig
from growsearch.sparsity import MASK_UPDATERS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(DOCS))
    try:
        import study_reference
    finally:
        sys.path.remove(str(DOCS))
    return study_reference


@pytest.fixture(scope="module")
def rows(reference):
    return {row.path: row for section in reference.sections() for row in section.rows}


def models_in(annotation):
    """Every model below a type, however deep in unions, mappings and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def paths_of(model, path, inherited=frozenset()):
    """The paths of all fields of a model and of those in it, as Python has them."""
    for name, field in model.model_fields.items():
        yield f"trials.KIND.{name}" if name in inherited else f"{path}{name}"
        each = "METRIC." if typing.get_origin(field.annotation) is dict else ""
        for inner in models_in(field.annotation) if name != "trials" else ():
            yield from paths_of(inner, f"{path}{name}.{each}")


# Read from the key latency[DEVICE], which neither trunks have nor sparse trials that grow before.
_OF_DEVICES = ("latency", "latency_s", "device")
OF_ONE_KEY = (
    *(f"{key}.{name}" for key in ("budget", "budgets") for name in _OF_DEVICES),
    "init_file",
    # Of a finished network's study.
    "whole",
    # Of runs of before.
    "growth.steering",
    "growth.steering_strength",
)


def test_every_key_of_the_models_is_on_the_page(rows):
    wanted = list(paths_of(StudyConfig, ""))
    for kind, entry in KINDS.items():
        wanted += paths_of(entry.space, f"trials.{kind}.", frozenset(KindSpace.model_fields))
    assert len(wanted) > 100
    assert not [p for p in wanted if p not in rows and not p.endswith(OF_ONE_KEY)]


def test_every_key_has_a_meaning_a_default_and_what_may_stand_there(rows):
    for path, row in rows.items():
        assert len(row.meaning) > 10, f"{path}: give Field(description=...)"
        assert row.default, path
        assert row.values.form, path
        if "number" in row.values.form or "name" in row.values.form.split(";")[0].split():
            assert row.values.range, path
        if "whole number" in row.values.form:
            assert row.unit, f"{path}: say in UNITS what it counts"


@pytest.mark.parametrize(
    ("path", "form", "values", "default"),
    [
        ("search.seed", "whole number", "0 to 4,294,967,295", "`0`"),
        ("search.cpus_per_trial", "whole number", "1 to 4,096", "`1`"),
        ("search.first_fidelity.keep", "number", "above 0, below 1", "`0.5`"),
        ("search.stop_early.eta", "whole number", "2 or more", "`3`"),
        ("search.time_limit", "duration", "above 0", "there is no limit"),
        ("training.channels_last", "name", "`auto`, `true`, `false`", "`auto`"),
        ("training.threads", "whole number or name", "1 to 4,096; `auto`", "`auto`"),
        ("trials.KIND.epochs", "whole number; may be searched", "1 or more", "`20`"),
        ("trials.growth.freeze_at", "share; may be searched", "above 0, to 1", "`0.3`"),
        ("trials.growth.layers", "truth; may be searched", "`true`, `false`", "`true`"),
        ("trials.sparse.sparsity", "share; may be searched", "from 0, below 1", "none"),
        ("trials.sparse.grow.epochs", "whole number; may be searched", "2 or more", "`10`"),
        ("trials.tickets.epsilon", "number; may be searched", "above 0, to 1", "none"),
        ("metrics.ood_auroc.noise", "number", "above 0, to 1", "`0.2`"),
        (
            "data.workers",
            "whole number",
            "0 to 256",
            "the machine's cores, shared between trials at a time, 8 at most",
        ),
        (
            "data.image_size",
            "whole number",
            "4 to 4,096",
            "the images' own size if all have one, else 224",
        ),
        (
            "data.test",
            "share or name",
            "above 0, below 1",
            "test, else val; 10% with layout: classes",
        ),
        ("objectives", "mapping of names: name", "`minimize`, `maximize`", "**required**"),
    ],
)
def test_ranges_are_those_that_the_validators_have(rows, path, form, values, default):
    row = rows[path]
    assert (row.values.form, row.values.range, row.default) == (form, values, default)


def test_names_are_those_of_the_registries(rows):
    names = [name.strip("`") for name in rows["trials.sparse.updater"].values.range.split(", ")]
    assert names == list(MASK_UPDATERS)


def test_what_grows_before_a_sparse_trial_has_no_latency_budget(rows):
    assert "trials.growth.budget.latency[DEVICE]" in rows
    assert "trials.sparse.grow.budget.latency[DEVICE]" not in rows


def test_a_kind_of_ones_own_is_on_the_page_with_its_own_keys(reference, monkeypatch):
    class OwnSpace(KindSpace):
        """Trials of one's own."""

        wheels: Count = Field(default=4, validate_default=True, description="Wheels of it.")

    registry = KindRegistry({})
    registry["own"] = type("OwnKind", (), {"space": OwnSpace})()
    monkeypatch.setattr(reference, "KINDS", registry)
    rows = {row.path: row for section in reference.sections() for row in section.rows}
    assert rows["trials.own.wheels"].default == "`4`"
    assert rows["trials.own.wheels"].values.range == "1 or more"
    assert not [path for path in rows if path.startswith(("trials.sparse.", "trials.own.epochs"))]


def test_the_page_is_a_table_a_section_with_six_cells_a_row(reference):
    lines = reference.markdown().splitlines()
    table = [line for line in lines if line.startswith("| `")]
    assert len(table) > 100
    assert {line.replace("\\|", "").count("|") for line in table} == {7}
