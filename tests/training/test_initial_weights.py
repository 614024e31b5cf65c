"""Weights that a person trained before: read without code, known by content, refused by name."""

import copy
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.training import InitialWeights
from growsearch.training.checkpoints.weights_file import weights_bytes
from growsearch.training.initial_weights import note_file


class Tied(nn.Module):
    """A layer under two names, a norm, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = self.first
        self.norm = nn.BatchNorm1d(3)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(3)
    made = Tied()
    made.norm.running_mean.normal_()
    return made


def _loaded(path: Path) -> nn.Module:
    found = Tied()
    InitialWeights.named(note_file(path)).load_into(found)
    return found


def _same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(
    "form",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        lambda state: {"module." + name: value for name, value in state.items()},
        lambda state: {"_orig_mod.module." + name: value for name, value in state.items()},
        lambda state: {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")},
        lambda state: {n: v for n, v in state.items() if not n.startswith("second")},
    ],
)
def test_a_state_dict_of_torch_is_found_wherever_it_is_usual(
    form: object, net: nn.Module, tmp_path: Path
) -> None:
    torch.save(form(net.state_dict()), tmp_path / "net.pth")  # type: ignore[operator]
    assert _same(_loaded(tmp_path / "net.pth"), net)


def test_a_safetensors_file_gives_tied_weights_back(net: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(weights_bytes(net.state_dict()))
    found = _loaded(tmp_path / "net.safetensors")
    assert _same(found, net)
    assert found.second.weight is found.first.weight


def test_weights_of_half_precision_are_read_as_the_network_s_own(
    net: nn.Module, tmp_path: Path
) -> None:
    torch.save(copy.deepcopy(net).half().state_dict(), tmp_path / "net.pt")
    found = _loaded(tmp_path / "net.pt")
    assert found.first.weight.dtype == torch.float32
    assert torch.allclose(found.first.weight, net.first.weight, atol=1e-3)


def test_a_whole_module_is_code_and_is_not_read(net: nn.Module, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 3), tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"no file of weights alone.*save its state_dict"):
        _loaded(tmp_path / "net.pth")


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"PK\x03\x04" + bytes(40)])
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_damaged_file_is_refused_in_one_line(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=r"init: .*net\.[a-z]+ is ") as told:
        _loaded(tmp_path / name)
    assert "\n" not in str(told.value)


def test_a_file_without_tensors_by_name_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "best": torch.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="has no tensors by name"):
        _loaded(tmp_path / "net.pth")


def test_what_does_not_fit_is_named_once_of_each_sort(net: nn.Module, tmp_path: Path) -> None:
    state = dict(net.state_dict())
    del state["norm.bias"]
    state["first.weight"] = torch.zeros(3, 4)
    state["head.weight"] = torch.zeros(1)
    state["norm.weight"] = torch.full((3,), float("nan"))
    torch.save(state, tmp_path / "net.pth")
    wanted = (
        r"missing norm\.bias; unexpected head\.weight; first\.weight is \(3, 4\) there and "
        r"\(3, 3\) here; not finite: norm\.weight; give those of its full network"
    )
    with pytest.raises(UsageError, match=wanted):
        _loaded(tmp_path / "net.pth")


def test_quantised_weights_are_refused_and_named(net: nn.Module, tmp_path: Path) -> None:
    state = {name: value.to(torch.int8) for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"first\.weight is int8 there and float32 here"):
        _loaded(tmp_path / "net.pth")


def test_the_name_is_the_content_s_and_not_the_place_s(net: nn.Module, tmp_path: Path) -> None:
    for name in ("one", "other"):
        safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "zeros.safetensors")
    one, other, zeros = (
        note_file(tmp_path / f"{name}.safetensors") for name in ("one", "other", "zeros")
    )
    assert one == other != zeros
    assert InitialWeights.named(one) == InitialWeights.named(other) != InitialWeights.named(zeros)
    assert InitialWeights.of(net) != InitialWeights.of(Tied())


def test_a_file_that_has_changed_meanwhile_is_refused(net: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    weights = InitialWeights.named(note_file(path))
    torch.save(Tied().state_dict(), path)
    with pytest.raises(UsageError, match=r"is not what it was .*restore it"):
        weights.load_into(Tied())


def test_weights_that_nobody_has_placed_are_refused() -> None:
    with pytest.raises(UsageError, match="nobody has said where this file lies"):
        InitialWeights.named("weights@000000000000")
