import pytest

from growsearch.errors import UsageError
from growsearch.growth import Budget


def test_a_share_is_taken_of_the_full_configuration_and_rounded_down():
    assert Budget(parameters=0.36).limit(full=1001, least=10) == 360


def test_an_absolute_count_stays_as_it_is():
    assert Budget(macs=700).limit(full=1000, least=10) == 700


def test_a_count_above_the_full_configuration_means_the_full_configuration():
    assert Budget(macs=7000).limit(full=1000, least=10) == 1000


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"parameters": 0.5, "macs": 0.5},
        {"macs": 0.5, "latency": 0.5, "device": "cpu"},
        {"latency": 0.5, "latency_s": 0.5, "device": "cpu"},
    ],
)
def test_exactly_one_bound_must_be_given(given):
    with pytest.raises(UsageError, match="exactly one of parameters, macs, latency and latency_s"):
        Budget(**given)


@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, 0, -3, True, "10%"])
def test_a_value_out_of_range_is_refused_by_name(value):
    with pytest.raises(UsageError, match=r"budget\.parameters"):
        Budget(parameters=value)


def test_a_budget_below_one_channel_a_group_says_what_is_least_and_what_to_give():
    with pytest.raises(UsageError) as error:
        Budget(parameters=0.01).limit(full=10_000, least=123)
    message = str(error.value)
    assert "budget.parameters: 0.01 of 10,000 = 100" in message
    assert "123 with one channel a group" in message
    assert "give at least 123 or 0.013" in message
    assert Budget(parameters=0.013).limit(full=10_000, least=123) >= 123


def test_a_latency_is_a_share_of_the_full_time_or_seconds():
    share = Budget(latency=0.4, device="wafer-cs2")
    assert share.limit(full=0.010, least=0.001) == 0.4 * 0.010
    seconds = Budget(latency_s=0.002, device="cpu")
    assert seconds.limit(full=0.010, least=0.001) == 0.002
    assert seconds.limit(full=0.0015, least=0.001) == 0.0015
    # A whole number of seconds is no share of 1.
    assert Budget(latency_s=1, device="cpu").limit(full=3.0, least=0.1) == 1


@pytest.mark.parametrize(
    ("budget", "metric", "unit"),
    [
        (Budget(parameters=0.5), "parameters", "parameters"),
        (Budget(macs=100), "macs", "MACs"),
        (Budget(latency=0.5, device="cpu"), "latency", "s"),
        (Budget(latency_s=0.5, device="cpu"), "latency", "s"),
    ],
)
def test_a_budget_says_what_it_bounds_and_in_which_unit(budget, metric, unit):
    assert (budget.metric, budget.unit) == (metric, unit)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"latency": 0.5}, r"budget\.device: None is no device; valid: cpu, .*wafer-cs2"),
        ({"latency": 0.5, "device": "abacus"}, r"device: 'abacus' .*valid: cpu"),
        ({"latency": 1.5, "device": "cpu"}, r"budget\.latency: the share 1\.5 .*latency_s"),
        ({"latency": 1, "device": "cpu"}, r"budget\.latency: 1 is no share; write 1\.0"),
        ({"latency_s": 0.0, "device": "cpu"}, r"budget\.latency_s: 0\.0 is not above 0"),
        ({"latency_s": float("inf"), "device": "cpu"}, r"budget\.latency_s: inf"),
        ({"latency": 0.5, "device": "cpu", "batch_size": 0}, r"budget\.batch_size: 0"),
        ({"parameters": 0.5, "device": "cpu"}, "device and batch_size go with a latency"),
        ({"parameters": 0.5, "batch_size": 2}, "device and batch_size go with a latency"),
    ],
)
def test_a_latency_budget_out_of_range_is_refused_by_name(given, message):
    with pytest.raises(UsageError, match=message):
        Budget(**given)


def test_a_time_below_the_least_networks_says_in_its_unit_what_to_give():
    with pytest.raises(UsageError) as error:
        Budget(latency_s=0.001, device="cpu").limit(full=0.010, least=0.0021)
    message = str(error.value)
    assert "budget.latency_s: 0.001 is below" in message
    assert "2.10 ms with one channel a group" in message
    assert "give at least 2.11 ms or 0.211" in message
