import pytest
import torch
from torch import nn

from cost_models import CostModelError, MachineLock, Measurement, NoisyMeasurementError
from growsearch.trial import latency_measuring
from growsearch.trial.latency_measuring import latency_of, measure_latencies

NETWORKS = {name: (nn.Linear(4, 2).eval(), (torch.zeros(1, 4),)) for name in ("a", "b")}


def measurement(device: str = "cpu", noise: float = 0.0) -> Measurement:
    """Eight samples of 1 ms, those of the last quarter slower by `noise`."""
    wall = (1e-3,) * 6 + (1e-3 * (1 + noise),) * 2
    return Measurement(
        device=device,
        threads=1,
        batch_size=1,
        repeats=1,
        samples_s=wall,
        cpu_samples_s=(9e-4, 6e-4, 3e-4, 8e-4, 7e-4, 9e-4, 9e-4, 9e-4),
        torch_version="2",
    )


@pytest.fixture
def lock(tmp_path):
    return MachineLock(tmp_path)


@pytest.fixture
def rounds(monkeypatch):
    """Stand in for the clock: each round measures as the test says; returns who took part."""
    taken, waited = [], []
    monkeypatch.setattr(latency_measuring.time, "sleep", waited.append)

    def plan(*outcomes):
        left = list(outcomes)

        def measured(networks, *, device, threads, budget_s, max_noise):
            taken.append((tuple(networks), budget_s))
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return {name: measurement(noise=outcome.get(name, 0.0)) for name in networks}

        monkeypatch.setattr(latency_measuring, "measure_interleaved", measured)
        return taken

    return plan


def test_networks_of_a_device_take_turns(lock, rounds):
    taken = rounds({})
    found = measure_latencies(NETWORKS, "cpu", lock)
    assert taken == [(("a", "b"), 0.3)]
    assert found == {name: latency_of(measurement()) for name in NETWORKS}


def test_only_what_was_disturbed_is_measured_again_and_longer(lock, rounds):
    taken = rounds({"b": 0.5}, {})
    assert measure_latencies(NETWORKS, "cpu", lock)["b"].noise == 0.0
    assert taken == [(("a", "b"), 0.3), (("b",), 0.6)]


def test_a_network_that_stays_disturbed_has_the_figure_instead_of_a_time(lock, rounds):
    rounds(*[{"b": 0.5}] * 4)
    found = measure_latencies(NETWORKS, "cpu", lock)
    assert found["a"].value_s == 1e-3
    assert isinstance(found["b"], NoisyMeasurementError)
    assert "repeats differ by 50.0% of 0.001 s, above 25%" in str(found["b"])


def test_one_that_cannot_be_run_does_not_stop_the_others_and_is_not_tried_again(lock, rounds):
    broken = CostModelError("cannot export")
    taken = rounds(broken, broken, {})
    found = measure_latencies(NETWORKS, "cpu", lock)
    assert found["a"] is broken
    assert found["b"].value_s == 1e-3
    assert [names for names, _ in taken] == [("a", "b"), ("a",), ("b",)]


def test_a_device_that_is_not_here_has_its_reason(lock, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = measure_latencies(NETWORKS, "cuda", lock)
    assert all("no NVIDIA GPU" in str(outcome) for outcome in found.values())


def test_networks_are_really_measured_and_the_machine_is_given_back(lock, monkeypatch):
    monkeypatch.setattr(latency_measuring, "_ROUNDS", ((0.0, 0.02),))
    monkeypatch.setattr(latency_measuring, "MAX_NOISE", float("inf"))
    found = measure_latencies(NETWORKS, "cpu", lock)
    assert all(found[name].low_s <= found[name].value_s for name in NETWORKS)
    with lock.exclusive():
        assert measure_latencies({}, "cpu", lock) == {}


def test_processor_time_is_the_mean_of_the_smallest_samples_as_in_a_profile():
    found = latency_of(measurement())
    assert found.processor_s == pytest.approx((3e-4 + 6e-4 + 7e-4) / 3)
    assert (found.value_s, found.compared_s) == (1e-3, found.processor_s)


def test_processor_time_says_nothing_about_a_gpu():
    found = latency_of(measurement(device="cuda"))
    assert (found.processor_s, found.compared_s) == (None, 1e-3)
