"""Descriptions of networks that others wrote: refused before they take memory."""

import json
from typing import Any

import pytest
import torch

from growsearch.errors import UsageError
from growsearch.export import load_network, read_weights
from growsearch.export.sparse_weights import save
from growsearch.kinds.network import Network

SOUND: dict[str, Any] = {
    "format": 1,
    "space": "mlp-digits",
    "choices": {"hidden0": 8, "hidden1": 8},
    "input_shape": [1, 8, 8],
    "num_classes": 10,
    "transform": {"name": "sparse_wide", "sparsity": 0.5, "activation": True},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**SOUND, **changes}


def transformed(**changes: Any) -> dict[str, Any]:
    return changed(transform={**SOUND["transform"], **changes})


def test_a_sound_description_is_built_and_its_size_known_beforehand():
    module = Network.from_json(SOUND).build()
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert Network.from_json(SOUND).shapes() == shapes


@pytest.mark.parametrize(
    "data",
    [
        [],
        5,
        {},
        changed(format=2),
        changed(space=["mlp-digits"]),
        changed(space="unheard"),
        changed(choices=[1]),
        changed(choices={"hidden0": 8}),
        changed(choices={"hidden0": 8, "hidden1": 0}),
        changed(choices={"hidden0": 8, "hidden1": 1.5}),
        changed(choices={"hidden0": 8, "hidden1": 8, "more": 1}),
        changed(input_shape=[1, 2**40, 2**40]),
        changed(input_shape=[1, -8, 8]),
        changed(input_shape=[0]),
        changed(input_shape="188"),
        changed(input_shape=[1.0, 8, 8]),
        changed(input_shape=[1] * 9),
        changed(num_classes=10**12),
        changed(num_classes=0),
        changed(num_classes="10"),
        changed(num_classes=True),
        changed(transform=5),
        transformed(name=["sparse_wide"]),
        transformed(name="unheard"),
        transformed(sparsity=1.0),
        transformed(sparsity=-0.1),
        transformed(sparsity=float("nan")),
        transformed(activation="yes"),
        transformed(multiple=0),
        transformed(multiple=2**40),
        transformed(name="low_rank", ranks={"hidden.0": 10**12}),
        transformed(name="low_rank", ranks=[1]),
    ],
    ids=lambda data: str(data)[:60],
)
def test_a_description_of_no_network_is_refused_in_one_line(data):
    with pytest.raises(UsageError) as caught:
        Network.from_json(data).build()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "architecture.json").write_text(json.dumps(SOUND))
    (tmp_path / "weights.safetensors").write_bytes(
        save(Network.from_json(SOUND).build().state_dict())
    )
    return tmp_path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(choices={"hidden0": 10**9, "hidden1": 10**9}), r"hidden0 = .* at most 4,096"),
        (changed(choices={"hidden0": 4096, "hidden1": 4096}), "the weights of another network: "),
        (changed(num_classes=2**24), "the weights of another network: .*16777216"),
        (transformed(sparsity=0.9999999), "sparsity = .* from 0 to 0.999"),
        (transformed(sparsity=0.999), "the weights of another network: "),
    ],
)
def test_a_description_larger_than_its_weights_takes_no_memory(folder, data, words):
    (folder / "architecture.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match=words):
        load_network(folder)


@pytest.mark.parametrize(
    "content", ["", "[1]", "NaN", "[" * 10_000, '{"format": 1e999}', json.dumps(SOUND)[:-5]]
)
def test_a_spoilt_architecture_is_named_with_the_remedy(folder, content):
    (folder / "architecture.json").write_text(content)
    with pytest.raises(UsageError, match=r"architecture\.json .*; run the trial again"):
        load_network(folder)


@pytest.mark.parametrize("meta", ["[1]", "5", "NaN", '{"a": 1}', '{"a": {"shape": 5}}', "{" * 99])
def test_a_spoilt_note_on_sparse_weights_is_named(folder, meta):
    from safetensors.torch import save_file

    path = folder / "weights.safetensors"
    save_file({"a.values": torch.zeros(2)}, path, metadata={"growsearch.sparse": meta})
    with pytest.raises(UsageError, match=r"weights\.safetensors cannot be read \(.*run the trial"):
        read_weights(path)
