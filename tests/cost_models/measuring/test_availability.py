import pytest

from cost_models import DEVICES, UnknownNameError, available_devices, unavailable


@pytest.mark.parametrize("name", ["cpu", "cpu-sparse", "wafer-cs2", "wafer-cs3"])
def test_devices_without_needs_are_always_available(name):
    assert unavailable(name) is None
    assert available_devices()[name] is DEVICES[name]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_offered_exactly_when_nothing_is_missing(name):
    assert (name in available_devices()) == (unavailable(name) is None)


def test_a_gpu_that_torch_does_not_find_is_missing(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no NVIDIA GPU" in (unavailable("cuda") or "")
    assert "cuda-2:4" not in available_devices()


def test_an_unknown_device_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match="valid: cpu, "):
        unavailable("abacus")
