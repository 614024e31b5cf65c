"""Where a network is, and what is brought to it."""

import torch
from device_checks import updater
from standin import NAME, plugged_in
from torch import nn

from growsearch.metrics import placement
from growsearch.metrics.placement import beside, device_of, doubled, with_doubles


def test_a_network_without_tensors_is_on_the_cpu():
    assert device_of(nn.ReLU()) == torch.device("cpu")


def test_a_buffer_tells_where_a_network_without_parameters_is():
    layer = nn.BatchNorm1d(2, affine=False)
    with plugged_in() as device:
        assert device_of(layer.to(device)) == device
        (moved,) = beside(layer, torch.ones(3, 2))
        assert moved.device == device


def test_what_needs_double_precision_goes_to_the_cpu_where_a_device_has_none(monkeypatch):
    with plugged_in() as device:
        values = torch.ones(2).to(device)
        assert doubled(values).device == device
        monkeypatch.setattr(placement, "SINGLE", frozenset({NAME}))
        assert with_doubles(values).is_cpu
        assert doubled(values).dtype == torch.float64


def test_masks_are_rewired_on_the_cpu_for_a_device_without_double_precision(monkeypatch):
    monkeypatch.setattr(placement, "SINGLE", frozenset({NAME}))
    expected = updater("rigl")("cpu")
    with plugged_in():
        found = updater("rigl")(NAME)
    assert found["macs"] == expected["macs"]
    for name, value in expected.items():
        if name.endswith("_mask"):
            assert torch.equal(found[name], value)
