"""The documents say what the code says: messages, examples, links and benchmark tables."""

import importlib
import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = ("growsearch", "search_spaces", "cost_models")


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source():
    text = "".join(f.read_text() for name in PACKAGES for f in (ROOT / name).rglob("*.py"))
    text = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    # Strings that stand one after the other are one, and what is put into them may be anything.
    text = re.sub(r'"\s*\n?\s*f?"', "", text)
    return re.sub(r"\{[^{}]*\}", "", text)


def test_every_message_of_the_troubleshooting_page_is_one_of_the_code(source):
    page = (DOCS / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    assert len(messages) > 20
    for message in messages:
        # "..." and words in capitals stand for what the message is about.
        for part in re.split(r"\.\.\.|\b[A-Z]{1,}(?:\.py)?\b", message):
            if len(part.strip(" :;(),")) > 6:
                assert part.strip(" :;(),") in source, message


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page():
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r": ([\w/-]+\.md)", text))
    made = {"benchmarks.md", "tickets.md", "reference/study.md"}
    pages = {
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.parent.name != "decisions"
    }
    assert pages - made == listed - made


def test_links_between_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+\.md)", page.read_text().replace("\n", "")):
            assert (page.parent / target).exists() or target.endswith("benchmarks.md"), target


def test_scripts_that_pages_show_are_there():
    shown = [
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r'--8<-- "([^"]+)"', page.read_text())
    ]
    assert "examples/own_model.py" in shown
    assert all((ROOT / name).exists() for name in shown)


def test_studies_in_pages_have_known_keys_only():
    from growsearch.kinds import KINDS
    from growsearch.search.config.study import SearchSettings, StudyConfig

    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            if "--8<--" in block:
                continue
            study = yaml.safe_load(block)
            assert set(study) <= set(StudyConfig.model_fields), block
            assert set(study.get("search", {})) <= set(SearchSettings.model_fields)
            for kind, values in study.get("trials", {}).items():
                assert set(values) <= set(KINDS[kind].space.model_fields)


def test_every_result_is_on_the_benchmarks_page_with_the_question_of_its_script(tables):
    page = tables.markdown()
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        data = json.loads(path.read_text())
        is_data = isinstance(data, dict) and data.get("format") == "growsearch latency profile"
        assert (f"## {path.stem.replace('_', ' ')}\n" in page) != is_data
    script = ROOT / "benchmarks" / "published_macs.py"
    assert tables.question(script) in page


def test_a_table_holds_the_values_of_its_file_and_nothing_breaks_it(tables, tmp_path):
    rows = [{"name": "a|b", "macs": 12345, "share": 0.123456, "seeds": [0.5, 0.25], "in": {"x": 1}}]
    (tmp_path / "some_result.json").write_text(json.dumps({"settings": {"seed": 3}, "rows": rows}))
    page = tables.markdown(tmp_path)
    assert "| name | macs | share | seeds | in.x |" in page
    assert r"| a\|b | 12,345 | 0.1235 | 0.5 / 0.25 | 1 |" in page
    assert "seed 3" in page


def test_single_runs_are_left_to_the_file_where_rows_sum_them_up(tables):
    both = list(tables.blocks({"rows": [{"mean": 1.5}], "runs": [{"single": 1}, {"single": 2}]}))
    assert any("mean" in block for block in both)
    assert not any("single" in block for block in both)


def test_every_name_of_the_python_reference_is_a_documented_class_or_function():
    names = re.findall(r"^::: ([\w.]+)", (DOCS / "reference" / "python.md").read_text(), re.M)
    assert len(names) > 15
    for name in names:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        assert inspect.isclass(found) or inspect.isfunction(found), name
        assert found.__module__ == module, f"{name} is from {found.__module__}"
        assert found.__doc__, name
