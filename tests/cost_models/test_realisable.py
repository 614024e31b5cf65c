import dataclasses

import pytest
import torch
from torch import nn

from cost_models import (
    DEVICES,
    CostModelError,
    Measurement,
    UnknownNameError,
    Workload,
    estimate,
    realisable_macs,
    trace,
)


def two_of_four(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        module.weight.fill_(1.0).view(-1, 4)[:, ::2] = 0.0
    return module


@pytest.fixture
def work() -> Workload:
    """A 2:4 convolution of 64 MACs, a 2:4 linear layer of 256, an unstructured one of 32."""
    last = nn.Linear(2, 16, bias=False)
    with torch.no_grad():
        last.weight.fill_(1.0)[:6] = 0.0
    layers = [two_of_four(nn.Conv2d(4, 4, 1, bias=False)), nn.Flatten()]
    layers += [two_of_four(nn.Linear(16, 16, bias=False)), nn.Unflatten(1, (8, 2)), last]
    return trace(nn.Sequential(*layers), (torch.zeros(1, 4, 2, 2),))


def measured_on(device: str, choices: dict[str, str]) -> Measurement:
    return Measurement(
        device=device,
        threads=1,
        batch_size=1,
        repeats=1,
        samples_s=(1.0,) * 4,
        cpu_samples_s=(1.0,) * 4,
        torch_version="0",
        choices=choices,
    )


def test_the_workload_is_what_the_counts_below_assume(work):
    assert [layer.dense_macs for layer in work.layers] == [64, 256, 256]
    assert [layer.effective_macs for layer in work.layers] == [32, 128, 160]


@pytest.mark.parametrize("device", ["cpu", "cpu-onnxruntime", "cpu-openvino", "cuda", "cuda-fp16"])
def test_dense_runtimes_skip_nothing(device, work):
    assert realisable_macs(work, device) == work.dense_macs == 576


def test_sparse_tensor_cores_halve_two_of_four_linear_layers_only(work):
    assert realisable_macs(work, "cuda-2:4") == 64 + 128 + 256


def test_a_sparser_pattern_is_still_halved_by_sparse_tensor_cores():
    layer = nn.Linear(16, 4, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[:, ::4] = 1.0
    work = trace(layer, (torch.zeros(1, 16),))
    assert work.effective_macs == 16
    assert realisable_macs(work, "cuda-2:4") == 32


def test_cpu_sparse_skips_the_zeros_of_the_layers_that_ran_sparse(work):
    names = [layer.name for layer in work.layers]
    choices = dict(zip(names, ["csr-taps", "dense", "csr"], strict=True))
    assert realisable_macs(work, "cpu-sparse", measured_on("cpu-sparse", choices)) == 32 + 256 + 160


@pytest.mark.parametrize("measurement", [None, measured_on("cpu", {})])
def test_cpu_sparse_needs_a_measurement_of_its_own(work, measurement):
    with pytest.raises(CostModelError, match="device='cpu-sparse'"):
        realisable_macs(work, "cpu-sparse", measurement)


@pytest.mark.parametrize("device", ["wafer-cs2", "wafer-cs3"])
def test_a_wafer_skips_what_its_calibrated_speed_up_says(work, device):
    found = realisable_macs(work, device)
    cost = estimate(work, device, batch_size=1, phase="inference")
    assert found == cost.realisable_macs
    assert work.effective_macs <= found <= work.dense_macs


@pytest.mark.parametrize("device", DEVICES)
def test_no_device_does_more_than_the_dense_work_or_less_than_the_effective(device, work):
    choices = {layer.name: "csr" for layer in work.layers}
    found = realisable_macs(work, device, measured_on(device, choices))
    assert work.effective_macs <= found <= work.dense_macs


def test_a_dense_network_has_its_dense_macs_on_every_device(work):
    dense = tuple(
        dataclasses.replace(
            layer, effective_macs=layer.dense_macs, weight_nonzeros=layer.weight_elements
        )
        for layer in work.layers
    )
    for device in ("cpu", "wafer-cs2"):
        assert realisable_macs(dataclasses.replace(work, layers=dense), device) == 576


def test_an_unknown_device_lists_the_valid_ones(work):
    with pytest.raises(UnknownNameError, match="valid: cpu, "):
        realisable_macs(work, "abacus")
