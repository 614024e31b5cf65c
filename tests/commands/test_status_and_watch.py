"""Commands that look at a run: what they print, how they end, and what they leave alone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.errors import UsageError

STUDY = """
name: digits
dataset: digits
trials: {growth: {space: mlp-digits, budget: {parameters: 0.2}, epochs: 2}}
objectives: {accuracy: maximize, macs: minimize}
search: {trials: 4}
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "digits"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    trial = {
        "id": "3f2a91c0de",
        "number": 0,
        "kind": "growth",
        "status": "finished",
        "config": {"space": "mlp-digits"},
        "metrics": {"accuracy": 0.9, "macs": 1000},
    }
    (folder / "trials.jsonl").write_text(json.dumps(trial) + "\n")
    return folder


def test_status_tells_people_in_lines_and_programs_in_json(run: Path) -> None:
    found = CliRunner().invoke(app, ["status", str(run)])
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0] == "digits: stopped without a word"
    assert "  trials    1 of 4 done" in lines
    assert any(line.startswith("  best      accuracy 90.00 % by 3f2a91c0de") for line in lines)
    assert max(map(len, lines)) <= 80
    data = json.loads(CliRunner().invoke(app, ["status", str(run), "--json"]).output)
    assert (data["schema"], data["state"], data["best"]["value"]) == (1, "gone", 0.9)


def test_status_of_what_is_no_run_is_a_message(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["status", str(tmp_path)])
    assert isinstance(found.exception, UsageError)
    assert "is not the folder of a run" in str(found.exception)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_watch_serves_at_the_address_on_a_line_of_its_own_until_it_is_stopped(
    stop: signal.Signals, run: Path
) -> None:
    before = {str(f): f.stat().st_mtime_ns for f in (run, *run.rglob("*"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "growsearch", "watch", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Watching {run}; end with Ctrl-C. Open:\n"
        address = process.stdout.readline().rstrip("\n")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", address)
        assert len(address) <= 80
        with urllib.request.urlopen(f"{address}status.json", timeout=60) as reply:
            assert json.load(reply)["status"]["trials"]["finished"] == 1
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors, rest.strip()) == (0, "", "")
    assert {str(f): f.stat().st_mtime_ns for f in (run, *run.rglob("*"))} == before


BROWSER = """#!{python}
import json, os, pathlib, sys, urllib.parse, urllib.request
file = pathlib.Path(urllib.parse.unquote(sys.argv[1].removeprefix("file://")))
told = {{"argv": sys.argv[1:], "page": file.read_text(), "file": str(file)}}
told["modes"] = [oct(each.stat().st_mode & 0o777) for each in (file, file.parent)]
pathlib.Path(os.environ["TOLD"]).write_text(json.dumps(told))
"""


def test_the_browser_s_command_line_has_no_token_and_the_file_that_has_it_is_private(
    run: Path, tmp_path: Path
) -> None:
    program, told = tmp_path / "browser", tmp_path / "told.json"
    program.write_text(BROWSER.format(python=sys.executable))
    program.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{program} %s", "TOLD": str(told)}
    process = subprocess.Popen(
        [sys.executable, "-m", "growsearch", "watch", str(run), "--open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A mask that would let everybody read.
        preexec_fn=lambda: os.umask(0),
        env=environment,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        address = process.stdout.readline().rstrip("\n")
        for _ in range(600):
            if told.is_file() and told.read_text().endswith("}"):
                break
            time.sleep(0.1)
        found = json.loads(told.read_text())
        assert Path(found["file"]).exists()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    token = address.split("/")[3]
    assert len(token) >= 32
    assert not any(token in argument for argument in found["argv"])
    assert f'content="0; url={address}"' in found["page"]
    assert found["modes"] == ["0o600", "0o700"]
    assert not Path(found["file"]).exists()
