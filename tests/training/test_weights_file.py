import pytest
import safetensors.torch
import torch
from torch import nn

from growsearch.errors import UsageError
from growsearch.export import read_weights
from growsearch.training.checkpoints.weights_file import shared_names, stored_once, weights_bytes


def network() -> nn.Sequential:
    """A weight of two layers, a layer under two names, and buffers that share their memory."""
    first, second, twice = nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
    second.weight = first.weight
    module = nn.Sequential(first, second, twice, nn.Sequential(twice))
    whole = torch.arange(6.0)
    module.register_buffer("whole", whole)
    module.register_buffer("part", whole[2:])
    module.register_buffer("turned", whole.view(2, 3).t())
    module.register_buffer("shaped", whole.view(3, 2))
    module.register_buffer("nothing", torch.zeros(0))
    module.register_buffer("none", torch.zeros(0))
    return module


def test_every_name_comes_back_and_what_is_shared_is_written_once(tmp_path):
    module = network()
    state, path = module.state_dict(), tmp_path / "weights.safetensors"
    assert shared_names(state) == {
        "1.weight": "0.weight",
        **{f"3.0.{name}": f"2.{name}" for name in module[2].state_dict()},
    }
    path.write_bytes(weights_bytes(state))
    found = read_weights(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    stored = safetensors.torch.load_file(path)
    assert "1.weight" not in stored
    assert "3.0.weight" not in stored


def test_safetensors_own_reader_takes_the_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    first, second = network()[:2], network()[:2]
    path.write_bytes(weights_bytes(first.state_dict()))
    safetensors.torch.load_model(second, path)
    assert torch.equal(second[1].weight, first[0].weight)
    assert second[0].weight is second[1].weight


def test_a_header_that_renames_what_is_there_changes_nothing(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.zeros(2), "b": torch.ones(2)}
    header = {"a": "b", "c": "missing", "growsearch.sparse": "{}", "format": "pt"}
    path.write_bytes(safetensors.torch.save(tensors, metadata=header))
    found = read_weights(path)
    assert found.keys() == {"a", "b"}
    assert found["a"].tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_an_entry_that_is_no_plain_tensor_is_refused_by_name():
    class WithState(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"steps": 3}

    with pytest.raises(UsageError, match=r"^0\._extra_state is a dict"):
        stored_once(nn.Sequential(WithState(2, 2)).state_dict())
    with pytest.raises(UsageError, match=r"^a is of layout torch\.sparse_csr"):
        weights_bytes({"a": torch.eye(2).to_sparse_csr()})
