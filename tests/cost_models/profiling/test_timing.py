import gc

import pytest
import torch

from cost_models import Operator
from cost_models.counting.operator_call import TensorArgument
from cost_models.profiling import timing
from cost_models.profiling.timing import Timer


def relu(size: int) -> Operator:
    return Operator(name="aten::relu", arguments=(TensorArgument((size,)),), output=(size,))


def timer(networks=(), operators=(), **options) -> Timer:
    return Timer(networks, operators, **({"threads": 1, "seed": 0} | options))


def test_everything_has_a_time_after_two_passes():
    found = timer([lambda: torch.ones(8).sum()], [relu(4), relu(5000)])
    found.run_pass()
    assert found.networks.noise == float("inf")
    found.run_pass()
    assert found.passes == 2
    assert (found.operators.low_s > 0).all()
    assert found.networks.noise < float("inf")


def test_networks_run_without_gradients_or_collections_on_the_threads_asked_for():
    seen = []

    def call() -> None:
        state = (torch.is_inference_mode_enabled(), gc.isenabled(), torch.get_num_threads())
        seen.append(state)

    before = torch.get_num_threads()
    timer([call], threads=2).run_pass()
    assert set(seen) == {(True, False, 2)}
    assert torch.get_num_threads() == before
    assert gc.isenabled()


def test_every_network_is_warmed_up_before_it_is_timed():
    calls = []
    found = timer([lambda: calls.append("a"), lambda: calls.append("b")])
    found.run_pass()
    assert sorted(calls) == ["a"] * 4 + ["b"] * 4


def test_operators_take_turns_within_a_group(monkeypatch):
    order = []
    monkeypatch.setattr(timing, "_GROUP", 2)
    monkeypatch.setattr(timing, "_TURNS", 3)
    monkeypatch.setattr(
        timing, "replay", lambda operator, _: lambda: order.append(operator.output[0])
    )
    timer(operators=[relu(n) for n in range(1, 5)]).run_pass()
    groups = [order[:6], order[6:]]
    assert sorted(order) == sorted([1, 2, 3, 4] * 3)
    for group in groups:
        assert group[:2] * 3 == group
        assert len(set(group)) == 2


def test_the_time_of_reading_the_clock_is_taken_off(monkeypatch):
    monkeypatch.setattr(timing, "replay", lambda *_: lambda: None)
    found = timer(operators=[relu(3)])
    ticks = iter(range(10**6))
    found._clock = lambda: next(ticks) * 1000  # every reading is a microsecond after the last
    found.run_pass()
    assert found.operators.kept[0, 0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("threads", "clock"), [(1, "process CPU time"), (2, "wall time")])
def test_the_clock_is_that_of_the_process_unless_several_threads_would_add_up(threads, clock):
    assert timer(threads=threads).clock == clock


def test_a_run_goes_on_from_another():
    first = timer(operators=[relu(3)])
    first.run_pass()
    second = timer(operators=[relu(3)])
    second.resume(first.networks, first.operators, first.passes)
    second.run_pass()
    assert second.passes == 2
    assert second.operators.halves_s.max() < float("inf")
