"""What leaves a run: ONNX, the loader, the card, and a module to train on."""

import runpy
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from growsearch.commands.select import export_lines
from growsearch.errors import UsageError
from growsearch.export import (
    CardFacts,
    DeviceCost,
    export_network,
    load_network,
    onnx_file,
    render_card,
    write_card,
)
from growsearch.kinds import Network
from growsearch.kinds.checking.program import NoProgramError
from search_spaces import SEARCH_SPACES

NETWORK = Network(
    architecture=SEARCH_SPACES["mlp-digits"].largest().replace({"hidden0": 256, "hidden1": 8}),
    input_shape=(1, 8, 8),
    num_classes=10,
)
FACTS = CardFacts(
    title="a <b>run</b>",
    summary="Found | among 3.",
    data={"data set": "digits"},
    results={"Accuracy": "98.0 %"},
    devices=(DeviceCost(device="cpu", latency="1 ms", interval="", method="measured, noise 2 %"),),
    training={"epochs": "2"},
    provenance={"versions": "torch 2\n## not a heading"},
    limits=("One seed.",),
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    module = NETWORK.build().eval()
    with torch.no_grad():
        weight = module.hidden[0].linear.weight
        weight.mul_(torch.rand_like(weight) < 0.05)
    safetensors.torch.save_file(module.state_dict(), folder / "trained.safetensors")
    result = export_network(
        NETWORK,
        folder / "trained.safetensors",
        folder / "out",
        onnx=True,
    )
    return module, result


def test_onnx_gives_the_same_outputs_and_says_how_far_apart_they_are(exported):
    module, result = exported
    run = onnx_file.onnx_runner((result.folder / "model.onnx").read_bytes())
    inputs = torch.randn(7, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(run(inputs), module(inputs), rtol=1e-4, atol=1e-5)
    assert 0 <= result.onnx_difference < 1e-4


def test_the_sparse_file_is_smaller_and_loads_as_the_same_module(exported):
    module, result = exported
    assert result.weight_bytes == result.weights.stat().st_size
    assert result.weight_bytes < 0.5 * result.plain_bytes
    again = load_network(result.folder)
    for name, tensor in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_the_loader_has_at_most_ten_lines_and_runs(exported, capsys):
    _, result = exported
    script = result.folder / "load.py"
    assert len(script.read_text().splitlines()) <= 10
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.startswith("tensor([")


def test_the_card_has_files_figures_and_limits_and_nothing_breaks_it(exported):
    _, result = exported
    card = write_card(FACTS, result).read_text()
    assert card == render_card(FACTS, result)
    for part in ("model.onnx in ONNX Runtime by at most", "| cpu: 1 ms |", "- One seed.", "98.0 %"):
        assert part in card
    assert "# a &lt;b&gt;run" in card
    assert r"Found \| among" in card
    assert "\n## not a heading" not in card
    assert f"{result.weight_bytes / result.plain_bytes:.2f} of the" in card


def test_onnx_that_computes_something_else_is_not_written(tmp_path, monkeypatch, exported):
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    monkeypatch.setattr(
        "growsearch.export.network_export.onnx_program",
        lambda module, example: b"stands in",
    )
    monkeypatch.setattr(
        "growsearch.export.proving.onnx_runner", lambda content: other.requires_grad_(False)
    )
    weights = exported[1].folder.parent / "trained.safetensors"
    result = export_network(
        NETWORK,
        weights,
        tmp_path / "out",
        onnx=True,
    )
    assert result.onnx_difference is None
    assert result.left_out["model.onnx"].startswith("it was read back and differs by")
    assert result.program.exists()
    assert not (tmp_path / "out" / "model.onnx").exists()
    lines = export_lines(result)
    assert any(line.startswith("  no model.onnx: it was read back") for line in lines)
    assert "model.onnx is not there: it was read back" in write_card(FACTS, result).read_text()


def test_where_there_is_no_program_the_loader_builds_the_network(
    tmp_path, monkeypatch, exported, capsys
):
    def refuse(module, example):
        raise NoProgramError("torch.export cannot follow the network (for a test)")

    monkeypatch.setattr("growsearch.export.network_export.program_bytes", refuse)
    result = export_network(
        NETWORK,
        exported[1].folder.parent / "trained.safetensors",
        tmp_path / "out",
        onnx=True,
    )
    assert result.left_out["model.onnx"] == "torch.onnx starts from what program.pt2 would hold"
    assert export_lines(result)[-4:] == [
        "  no program.pt2: torch.export cannot follow the network (for a test)",
        "  no model.onnx: torch.onnx starts from what program.pt2 would hold",
        "Reloaded; the weights give the same outputs to the bit.",
        "Its input is raw: who exported it did not say what its inputs were.",
    ]
    script = tmp_path / "out" / "load.py"
    assert len(script.read_text().splitlines()) <= 10
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    monkeypatch.setattr(sys, "path", [*sys.path])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.startswith("tensor([")
    assert "program.pt2 differs" not in write_card(FACTS, result).read_text()


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--onnx needs onnx: pip install 'growsearch\[onnx\]'"):
        onnx_file.check_onnx()
