import pytest

from growsearch.commands.budget_text import parse_budget
from growsearch.errors import UsageError
from growsearch.growth import Budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("parameters=36%", Budget(parameters=0.36)),
        (" parameters = 36 % ", Budget(parameters=0.36)),
        ("parameters=100%", Budget(parameters=1.0)),
        ("parameters=97000", Budget(parameters=97000)),
        ("macs=50%", Budget(macs=0.5)),
        ("macs=20M", Budget(macs=20_000_000)),
        ("macs=1.5k", Budget(macs=1500)),
        ("latency[cpu]=2 ms", Budget(latency_s=0.002, device="cpu")),
        ("latency[cpu] = 500us", Budget(latency_s=0.0005, device="cpu")),
        ("latency[wafer-cs2]=40%", Budget(latency=0.4, device="wafer-cs2")),
        ("latency[cuda-2:4]=1s", Budget(latency_s=1.0, device="cuda-2:4")),
    ],
)
def test_a_budget_is_read_as_a_share_or_a_count(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("36%", ["'36%'", "NAME=VALUE", "parameters=36%"]),
        ("speed=3", ["'speed'", "valid: parameters"]),
        ("parameters[cpu]=3", ["'parameters[cpu]'", "valid"]),
        ("parameters=0.36", ["parameters", "'0.36'", "whole number", "36%"]),
        ("parameters=0%", ["parameters", "above 0%"]),
        ("parameters=136%", ["parameters", "136%", "share between 0 and 1"]),
        ("macs=-5", ["macs", "-5"]),
        ("macs=20 MB", ["macs", "20 MB", "valid units"]),
        ("macs=many", ["macs", "many", "valid units"]),
        ("latency=2 ms", ["'latency'", "latency[DEVICE]"]),
        ("latency[]=2 ms", ["'latency[]'", "latency[DEVICE]"]),
        ("latency[abacus]=2 ms", ["'abacus'", "valid: cpu"]),
        ("latency[cpu]=2", ["latency[cpu]", "'2'", "add a unit", "ms"]),
        ("latency[cpu]=2 m", ["latency[cpu]", "'2 m'", "valid units", "ms"]),
        ("latency[cpu]=0 ms", ["latency[cpu]", "above 0"]),
        ("latency[cpu]=0%", ["latency[cpu]", "above 0%"]),
        ("latency[cpu]=140%", ["latency[cpu]", "140%"]),
    ],
)
def test_a_mistake_names_the_key_the_value_and_what_to_write(text, words):
    with pytest.raises(UsageError) as refusal:
        parse_budget(text)
    message = str(refusal.value)
    assert message.startswith("--budget")
    for word in words:
        assert word in message
