"""A real processor's timings, kept beside the benchmark and fitted again from the file."""

from pathlib import Path

import pytest
import torch

from cost_models import estimate, load_profile, trace
from search_spaces import search_space

PROFILE = Path(__file__).parents[2] / "benchmarks" / "results" / "cpu_resnet20_profile.json"


@pytest.fixture(scope="module")
def profile():
    return load_profile(PROFILE)


def test_unseen_networks_are_predicted_within_the_promised_error(profile):
    record, found = profile.record, profile.validation
    assert len(record.operators) <= 700
    assert len(record.with_role("calibration")) <= 10
    assert record.conditions.minutes < 15
    assert found.profile.networks >= 30
    assert found.profile.mape <= 0.045
    assert found.profile.within_10 >= 0.90
    assert found.profile.mape < found.macs_only.mape
    assert found.profile.kendall_tau > found.macs_only.kendall_tau


def test_a_network_of_the_space_is_estimated_without_the_machine_that_was_profiled(profile):
    space = search_space("resnet20")
    network = space.build(space.sample(torch.Generator().manual_seed(5)))
    work = trace(network.eval(), space.example_inputs())
    cost = estimate(work, profile, batch_size=1, phase="inference")
    low, high = cost.interval
    assert 1e-3 < low < cost.latency_s < high < 1e-2
    assert cost.device == "cpu"
    assert (high - low) / cost.latency_s < 0.15


def test_a_network_of_another_size_is_said_to_be_outside_and_has_a_wider_interval(profile):
    def width(image: int) -> tuple[float, str]:
        space = search_space("resnet20")
        network = space.build(space.largest()).eval()
        work = trace(network, (torch.zeros(1, 3, image, image),))
        cost = estimate(work, profile, batch_size=1, phase="inference")
        return (cost.interval[1] - cost.interval[0]) / cost.latency_s, cost.note

    (inside, _), (outside, note) = width(32), width(96)
    assert outside > 2 * inside
    assert "sizes outside the profile: the interval is wider" in note
    assert "slower than any network measured" in note
