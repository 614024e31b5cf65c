"""What a file may say of a network's size: bounds come before memory is taken."""

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from growsearch.errors import UsageError
from growsearch.export import load_network
from growsearch.kinds import network_bounds
from growsearch.kinds.network import Network
from growsearch.kinds.network_bounds import memory_bytes, shapes_of
from growsearch.search.study.study import Study
from growsearch.transforms import TRANSFORMS
from search_spaces import SEARCH_SPACES, Architecture

FULL = {
    "format": 1,
    "space": "mlp-digits",
    "choices": {"hidden0": 256, "hidden1": 256},
    "input_shape": [1, 8, 8],
    "num_classes": 10,
    "transform": None,
}
WIDE = {"name": "sparse_wide", "sparsity": 0.75, "activation": True}


@contextmanager
def _little_memory():
    """No more than a GiB beyond what this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"choices": {"hidden0": 10**9, "hidden1": 1}},
            r"hidden0 = 1000000000: must be at most 4,096",
        ),
        ({"choices": {"hidden0": 10**30, "hidden1": 1}}, r"hidden0 = 10+: must be at most"),
        ({"choices": {"hidden0": -1, "hidden1": 1}}, r"hidden0 = -1 is no integer above 0"),
        ({"choices": {"hidden0": 0, "hidden1": 1}}, r"hidden0 = 0 is no integer above 0"),
        ({"choices": {"hidden0": 1.5, "hidden1": 1}}, r"hidden0 = 1.5 is no integer"),
        ({"choices": {"hidden0": True, "hidden1": 1}}, r"hidden0 = True is no integer"),
        ({"input_shape": [1, 30_000, 30_000]}, r"input_shape = .*at most 268,435,456 values"),
        ({"input_shape": [1, 10**12, 8]}, r"input_shape = 1000000000000: must be whole numbers"),
        ({"input_shape": [1, -8, -8]}, r"input_shape = -8: must be whole numbers"),
        ({"input_shape": [1, 0, 8]}, r"input_shape = 0: must be"),
        ({"input_shape": [1, 8.0, 8]}, r"input_shape = 8.0: must be"),
        ({"input_shape": []}, r"a list of 1 to 4 sizes"),
        ({"input_shape": [1] * 5}, r"a list of 1 to 4 sizes"),
        ({"input_shape": "188"}, r"a list of 1 to 4 sizes"),
        ({"input_shape": 8}, r"a list of 1 to 4 sizes"),
        ({"num_classes": 10**12}, r"num_classes = 1000000000000: must be whole numbers"),
        ({"num_classes": -1}, r"num_classes = -1"),
        ({"num_classes": True}, r"num_classes = True"),
        ({"num_classes": "10"}, r"num_classes = '10'"),
        ({"transform": WIDE | {"sparsity": 0.99999999}}, r"sparsity = .*from 0 to 0.999"),
        ({"transform": WIDE | {"sparsity": -0.5}}, r"sparsity = -0.5"),
        ({"transform": WIDE | {"sparsity": float("nan")}}, r"sparsity = nan"),
        ({"transform": WIDE | {"multiple": 10**9}}, r"multiple = 1000000000"),
        ({"transform": WIDE | {"multiple": 0}}, r"multiple = 0"),
        ({"transform": WIDE | {"name": "low_rank", "ranks": {"a": 10**9}}}, r"ranks = 1000000000"),
        ({"transform": WIDE | {"name": "low_rank", "ranks": [3]}}, r"ranks = \[3\]"),
        ({"transform": WIDE | {"name": "sparse_parallel", "whole": "all"}}, r"whole = 'all'"),
        ({"transform": WIDE | {"name": "sparse_parallel", "whole": [3]}}, r"whole = \[3\]"),
        # Each is legal, together they are not.
        ({"input_shape": [1, 16_000, 16_000]}, r"its weights would take .* GiB, more than the"),
        ({"num_classes": 2**24, "choices": {"hidden0": 256, "hidden1": 4096}}, r"would take"),
    ],
)
def test_a_size_that_no_network_of_the_space_has_is_refused_and_not_allocated(change, words):
    with _little_memory(), pytest.raises(UsageError, match=words):
        Network.from_json(FULL | change).build()


@pytest.mark.parametrize("transform", ["sparse_wide", ["none", "sparse_parallel"]])
def test_a_study_of_networks_that_no_file_may_hold_is_refused_before_it_trains(transform, tmp_path):
    sparse = {"space": "mlp-digits", "transform": transform, "sparsity": [0.5, 0.9995], "epochs": 1}
    settings = {
        "name": "too-sparse",
        "dataset": "digits",
        "trials": {"sparse": sparse},
        "objectives": {"accuracy": "maximize", "macs": "minimize"},
        "search": {"trials": 1, "backend": "serial"},
    }
    study = Study(settings, tmp_path / "run")
    with pytest.raises(UsageError, match=r"trials\.sparse\.sparsity: 0\.9995 .*at most 0\.999"):
        study.run()


def test_nothing_but_a_message_comes_of_a_size_that_is_no_tensor():
    with pytest.raises(UsageError, match="network: it cannot be built"):
        shapes_of(lambda: torch.nn.Linear(2**40, 2**40))


@pytest.mark.parametrize("name", SEARCH_SPACES)
def test_the_shapes_of_every_space_are_known_before_it_is_built(name):
    space = SEARCH_SPACES[name]
    small = {c.name: c.low if c.options is None else c.options[0] for c in space.choices}
    active = {c.name: small[c.name] for c in space.choices if c.applies(small)}
    network = Network(
        architecture=Architecture.of(name, active),
        input_shape=space.input_shape,
        num_classes=space.num_classes,
    )
    before = torch.get_rng_state()
    shapes = network.shapes()
    assert torch.equal(torch.get_rng_state(), before)
    built = {key: tuple(value.shape) for key, value in network.build().state_dict().items()}
    assert shapes == built


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_shapes_of_every_transform_are_known_before_it_is_applied(name):
    network = Network.from_json(
        FULL
        | {
            "space": "resnet-digits",
            "choices": dict(SEARCH_SPACES["resnet-digits"].largest().choices),
            "transform": WIDE | {"name": name},
        }
    )
    built = {key: tuple(value.shape) for key, value in network.build().state_dict().items()}
    assert network.shapes() == built


def test_weights_of_another_size_are_told_before_the_network_is_built(tmp_path, monkeypatch):
    network = Network.from_json(FULL)
    save_file(network.build().state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "architecture.json").write_text(json.dumps(FULL))
    load_network(tmp_path)
    wide = FULL | {"choices": {"hidden0": 4096, "hidden1": 4096}, "num_classes": 2**16}
    (tmp_path / "architecture.json").write_text(json.dumps(wide))
    with _little_memory(), pytest.raises(UsageError, match="holds the weights of another network"):
        load_network(tmp_path)


def test_a_network_larger_than_the_machine_is_refused_with_both_sizes(monkeypatch):
    assert memory_bytes() > 2**28
    monkeypatch.setattr(network_bounds, "memory_bytes", lambda: 2**18)
    with pytest.raises(UsageError, match=r"would take 0\.0 GiB, more than the 0\.0 GiB of this"):
        Network.from_json(FULL).build()
