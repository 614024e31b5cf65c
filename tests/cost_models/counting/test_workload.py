import dataclasses
import json
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cost_models import (
    CostModelError,
    DenseWeight,
    LayerWork,
    UnstructuredWeight,
    Workload,
    rigl_step_macs,
    trace,
    training_macs,
)


def linear(elements: int, nonzeros: int, positions: int) -> LayerWork:
    return LayerWork(
        name="layer",
        kind="linear",
        dense_macs=positions * elements,
        effective_macs=positions * nonzeros,
        weight_elements=elements,
        weight_nonzeros=nonzeros,
        pattern=DenseWeight()
        if elements == nonzeros
        else UnstructuredWeight(1 - nonzeros / elements),
    )


@st.composite
def workloads(draw):
    sizes = st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**4))
    drawn = draw(st.lists(sizes, max_size=5))
    layers = tuple(linear(n, min(n, alive), positions) for n, alive, positions in drawn)
    total = sum(layer.weight_elements for layer in layers)
    alive = sum(layer.weight_nonzeros for layer in layers)
    return Workload(layers=layers, parameters=total, nonzero_parameters=alive, uncounted={})


@settings(deadline=None)
@given(workloads())
def test_a_workload_survives_json_unchanged(work):
    assert Workload.from_json(work.to_json()) == work


@settings(deadline=None)
@given(workloads())
def test_effective_macs_never_exceed_dense_macs(work):
    assert 0 <= work.effective_macs <= work.dense_macs


@settings(deadline=None)
@given(st.integers(0, 64))
def test_effective_macs_of_a_linear_layer_are_its_nonzeros_times_the_positions(zeros):
    layer = nn.Linear(8, 8, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0).view(-1)[:zeros] = 0.0
    work = trace(layer, (torch.zeros(2, 3, 8),))
    assert work.effective_macs == 3 * (64 - zeros)
    assert work.nonzero_parameters == 64 - zeros


def test_a_traced_convolution_survives_json_with_its_shapes():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    work = trace(network, (torch.zeros(1, 2, 4, 4),))
    again = Workload.from_json(work.to_json())
    assert again == work
    assert again.layers[0].kernel == (3, 3)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "layers": [{}]}']
)
def test_text_that_is_no_workload_is_refused(text):
    with pytest.raises(CostModelError, match="trace"):
        Workload.from_json(text)


def test_an_unknown_pattern_in_json_is_refused_with_the_valid_kinds():
    work = Workload(layers=(linear(4, 4, 1),), parameters=4, nonzero_parameters=4, uncounted={})
    data = json.loads(work.to_json())
    data["layers"][0]["pattern"] = {"kind": "diagonal"}
    with pytest.raises(CostModelError, match="dense, unstructured"):
        Workload.from_json(json.dumps(data))


def test_a_layer_with_more_effective_than_dense_macs_is_refused():
    with pytest.raises(CostModelError, match="effective_macs = 5"):
        LayerWork(name="a", kind="linear", dense_macs=4, effective_macs=5)


def test_more_nonzeros_than_elements_are_refused():
    with pytest.raises(CostModelError, match="weight_nonzeros = 5"):
        dataclasses.replace(linear(4, 4, 1), weight_nonzeros=5)


@pytest.mark.parametrize("sparsity", [0.0, -0.1, 1.1])
def test_an_unstructured_sparsity_outside_its_range_is_refused(sparsity):
    with pytest.raises(CostModelError, match="must lie in"):
        UnstructuredWeight(sparsity)


def test_training_costs_three_forward_passes_and_the_first_layer_two_without_its_gradient():
    work = Workload(
        layers=(linear(10, 5, 1), linear(20, 20, 1)),
        parameters=30,
        nonzero_parameters=25,
        uncounted={},
    )
    assert training_macs(work) == 3 * 25
    assert training_macs(work, effective=False) == 3 * 30
    assert training_macs(work, first_layer_input_gradient=False) == 2 * 5 + 3 * 20


def test_a_rigl_step_pays_for_the_dense_gradient_once_an_update():
    assert rigl_step_macs(10, 100, update_every=99) == Fraction(3 * 10 * 99 + 20 + 100, 100)


def test_rigl_without_steps_between_updates_is_refused():
    with pytest.raises(CostModelError, match="at least 1 step"):
        rigl_step_macs(10, 100, update_every=0)
