import pytest

from growsearch.errors import UsageError
from growsearch.growth import Budget


def test_a_share_is_taken_of_the_full_configuration_and_rounded_down():
    assert Budget(parameters=0.36).limit(full=1001, least=10) == 360


def test_an_absolute_count_stays_as_it_is():
    assert Budget(macs=700).limit(full=1000, least=10) == 700


def test_a_count_above_the_full_configuration_means_the_full_configuration():
    assert Budget(macs=7000).limit(full=1000, least=10) == 1000


@pytest.mark.parametrize("given", [{}, {"parameters": 0.5, "macs": 0.5}])
def test_exactly_one_bound_must_be_given(given):
    with pytest.raises(UsageError, match="exactly one of parameters and macs"):
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
