import subprocess
import sys

import pytest
import torch
from torch import nn

import cost_models
from cost_models import (
    COST_MODELS,
    DEVICES,
    CostModelError,
    TransformerShape,
    UnknownNameError,
    estimate,
    measure,
    trace,
    transformer_workload,
)
from cost_models.cost import Cost

SHAPE = TransformerShape(layers=2, width=256, hidden=1024, sequence=128, vocabulary=500)
ANALYTIC = [name for name, device in DEVICES.items() if device.cost_model is not None]
MEASURED = [name for name, device in DEVICES.items() if device.kind == "measured"]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_registered_under_its_own_name_and_described_in_one_line(name):
    device = DEVICES[name]
    assert device.name == name
    assert device.description
    assert "\n" not in device.description


@pytest.mark.parametrize("name", DEVICES)
def test_an_analytic_device_names_a_cost_model_and_a_measured_one_does_not(name):
    device = DEVICES[name]
    assert (device.kind == "analytic") == (device.cost_model in COST_MODELS)


@pytest.mark.parametrize("name", COST_MODELS)
def test_every_cost_model_serves_a_device(name):
    assert name in {device.cost_model for device in DEVICES.values()}


@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize("phase", ["inference", "training"])
def test_an_estimate_is_positive_inside_its_interval_and_says_what_it_is(name, phase):
    cost = estimate(transformer_workload(SHAPE), device=name, batch_size=8, phase=phase)
    assert cost.interval[0] <= cost.latency_s <= cost.interval[1]
    assert cost.latency_s > 0
    assert cost.energy_j is None
    assert cost.memory_bytes > 0
    assert (cost.method, cost.device, cost.phase, cost.batch_size) == ("analytic", name, phase, 8)
    assert "analytic" in cost.note


@pytest.mark.parametrize("name", ANALYTIC)
def test_training_costs_more_than_inference(name):
    work = transformer_workload(SHAPE)
    training, inference = (estimate(work, name, 8, phase) for phase in ("training", "inference"))
    assert training.latency_s > inference.latency_s
    assert training.memory_bytes > inference.memory_bytes
    assert training.dense_macs == 3 * inference.dense_macs


@pytest.mark.parametrize("name", ANALYTIC)
def test_a_larger_batch_never_costs_less_and_never_more_an_example(name):
    work = transformer_workload(SHAPE)
    small, large = (estimate(work, name, n).latency_s for n in (1, 64))
    assert small <= large <= 64 * small * (1 + 1e-9)


@pytest.mark.parametrize("name", ANALYTIC)
def test_zeros_never_cost_time_on_a_batch_that_is_bound_by_compute(name):
    dense, sparse = (
        estimate(transformer_workload(SHAPE, sparsity=s), name, 4096) for s in (0.0, 0.9)
    )
    assert sparse.latency_s < dense.latency_s
    assert sparse.effective_macs <= sparse.realisable_macs <= sparse.dense_macs


@pytest.mark.parametrize("name", ANALYTIC)
def test_a_traced_network_can_be_estimated(name, resnet20):
    work = trace(resnet20(), (torch.zeros(1, 3, 32, 32),))
    assert estimate(work, device=name).latency_s > 0


@pytest.mark.parametrize("name", MEASURED)
def test_estimating_a_measured_device_points_to_measuring(name, mlp):
    with pytest.raises(CostModelError, match="measured, not estimated"):
        estimate(trace(mlp, (torch.zeros(1, 8),)), device=name)


@pytest.mark.parametrize("name", ANALYTIC)
def test_measuring_an_analytic_device_points_to_estimating(name, mlp):
    with pytest.raises(CostModelError, match=r"call cost_models\.estimate"):
        measure(mlp, (torch.zeros(1, 8),), device=name)


@pytest.mark.parametrize(
    "call",
    [
        lambda: estimate(transformer_workload(SHAPE), device="abacus"),
        lambda: measure(nn.ReLU(), (torch.zeros(1, 8),), device="abacus"),
    ],
    ids=["estimate", "measure"],
)
def test_an_unknown_device_lists_the_valid_ones(call):
    valid = ", ".join(sorted(DEVICES))
    with pytest.raises(UnknownNameError, match=f"unknown device 'abacus'; valid: {valid}"):
        call()


def test_an_unknown_phase_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match="valid: inference, training"):
        estimate(transformer_workload(SHAPE), phase="dreaming")


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_a_batch_size_that_is_no_positive_whole_number_is_refused(batch_size):
    with pytest.raises(CostModelError, match="whole number"):
        estimate(transformer_workload(SHAPE), batch_size=batch_size)


def test_a_missing_constant_is_named_with_those_there_are():
    with pytest.raises(CostModelError, match=r"no constant 'colour'.*peak_flops"):
        DEVICES["wafer-cs2"].constant("colour")


def test_a_cost_outside_its_own_interval_is_refused():
    with pytest.raises(CostModelError, match="must hold latency_s"):
        Cost(
            latency_s=3.0,
            interval=(1.0, 2.0),
            method="analytic",
            note="",
            device="x",
            batch_size=1,
            phase="training",
        )


def test_every_public_name_can_be_imported():
    assert all(getattr(cost_models, name) is not None for name in cost_models.__all__)
    assert set(cost_models.__all__) == set(cost_models._HOME)
    assert dir(cost_models) == sorted(cost_models.__all__)


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cost_models.nothing  # noqa: B018


def test_importing_the_package_loads_no_torch_and_no_fvcore():
    check = "import sys, cost_models; sys.exit(any(n in sys.modules for n in ('torch', 'fvcore')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_custom_module_is_traced_and_estimated_end_to_end():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
    cost = estimate(trace(network, (torch.zeros(1, 3, 8, 8),)), phase="inference", batch_size=1)
    assert cost.dense_macs == 36 * 8 * 27 + 2880


@pytest.mark.parametrize("name", [name for name in DEVICES if name.startswith("cuda")])
def test_a_gpu_is_said_not_to_have_been_measured(name):
    assert "not measured by this project yet" in DEVICES[name].description
