"""An exported network is read back and computes the same, or there is no export."""

import json

import pytest
import safetensors.torch
import torch
from torch import nn

import growsearch.export.network_export as network_export
from growsearch.errors import GrowsearchError, UsageError
from growsearch.export import ExportError, export_network, read_weights
from growsearch.kinds import Network
from search_spaces import SEARCH_SPACES, Architecture

torch.set_num_threads(1)


def network_of(space: str) -> dict:
    full = SEARCH_SPACES[space]
    # A quarter of every width: what is tested does not depend on the size.
    widths = {choice.name: max(1, choice.high // 4) for choice in full.choices}
    architecture = Architecture.of(space, widths)
    return {
        "format": 1,
        **architecture.to_json(),
        "input_shape": list(full.input_shape),
        "num_classes": full.num_classes,
        "transform": None,
    }


def build(network) -> nn.Module:
    return SEARCH_SPACES[network["space"]].build(Architecture.from_json(network))


def trained(network, folder):
    """Weights as a training leaves them: BatchNorm statistics moved, some weights zero."""
    torch.manual_seed(3)
    module = build(network)
    module.train()
    with torch.no_grad():
        module(2 + torch.randn(8, *network["input_shape"]))
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.mul_(torch.rand_like(parameter) > 0.5)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trained.safetensors"
    safetensors.torch.save_file(module.state_dict(), path)
    return module.eval(), path


# With and without convolutions; quick to trace.
@pytest.mark.parametrize("space", ["resnet-digits", "mlp-digits"])
def test_a_network_of_a_space_exports_what_others_can_load_and_run(space, tmp_path):
    network = network_of(space)
    module, weights = trained(network, tmp_path)
    result = export_network(Network.from_json(network), weights, tmp_path / "out")
    inputs = torch.randn(4, *network["input_shape"], generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        expected = module(inputs)
        program = torch.export.load(result.program).module()
        torch.testing.assert_close(program(inputs), expected, rtol=1e-4, atol=1e-5)
    assert json.loads(result.architecture.read_text()) == network
    state = read_weights(result.weights)
    assert state.keys() == module.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    assert 0 <= result.max_difference < 1e-4
    assert {path.name for path in result.folder.iterdir()} == {
        "architecture.json",
        "weights.safetensors",
        "program.pt2",
        "load.py",
    }


@pytest.fixture
def small(tmp_path):
    network = Network.from_json(network_of("mlp-digits"))
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.build().state_dict(), weights)
    return network, weights


def test_the_program_takes_any_batch(small, tmp_path):
    network, weights = small
    result = export_network(network, weights, tmp_path / "out")
    program = torch.export.load(result.program).module()
    assert [len(program(torch.zeros(batch, 1, 8, 8))) for batch in (1, 2, 33)] == [1, 2, 33]


def test_a_language_model_is_proven_with_tokens(tmp_path):
    data = network_of("lstm-ptb-small") | {"input_shape": [3], "num_classes": 7}
    network = Network.from_json(data)
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.build().state_dict(), weights)
    result = export_network(network, weights, tmp_path / "out")
    program = torch.export.load(result.program).module()
    assert program(torch.tensor([[0, 3, 6]])).shape == (1, 3, 7)


def test_a_second_export_replaces_the_first(small, tmp_path):
    network, weights = small
    first = export_network(network, weights, tmp_path / "out")
    before = first.weights.read_bytes()
    doubled = {name: 2 * t for name, t in safetensors.torch.load_file(weights).items()}
    safetensors.torch.save_file(doubled, weights)
    second = export_network(network, weights, tmp_path / "out")
    assert second.weights == first.weights
    assert second.weights.read_bytes() != before


def test_a_rebuilt_network_that_differs_is_not_exported(small, tmp_path, monkeypatch):
    network, weights = small
    build, built = Network.build, []

    def changing(self) -> nn.Module:
        # The second network built has another activation: the same weights, other outputs.
        built.append(self)
        module = build(self)
        if len(built) > 1:
            for name, part in module.named_modules():
                if isinstance(part, nn.ReLU):
                    module.set_submodule(name, nn.Tanh())
        return module

    monkeypatch.setattr(Network, "build", changing)
    with pytest.raises(ExportError, match="gives other outputs"):
        export_network(network, weights, tmp_path / "out")
    assert len(built) > 1
    assert not (tmp_path / "out").exists()


def test_a_program_that_differs_is_not_exported(small, tmp_path, monkeypatch):
    network, weights = small
    export_program = network_export._export_program

    def of_other_weights(module, example):
        other = network.build().eval()
        return export_program(other, example)

    monkeypatch.setattr(network_export, "_export_program", of_other_weights)
    with pytest.raises(ExportError, match=r"program\.pt2 was read back and differs by"):
        export_network(network, weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_that_gives_nan_is_not_exported(small, tmp_path):
    network, weights = small
    state = safetensors.torch.load_file(weights)
    next(tensor for name, tensor in state.items() if name.endswith("weight"))[0] = torch.nan
    safetensors.torch.save_file(state, weights)
    with pytest.raises(ExportError, match="not finite"):
        export_network(network, weights, tmp_path / "out")


def test_weights_of_another_network_are_refused(small, tmp_path):
    _, weights = small
    other = Network.from_json(network_of("resnet-digits"))
    with pytest.raises(UsageError, match="weights of another network"):
        export_network(other, weights, tmp_path / "out")


def test_weights_that_cannot_be_read_are_refused(small, tmp_path):
    network, weights = small
    weights.write_bytes(weights.read_bytes()[:20])
    with pytest.raises(UsageError, match="cannot be read"):
        export_network(network, weights, tmp_path / "out")
    with pytest.raises(UsageError, match="is missing"):
        export_network(network, tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize("shape", [None, "8", [0], [1.5]])
def test_a_network_without_an_input_shape_is_refused(shape):
    with pytest.raises(UsageError, match="input_shape"):
        Network.from_json(network_of("mlp-digits") | {"input_shape": shape})


def test_a_folder_that_cannot_be_written_is_said_so(small, tmp_path):
    network, weights = small
    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(GrowsearchError, match="cannot write"):
        export_network(network, weights, tmp_path / "out")
