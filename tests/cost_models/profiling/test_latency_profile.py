import dataclasses

import pytest
import torch
from torch import nn

from cost_models import (
    LatencyProfile,
    ProfileError,
    UnsupportedLayerError,
    estimate,
    trace,
    transformer_workload,
)
from cost_models.counting.transformer import TransformerShape
from cost_models.profiling.features import bytes_moved, padded_macs


def truth_s(operators) -> float:
    """The formula behind the fixture's timings; see conftest.py."""
    total = 0.0
    for each in operators:
        seconds = 1e-6 + padded_macs(each) / 20e9 + bytes_moved(each) / 5e9
        total += (1.25 if each.macs else 0.5) * seconds + 2e-6
    return total


def cost(profile, network, example, **options):
    options = {"batch_size": 1, "phase": "inference"} | options
    return estimate(trace(network, example), device=profile, **options)


@pytest.mark.parametrize("widths", [[12, 20], [33, 7, 25], [16, 17], [40, 40, 40]])
def test_a_network_that_was_never_timed_is_predicted(profile, make_network, example, widths):
    found = cost(profile, make_network(widths), example)
    truth = truth_s(trace(make_network(widths), example).operators)
    assert found.latency_s == pytest.approx(truth, rel=0.05)
    assert found.interval[0] <= found.latency_s <= found.interval[1]


def test_an_estimate_says_how_it_was_made_and_how_far_it_can_be_trusted(
    profile, make_network, example
):
    found = cost(profile, make_network([12, 20]), example)
    assert (found.method, found.device, found.batch_size, found.phase) == (
        "fitted",
        "cpu",
        1,
        "inference",
    )
    for part in ("operators and 8 networks", "Abacus 9", "2026-01-02", "10 unseen networks"):
        assert part in found.note
    assert "outside" not in found.note
    assert "busy" not in found.note


def test_the_breakdown_adds_up_to_the_latency(profile, make_network, example):
    found = cost(profile, make_network([12, 20]), example)
    assert sum(found.breakdown_s.values()) == pytest.approx(found.latency_s)
    assert {"_convolution", "batch_norm", "overhead"} <= found.breakdown_s.keys()
    # Every layer is one operator; the rest lies between them.
    work = trace(make_network([12, 20]), example)
    assert len(found.layers_s) == len(work.layers)
    assert 0 < sum(found.layers_s) < found.latency_s


def test_zeros_are_computed_like_other_numbers(profile, make_network, example):
    dense, sparse = make_network([12, 20]), make_network([12, 20])
    with torch.no_grad():
        sparse[3].weight.zero_()
    first, second = (cost(profile, network, example) for network in (dense, sparse))
    assert second.latency_s == first.latency_s
    assert second.effective_macs < second.dense_macs == second.realisable_macs


def test_the_profile_is_checked_on_networks_it_was_not_fitted_on(profile):
    found = profile.validation
    assert (found.profile.networks, len(profile.checks)) == (10, 10)
    assert found.profile.mape < 0.04
    assert found.profile.within_10 == 1.0
    assert found.profile.kendall_tau > 0.9
    assert found.profile.mape < found.macs_only.mape
    assert found.repeat_noise == pytest.approx(0.01)
    assert all(check.network.role == "validation" for check in profile.checks)


def test_the_interval_holds_the_errors_that_the_validation_found(profile, make_network, example):
    found = cost(profile, make_network([12, 20]), example)
    errors = profile.validation.profile
    assert found.interval[0] == pytest.approx(found.latency_s * min(1, errors.low_ratio))
    assert found.interval[1] == pytest.approx(found.latency_s * max(1, errors.high_ratio))


def width(found) -> float:
    return (found.interval[1] - found.interval[0]) / found.latency_s


def test_a_network_outside_the_profile_has_a_wider_interval_and_is_said_to_be_outside(
    profile, make_network, example
):
    inside = cost(profile, make_network([12, 20]), example)
    outside = cost(profile, make_network([300, 300]), example)
    assert width(outside) > 2 * width(inside)
    assert "of sizes outside the profile" in outside.note
    assert "slower than any network measured" in outside.note


class _Predicting:
    """Stands in for the fitted model: every network takes so long."""

    def __init__(self, found):
        self._found = found

    def predict(self, _operators):
        return self._found


