"""What is not written by hand when the site is built: benchmark tables, decisions, study keys."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_BENCHMARKS = "benchmarks.md"
_DECISIONS = "decisions"
_STUDY = "reference/study.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions, and leave out pages that are not there."""
    config.nav = _present(config.nav, Path(config.docs_dir))
    return config


def _present(entries: list[Any], docs: Path) -> list[Any]:
    found = []
    for entry in entries:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            found.append({title: _present(target, docs)})
        elif target == _DECISIONS:
            pages = sorted((docs / _DECISIONS).glob("*.md"))
            found.append({title: [f"{_DECISIONS}/{page.name}" for page in pages]})
        elif target in (_BENCHMARKS, _STUDY) or (docs / target).exists():
            found.append(entry)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of benchmark tables and of a study's keys."""
    files.append(File.generated(config, _STUDY, content=_study_keys()))
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    files.append(File.generated(config, _BENCHMARKS, content=tables.markdown()))
    return files


def _study_keys() -> str:
    folders = [str(ROOT), str(ROOT / "docs")]
    sys.path[:0] = folders
    try:
        from study_reference import markdown
    finally:
        del sys.path[: len(folders)]
    return markdown()
