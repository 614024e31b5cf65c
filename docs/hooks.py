"""What is not written by hand when the site is built: the benchmark tables and the decisions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_BENCHMARKS = "benchmarks.md"
_DECISIONS = "decisions"


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
        elif target == _BENCHMARKS or (docs / target).exists():
            found.append(entry)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of benchmark tables."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    files.append(File.generated(config, _BENCHMARKS, content=tables.markdown()))
    return files