@pytest.mark.parametrize(
    ("times", "stretch"), [(1, 1), (2, 2), (4, 3), (8, 4), (2**0.5, 1.5), (0.5, 2), (0.25, 3)]
)
def test_outside_the_measured_range_the_interval_widens_by_a_width_a_factor_of_two(
    times, stretch, profile, make_network, example, monkeypatch
):
    errors = profile.validation.profile
    measured = [network.low_s for network in profile.record.networks]
    seconds = times * (max(measured) if times >= 1 else min(measured))
    network = make_network([12, 20])
    inside = profile.model.predict(trace(network, example).operators)
    for doubt in (0.0, 0.25):
        found = dataclasses.replace(inside, seconds=seconds, doubt=doubt)
        monkeypatch.setattr(profile, "model", _Predicting(found))
        low, high = cost(profile, network, example).interval
        assert high / seconds - 1 == pytest.approx((errors.high_ratio - 1) * stretch + doubt)
        assert 1 - low / seconds == pytest.approx((1 - errors.low_ratio) * stretch + doubt)


def test_an_interval_never_reaches_below_nothing(profile, make_network, example, monkeypatch):
    assert profile.validation.profile.low_ratio < 1
    found = profile.model.predict(trace(make_network([12, 20]), example).operators)
    doubtful = dataclasses.replace(found, doubt=3.0)
    monkeypatch.setattr(profile, "model", _Predicting(doubtful))
    low, high = cost(profile, make_network([12, 20]), example).interval
    assert low == 0
    assert high > 4 * found.seconds


def test_a_network_faster_than_any_measured_is_said_to_be(profile, example):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    found = cost(profile, head, example)
    assert "faster than any network measured" in found.note
    assert found.interval[0] >= 0


def test_an_operator_that_the_profile_never_met_is_refused_by_name(profile, example):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh())
    with pytest.raises(UnsupportedLayerError, match=r"aten::tanh.*profile a space that has it"):
        cost(profile, network, example)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": "training"}, "phase = 'training': .*inference only"),
        ({"batch_size": 4}, "batch_size = 4: .*a batch of 1; profile again with --batch 4"),
    ],
)
def test_what_was_not_profiled_is_refused_with_the_remedy(
    profile, make_network, example, options, message
):
    with pytest.raises(ProfileError, match=message):
        cost(profile, make_network([12, 20]), example, **options)


def test_a_workload_traced_with_another_batch_is_refused(profile, make_network):
    with pytest.raises(ProfileError, match="was not traced with a batch of 1"):
        cost(profile, make_network([12, 20]), (torch.zeros(2, 3, 6, 6),))


def test_a_workload_that_was_not_traced_is_refused(profile):
    work = transformer_workload(
        TransformerShape(layers=1, width=8, hidden=8, sequence=4, vocabulary=5)
    )
    with pytest.raises(ProfileError, match=r"call cost_models\.trace"):
        estimate(work, device=profile, batch_size=1, phase="inference")


def test_a_profile_of_a_busy_machine_says_so(record, make_network, example):
    noisy = tuple(
        dataclasses.replace(network, halves_s=(network.low_s, network.low_s * 1.2))
        for network in record.networks
    )
    profile = LatencyProfile(dataclasses.replace(record, networks=noisy))
    assert "the machine was busy" in cost(profile, make_network([12, 20]), example).note


def test_a_profile_without_operators_needs_more_networks_and_predicts_from_their_counts(
    record, make_network, example
):
    whole = dataclasses.replace(record, operators=())
    with pytest.raises(ProfileError, match=r"8 calibration networks: .* at least 10"):
        LatencyProfile(whole)
    more = tuple(
        dataclasses.replace(network, role="calibration" if index < 12 else "validation")
        for index, network in enumerate(record.networks)
    )
    profile = LatencyProfile(dataclasses.replace(whole, networks=more))
    found = cost(profile, make_network([12, 20]), example)
    truth = truth_s(trace(make_network([12, 20]), example).operators)
    assert found.latency_s == pytest.approx(truth, rel=0.1)
    assert sum(found.breakdown_s.values()) == pytest.approx(found.latency_s)
    with pytest.raises(UnsupportedLayerError, match=r"aten::tanh: no network that was timed"):
        cost(profile, nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh()), example)


@pytest.mark.parametrize(
    ("role", "option"), [("calibration", "networks"), ("validation", "validate")]
)
def test_too_few_networks_are_refused_with_the_option(record, role, option):
    kept = [network for network in record.networks if network.role != role]
    kept += record.with_role(role)[:2]
    with pytest.raises(ProfileError, match=f"2 {role} networks.*--{option}"):
        LatencyProfile(dataclasses.replace(record, networks=tuple(kept)))


def test_the_device_of_a_profile_says_which_machine_it_was(profile):
    assert (profile.device.name, profile.device.kind) == ("cpu", "fitted")
    assert profile.device.description == "Abacus 9, profiled 2026-01-02"
