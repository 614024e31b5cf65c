import pytest
import torch
from typer.testing import CliRunner

from cost_models import DEVICES
from growsearch.cli import app


@pytest.mark.parametrize("arguments", [["list", "devices"], ["devices", "--seconds", "0.5"]])
def test_every_device_has_a_line_and_a_missing_one_says_what_it_lacks(monkeypatch, arguments):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    lines = {line.split(" ")[0]: line for line in done.output.splitlines()}
    assert set(DEVICES) <= set(lines)
    assert "not here: torch finds no NVIDIA GPU" in lines["cuda"]
    assert "not here" not in lines["cpu"] + lines["wafer-cs2"]


def test_the_noise_of_this_machine_is_said_with_the_smallest_difference_that_is_real():
    done = CliRunner().invoke(app, ["devices", "--seconds", "0.5"])
    assert "Energy: " in done.output
    assert "This machine is " in done.output
    assert "wall times that differ by less than" in done.output
