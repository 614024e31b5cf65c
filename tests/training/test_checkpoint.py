import json
import os

import pytest
import torch

from growsearch.errors import GrowsearchError
from growsearch.training import Checkpoint, read_checkpoint, tensors_under, write_checkpoint

TENSORS = {
    "half": torch.tensor([0.1, 1e-45, float("inf")]),
    "flags": torch.tensor([True, False]),
    "count": torch.tensor(2**62),
    "none": torch.zeros(0, 3),
    "channels last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
}


def test_tensors_and_facts_come_back_to_the_bit_in_the_same_layout(tmp_path):
    path = tmp_path / "run" / "checkpoint.safetensors"
    facts = {"macs": 2**70, "loss": 0.1 + 0.2, "name": "é"}
    write_checkpoint(path, Checkpoint(tensors=TENSORS, facts=facts))
    found = read_checkpoint(path)
    assert found.facts == facts
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in found.tensors.items():
        assert torch.equal(tensor, TENSORS[name])
        assert tensor.stride() == TENSORS[name].stride()
        assert tensor.dtype == TENSORS[name].dtype


def test_two_names_for_one_tensor_are_kept_as_two(tmp_path):
    tied = torch.ones(3)
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, Checkpoint(tensors={"a": tied, "b": tied}, facts={}))
    assert torch.equal(read_checkpoint(path).tensors["b"], tied)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_file_cut_short_is_one_clear_message(tmp_path, kept):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, Checkpoint(tensors=TENSORS, facts={}))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GrowsearchError, match=r"c\.safetensors is damaged .*delete it to start"):
        read_checkpoint(path)


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "c.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(GrowsearchError, match="is damaged"):
        read_checkpoint(path)


def test_another_version_of_the_format_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    monkeypatch.setattr("growsearch.training.checkpoints.checkpoint.FORMAT", 99)
    write_checkpoint(path, Checkpoint(tensors={}, facts={}))
    monkeypatch.undo()
    with pytest.raises(GrowsearchError, match="written by another version"):
        read_checkpoint(path)


def test_tensors_are_found_by_their_prefix():
    one, two = torch.ones(1), torch.ones(2)
    assert tensors_under("a/", {"a/x": one, "b/x": two}) == {"x": one}


@pytest.mark.parametrize(
    "strides", [[10**12, 1], [-4, 1], [4.0, 1], [4], [4, 1, 1], ["4", "1"], [True, 1], "41", 3]
)
def test_a_layout_that_would_spread_a_tensor_over_all_memory_is_refused(strides, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, Checkpoint(tensors={"w": torch.zeros(3, 4).t()}, facts={}))
    content = path.read_bytes()
    assert b'{\\"w\\": [1, 4]}' in content
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    changed = header.replace(
        b'{\\"w\\": [1, 4]}', json.dumps(json.dumps({"w": strides}))[1:-1].encode()
    )
    changed += b" " * (-len(changed) % 8)
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data)
    with pytest.raises(GrowsearchError, match="is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("made", ["pipe", "folder"])
def test_what_is_no_file_is_named_and_nobody_is_waited_for(made, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    os.mkfifo(path) if made == "pipe" else path.mkdir()
    with pytest.raises(GrowsearchError, match=r"is no file but a folder, a pipe or a device"):
        read_checkpoint(path)
