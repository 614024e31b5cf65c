"""Does the report of a large search stay quick? 10,000 trials: time to write, size, time to open.

The ledger is made up (two kinds of trials, two devices, two failed ones, a history each), with the
generator of the report's tests. Writing is the whole command `growsearch report`, its start
included; opening is from the address to the second frame after the page has loaded, in headless
Chromium. Both are the best of several repeats, since other work on the machine only adds time.

    python benchmarks/report_scale.py --trials 10000
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from growsearch.files import write_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "report_scale.json"
ALLOWED = {"command_s": 3.0, "open_s": 3.0, "page_bytes": 8e6}


def report_tests() -> ModuleType:
    """Return the module with the made-up runs and the browser."""
    path = ROOT / "tests" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def time_command(run: Path, repeats: int) -> dict[str, float]:
    walls, processors = [], []
    script = "from growsearch.cli import main; main()"
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", script, "report", str(run)], check=True, capture_output=True
        )
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"command_s": min(walls), "command_cpu_s": min(processors)}


def time_page(tools: ModuleType, page: Path, repeats: int) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = tools.Browser(tools.find_chromium(), Path(profile))
        try:
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                browser.open(page)
                times.append(time.perf_counter() - start)
                assert browser.problems() == [], browser.problems()
        finally:
            browser.close()
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    tools = report_tests()
    with tempfile.TemporaryDirectory() as folder:
        run = tools.make_run(Path(folder) / "run", count=arguments.trials)
        figures: dict[str, Any] = time_command(run, arguments.repeats)
        page = run / "report.html"
        figures["page_bytes"] = page.stat().st_size
        figures["ledger_bytes"] = (run / "trials.jsonl").stat().st_size
        if tools.find_chromium() is not None:
            figures["open_s"] = time_page(tools, page, arguments.repeats)
    settings = {"trials": arguments.trials, "repeats": arguments.repeats}
    write_json(RESULTS, {"settings": settings, "allowed": ALLOWED, "figures": figures})
    table = Table(title=f"Report of {arguments.trials:,} trials")
    for column in ("figure", "measured", "allowed"):
        table.add_column(column)
    for name, value in figures.items():
        allowed = f"{ALLOWED[name]:,.3g}" if name in ALLOWED else ""
        table.add_row(name, f"{value:,.3g}", allowed)
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
