"""`growsearch prune`: a study of one pruning trial, from weights to an export."""

import sys
import textwrap
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.export import load_network
from growsearch.growth import build_full
from search_spaces import search_space


def _prune(out: Path, *more: str) -> object:
    arguments = ["prune", "--data", "digits", "--subset", "128", "--epochs", "2", *more]
    return CliRunner().invoke(app, [*arguments, "--out", str(out)])


def test_a_trained_network_comes_out_smaller_exported_and_reported(tmp_path: Path) -> None:
    torch.save(build_full(search_space("mlp-digits"), 1).state_dict(), tmp_path / "net.pth")
    space = ("--space", "mlp-digits", "--init", str(tmp_path / "net.pth"))
    more = ("--budget", "macs=40%", "--steps", "2", "--shares", "hidden0=50%")
    done = _prune(tmp_path / "run", *space, *more)
    assert done.exit_code == 0, done.output
    assert "Pruned: mlp-digits on digits, 2 epochs" in done.output
    assert "macs at most" in done.output
    found = load_network(tmp_path / "run" / "export")
    assert found.hidden[0].linear.out_features == 128
    assert "40 % of MACs, pruned by taylor" in (tmp_path / "run" / "report.html").read_text()
    again = _prune(tmp_path / "run", *space, *more)
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "macs"), "--budget: 'macs' is not NAME=VALUE"),
        (("--budget", "macs=1%"), "--budget.macs: 0.01 is below"),
        (("--budget", "macs=50%", "--shares", "a"), "--shares: 'a' is not PATTERN=SHARE"),
        (("--budget", "macs=50%", "--importance", "luck"), "--importance = 'luck'"),
        (("--budget", "macs=50%", "--steps", "1", "--importance", "gates"), "--steps"),
    ],
)
def test_a_mistake_is_told_by_its_option(more: tuple[str, ...], said: str, tmp_path: Path) -> None:
    torch.save(build_full(search_space("mlp-digits"), 1).state_dict(), tmp_path / "net.pth")
    space = ("--space", "mlp-digits", "--init", str(tmp_path / "net.pth"))
    done = _prune(tmp_path / "run", *space, *more)
    assert done.exit_code != 0
    assert said in str(done.exception) or said in done.output


def test_an_own_network_that_comes_with_weights_is_pruned_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prune_own_code.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn

            def net():
                torch.manual_seed(0)
                return nn.Sequential(
                    nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)
                )
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        done = _prune(
            tmp_path / "run",
            *("--space", "prune_own_code:net", "--init", "own"),
            *("--budget", "parameters=50%", "--steps", "1", "--distillation", "0"),
        )
        assert done.exit_code == 0, done.output
        assert "Pruned: prune_own_code:net" in done.output
    finally:
        sys.modules.pop("prune_own_code", None)
