import json
import shutil

import pytest
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.commands import doctor


@pytest.fixture(autouse=True)
def no_noise_check(monkeypatch):
    """It takes seconds, and has tests of its own."""
    quiet = doctor.Finding(name="noise", state="ok", found="quiet")
    monkeypatch.setattr(doctor, "_noise", lambda seconds: quiet)


def lines(*arguments):
    done = CliRunner().invoke(app, ["doctor", *arguments])
    return done.exit_code, done.output


def test_everything_has_one_line_and_a_machine_that_runs_the_suite_is_ready():
    code, output = lines()
    assert code == 0, output
    for name in ("python", "torch", "ray", "devices", "disk", "noise", "chromium", "onnx"):
        assert sum(line[4:].startswith(f"{name}:") for line in output.splitlines()) >= 1
    assert all(line[:2] in ("ok", "--", "!!") for line in output.splitlines())


def test_as_json_it_is_for_programs():
    code, output = lines("--json")
    rows = json.loads(output)
    assert code == 0
    assert {"name", "state", "found", "remedy"} == set(rows[0])
    assert not [row for row in rows if row["state"] == "problem"]


def test_a_full_disk_is_a_problem_with_a_remedy_and_the_exit_code_says_so(monkeypatch):
    usage = shutil.disk_usage("/")
    full = type(usage)(total=usage.total, used=usage.total, free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    code, output = lines()
    assert code == 1
    (line,) = [line for line in output.splitlines() if "disk:" in line]
    assert line.startswith("!!  disk: 0.0 GiB free")
    assert line.endswith("-> free some space, or give --out on another disk")


def test_a_missing_extra_is_a_note_and_no_problem(monkeypatch):
    monkeypatch.setattr(doctor, "_EXTRAS", {"onnx": (("no_such_package",), "ONNX")})
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    code, output = lines()
    assert code == 0
    assert "--  onnx: without no_such_package (ONNX) -> pip install 'growsearch[onnx]'" in output
    assert "--  chromium: not found" in output


def test_a_missing_package_and_a_look_that_fails_stop_nothing(monkeypatch):
    monkeypatch.setattr(doctor, "_NEEDED", ("no-such-package-at-all",))

    def broken():
        raise OSError("no device")

    monkeypatch.setattr(doctor, "_devices", broken)
    code, output = lines()
    assert code == 1
    assert "!!  no-such-package-at-all: not installed -> pip install growsearch" in output
    assert "!!  devices: OSError: no device" in output
    assert "noise: quiet" in output
