"""Examples in docstrings: they run as they stand, and what a person calls has one.

Modules without an example are not imported, so that neither Ray nor an optional package is.
"""

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import seeded

ROOT = Path(__file__).parents[1]
PRODUCT = ("cost_models", "search_spaces", "growsearch")
# Those whose names in __all__ are called by hand, and have an example each.
PUBLIC = (
    "cost_models",
    "search_spaces",
    "growsearch.export",
    "growsearch.growth",
    "growsearch.metrics",
    "growsearch.pareto",
    "growsearch.sparsity",
    "growsearch.tickets",
    "growsearch.training",
    "growsearch.transforms",
)
# What functions return; the function's example shows it.
RETURNED = {
    "cost_models": {
        "Cost",
        "HostNoise",
        "LatencyProfile",
        "LayerChoice",
        "Operator",
        "SparseNetwork",
    },
    "growsearch.export": {"ExportResult", "Prediction"},
    "growsearch.growth": {"FixedResult", "GrowthRecord", "GrowthResult", "LatencyReport"},
    "growsearch.metrics": {"Spectra"},
    "growsearch.pareto": {"BoundCost", "Selection", "TieBreak"},
    "growsearch.tickets": {"Drawn", "Pretrained", "Transferred"},
    "growsearch.training": {"EpochRecord", "TrainingState"},
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules_with_examples() -> Iterator[str]:
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE):
                yield _name(path)


@pytest.mark.parametrize("name", list(_modules_with_examples()))
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in PRODUCT:
            raise
        pytest.skip(f"{error.name} is not installed")
    monkeypatch.chdir(tmp_path)
    runner, said = doctest.DocTestRunner(verbose=False), []
    # No names of the module: an example imports what it uses, as a reader has to.
    for example in doctest.DocTestFinder().find(module, globs={}):
        with seeded(0):
            runner.run(example, out=said.append)
    assert runner.summarize(verbose=False).attempted > 0
    assert not said, "".join(said)


def _called_by_hand(package: str) -> Iterator[str]:
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        kept = inspect.isfunction(value) or inspect.isclass(value)
        contract = getattr(value, "_is_protocol", False)
        error = inspect.isclass(value) and issubclass(value, Exception)
        if kept and not contract and not error and name not in RETURNED.get(package, ()):
            yield name


@pytest.mark.parametrize("package", PUBLIC)
def test_everything_that_a_person_calls_has_an_example(package):
    module = importlib.import_module(package)
    documented = {name: getattr(module, name).__doc__ or "" for name in _called_by_hand(package)}
    without = [name for name, text in documented.items() if ">>> " not in text]
    assert without == []


def test_what_is_left_out_as_returned_is_there():
    for package, names in RETURNED.items():
        assert names <= set(importlib.import_module(package).__all__)
