"""Module headers: each opens with the noun phrase that a newcomer searches for."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["cost_models", "search_spaces", "growsearch"]
MODULES = sorted(path for each in PACKAGES for path in (ROOT / each).rglob("*.py"))
# A search for "Pareto front" finds no "Which networks are worth having?".
QUESTIONS = {"how", "what", "which", "who", "where", "when", "why", "with", "by", "in", "at", "on"}
QUESTIONS |= {"is", "are", "was", "do", "does", "can", "may", "should", "under", "within", "among"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_with_a_noun_phrase_and_no_question(path):
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert header, "no docstring"
    assert header.split()[0].lower().strip(",:") not in QUESTIONS, header.splitlines()[0]
