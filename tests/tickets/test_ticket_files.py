import dataclasses

import pytest
import torch

from growsearch.errors import GrowsearchError, UsageError
from growsearch.growth import build_full
from growsearch.tickets import (
    DrawSettings,
    draw,
    pretrain,
    read_pretrained,
    read_ticket,
    write_pretrained,
    write_ticket,
)
from growsearch.training import Checkpoint, Recipe, write_checkpoint
from search_spaces import search_space


@pytest.fixture
def ticket(pretrained):
    return draw(pretrained, DrawSettings(scheme="omp", sparsity=0.75)).ticket


def test_a_ticket_comes_back_from_its_file(ticket, tmp_path) -> None:
    write_ticket(tmp_path / "ticket.safetensors", ticket)
    found = read_ticket(tmp_path / "ticket.safetensors")
    assert dataclasses.replace(found, masks={}) == dataclasses.replace(ticket, masks={})
    assert found.source["dataset"] == "digits"
    assert found.zeros == ticket.zeros
    assert all(torch.equal(found.masks[name], mask) for name, mask in ticket.masks.items())


def test_a_ticket_lies_on_its_own_weights_only(ticket, pretrained) -> None:
    other = build_full(pretrained.space, 1)
    with pytest.raises(UsageError, match="load the pretrained weights that belong to it"):
        ticket.apply(other)
    other.load_state_dict(pretrained.model.state_dict())
    masks = ticket.apply(other)
    masks.check()
    assert masks.zeros == ticket.zeros


def test_a_ticket_of_another_network_is_refused(ticket) -> None:
    with pytest.raises(UsageError, match=r"stem\.conv\.weight of shape"):
        ticket.apply(build_full(search_space("resnet-digits"), 0))


def test_damaged_and_foreign_files_are_refused(ticket, tmp_path) -> None:
    path = tmp_path / "ticket.safetensors"
    with pytest.raises(UsageError, match="is no file"):
        read_ticket(path)
    write_ticket(path, ticket)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(GrowsearchError, match="draw it again"):
        read_ticket(path)
    write_checkpoint(path, Checkpoint(tensors={}, facts={"kind": "pretrained"}))
    with pytest.raises(UsageError, match="holds no ticket"):
        read_ticket(path)
    name, mask = next(iter(ticket.masks.items()))
    write_ticket(path, dataclasses.replace(ticket, masks={**ticket.masks, name: mask.float()}))
    with pytest.raises(GrowsearchError, match="not bool"):
        read_ticket(path)


def test_a_pretrained_network_comes_back_from_its_file(source, tmp_path) -> None:
    path = tmp_path / "theta.safetensors"
    made = pretrain(search_space("mlp-digits"), source, Recipe(epochs=1, batch_size=40), seed=0)
    write_pretrained(path, made)
    found = read_pretrained(path)
    assert found.source == made.source
    assert found.training_macs == made.training_macs
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, found.model.state_dict()[name])
