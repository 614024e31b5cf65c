"""An exported network is read back and computes the same, or there is no export."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import growsearch.export.network_export as network_export
from growsearch.errors import GrowsearchError, UsageError
from growsearch.export import ExportError, export_network, load_network, proving, read_weights
from growsearch.kinds import Network
from growsearch.kinds.checking.program import program_bytes
from growsearch.training.checkpoints.weights_file import weights_bytes
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
        "preprocessing.json",
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
    load, loaded = proving.load_network, []

    def changing(folder: Path) -> nn.Module:
        # The network read back has another activation: the same weights, other outputs.
        module = load(folder)
        for name, part in list(module.named_modules()):
            if isinstance(part, nn.ReLU):
                module.set_submodule(name, nn.Tanh())
                loaded.append(name)
        return module

    monkeypatch.setattr(proving, "load_network", changing)
    with pytest.raises(ExportError, match="gives other outputs"):
        export_network(network, weights, tmp_path / "out")
    assert loaded
    assert not (tmp_path / "out").exists()


def building(monkeypatch, make):
    """A network for images (1, 8, 8) that builds what ``make`` returns."""
    monkeypatch.setattr(Network, "build", lambda self: make())
    return Network.from_json(network_of("mlp-digits"))


def test_a_program_that_differs_is_not_written_but_the_weights_are(small, tmp_path, monkeypatch):
    network, weights = small
    first = export_network(network, weights, tmp_path / "out")
    assert first.program.exists()

    def of_other_weights(module, example):
        return program_bytes(network.build().eval(), example)

    monkeypatch.setattr(network_export, "program_bytes", of_other_weights)
    result = export_network(network, weights, tmp_path / "out")
    assert (result.program, result.max_difference) == (None, None)
    assert "it was read back and differs by" in result.left_out["program.pt2"]
    # That of the first export is gone, too.
    assert {path.name for path in result.files} == {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert not (tmp_path / "out" / "program.pt2").exists()


class Branching(nn.Module):
    """Its path depends on its input, which no exporter follows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        out = self.layer(x.flatten(1)[:, :3])
        if out.mean() > 100:
            out = out / 100
        return out


class OneBatch(nn.Linear):
    """It knows one size of batch only when it is traced: the traced one."""

    def forward(self, x):
        x = x.flatten(1)[:, :3]
        return super().forward(x.reshape(3, 3)) if len(x) == 3 else super().forward(x)


def test_a_network_that_torch_cannot_export_leaves_with_its_weights(tmp_path, capfd, monkeypatch):
    module = Branching()
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(module.state_dict(), weights)
    result = export_network(building(monkeypatch, Branching), weights, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "architecture.json",
        "weights.safetensors",
        "preprocessing.json",
        "load.py",
    }
    state = read_weights(result.weights)
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    (reason,) = result.left_out.values()
    assert reason.startswith("torch.export cannot follow the network (")
    assert re.search(r"at test_network_export\.py:\d+ in forward", reason)
    assert "\n" not in reason
    # Of what torch says on the way, nothing is left.
    assert capfd.readouterr() == ("", "")


def test_a_program_of_one_batch_size_is_no_program(tmp_path, monkeypatch):
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(OneBatch(3, 2).state_dict(), weights)
    network = building(monkeypatch, lambda: OneBatch(3, 2))
    result = export_network(network, weights, tmp_path / "out")
    assert result.program is None
    assert result.weights.exists()


class Noisy(nn.Linear):
    def forward(self, x):
        x = x.flatten(1)[:, :3]
        return super().forward(x + torch.rand_like(x))


def test_a_network_that_draws_random_numbers_is_proven_with_the_same_ones(tmp_path, monkeypatch):
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(Noisy(3, 2).state_dict(), weights)
    before = torch.get_rng_state()
    network = building(monkeypatch, lambda: quiet_build(Noisy))
    result = export_network(network, weights, tmp_path / "out")
    assert result.max_difference < 1e-5
    assert torch.equal(torch.get_rng_state(), before)


def quiet_build(kind):
    with torch.random.fork_rng(devices=[]):
        return kind(3, 2)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.relu(self.first(x.flatten(1)[:, :8])))


def test_tied_weights_are_exported_once_and_tied_again(tmp_path, monkeypatch):
    module = Tied()
    with torch.no_grad():
        module.first.weight[:6] = 0
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights_bytes(module.state_dict()))
    result = export_network(building(monkeypatch, Tied), weights, tmp_path / "out")
    assert result.plain_bytes == 4 * (64 + 8 + 8)
    with safetensors.safe_open(result.weights, framework="pt") as file:
        assert not any(name.startswith("second.weight") for name in file.keys())  # noqa: SIM118
    again = load_network(tmp_path / "out")
    assert again.first.weight is again.second.weight
    assert torch.equal(again.second.weight, module.second.weight)


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
