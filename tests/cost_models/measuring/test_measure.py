import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cost_models import (
    CostModelError,
    Measurement,
    NoisyMeasurementError,
    measure,
    measure_interleaved,
)
from cost_models.executors.executor import Prepared
from cost_models.measurement import quantile, repeat_noise
from cost_models.measuring import measure as measuring


def measurement(samples: list[float]) -> Measurement:
    return Measurement(
        device="cpu",
        threads=1,
        batch_size=1,
        repeats=1,
        samples_s=tuple(samples),
        cpu_samples_s=tuple(samples),
        torch_version="0",
    )


def quickly(module, *shape, **options):
    options = {"budget_s": 0.02, "max_noise": None} | options
    return measure(module, (torch.zeros(shape),), **options)


def test_a_measurement_is_in_order_and_says_how_it_was_taken(mlp):
    found = quickly(mlp, 5, 8)
    assert 0 < found.low_s <= found.median_s <= found.high_s
    assert found.low_s in found.samples_s
    assert (found.device, found.threads, found.batch_size) == ("cpu", 1, 5)
    assert found.torch_version == torch.__version__
    assert len(found.samples_s) == len(found.cpu_samples_s) >= 12
    assert found.cpu_time_s > 0
    assert found.noise >= 0


def test_a_tiny_network_is_repeated_within_a_sample(mlp):
    assert quickly(mlp, 1, 8).repeats > 1


def test_a_measurement_is_the_cost_of_an_inference_step(mlp):
    cost = quickly(mlp, 5, 8).to_cost()
    assert (cost.method, cost.phase, cost.batch_size) == ("measured", "inference", 5)
    assert cost.interval[0] <= cost.latency_s <= cost.interval[1]
    assert "repeat noise" in cost.note


def test_quantiles_are_samples_that_did_occur():
    found = measurement([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (found.low_s, found.median_s, found.high_s) == (1.0, 3.0, 4.0)


def test_noise_is_the_spread_of_the_low_quantile_between_quarters():
    assert repeat_noise([1.0, 9.0, 1.0, 9.0, 2.0, 9.0, 1.0, 9.0]) == 1.0
    assert repeat_noise([1.0, 9.0] * 4) == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=4, max_size=50))
def test_the_low_median_and_high_figures_are_ordered_for_any_samples(samples):
    found = measurement(samples)
    assert min(samples) <= found.low_s <= found.median_s <= found.high_s <= max(samples)
    assert found.noise >= 0


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=50), st.floats(0.1, 10))
def test_noise_does_not_depend_on_the_unit_of_time(samples, factor):
    assert repeat_noise([s * factor for s in samples]) == pytest.approx(repeat_noise(samples))


def test_a_quantile_of_one_sample_is_that_sample():
    assert quantile([2.0], 0.2) == 2.0


@pytest.mark.parametrize("counts", [(3, 3), (5, 4)])
def test_too_few_or_unpaired_samples_are_refused(counts):
    with pytest.raises(CostModelError, match="as many of each"):
        Measurement(
            device="cpu",
            threads=1,
            batch_size=1,
            repeats=1,
            samples_s=(1.0,) * counts[0],
            cpu_samples_s=(1.0,) * counts[1],
            torch_version="0",
        )


class Watching(nn.Module):
    """Notes the conditions it is run under, and disturbs what it can."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.seen: list[tuple[bool, bool, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        torch.rand(1)
        self.seen.append(
            (self.training, torch.is_inference_mode_enabled(), torch.get_num_threads())
        )
        return x.relu_()


def test_it_is_run_in_eval_and_inference_mode_on_the_threads_asked_for():
    module = Watching()
    quickly(module, 1, 2)
    assert set(module.seen) == {(False, True, 1)}


def test_measuring_leaves_no_trace():
    module, example = Watching().train(), -torch.ones(2)
    threads, random = torch.get_num_threads(), torch.get_rng_state()
    measure(module, (example,), threads=threads + 1, budget_s=0.02, max_noise=None)
    assert module.training
    assert module.calls.item() == 0
    assert torch.equal(example, -torch.ones(2))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), random)


def test_candidates_take_turns():
    order: list[str] = []

    class Named(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: Tensor) -> Tensor:
            order.append(self.name)
            for _ in range(300):
                x = x + 1
            return x

    candidates = {name: (Named(name), (torch.zeros(1),)) for name in "ab"}
    found = measure_interleaved(candidates, budget_s=0.02, max_noise=None)
    changes = sum(first != second for first, second in itertools.pairwise(order))
    assert set(found) == {"a", "b"}
    assert changes >= 12


def test_repeats_that_disagree_are_refused_with_the_figure(mlp, monkeypatch):
    times = iter(range(1, 100_000))
    monkeypatch.setattr(measuring, "_timed", lambda *_: (float(next(times)),) * 2)
    with pytest.raises(NoisyMeasurementError, match=r"differ by .*% .*after 3 attempts.*25"):
        measure(mlp, (torch.zeros(1, 8),))


def test_a_noisy_attempt_is_repeated_until_it_is_quiet(mlp, monkeypatch):
    warm_up, noisy = [1.0] * 3, [float(n) for n in range(1, 13)]
    times = iter(warm_up + noisy + [1.0] * 12)
    monkeypatch.setattr(measuring, "_timed", lambda *_: (next(times),) * 2)
    assert measure(mlp, (torch.zeros(1, 8),)).samples_s == (1.0,) * 12


def test_a_noise_bound_of_none_accepts_anything(mlp, monkeypatch):
    times = iter(range(1, 100_000))
    monkeypatch.setattr(measuring, "_timed", lambda *_: (float(next(times)),) * 2)
    assert measure(mlp, (torch.zeros(1, 8),), max_noise=None).noise > 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threads": 0}, "at least 1 thread"), ({"budget_s": 0.0}, "more than 0 s")],
)
def test_an_argument_out_of_range_is_refused(mlp, options, message):
    with pytest.raises(CostModelError, match=message):
        quickly(mlp, 1, 8, **options)


def test_nothing_to_measure_is_refused():
    with pytest.raises(CostModelError, match="candidates is empty"):
        measure_interleaved({})


def test_inputs_that_are_no_tuple_are_refused(mlp):
    with pytest.raises(CostModelError, match="non-empty tuple"):
        measure(mlp, [torch.zeros(1, 8)])


def test_a_tensor_on_another_device_is_refused(mlp):
    with pytest.raises(CostModelError, match="is on meta, to be measured on cpu"):
        measure(mlp, (torch.zeros(1, 8, device="meta"),))


def test_a_device_that_works_beside_the_process_is_timed_by_its_own_clock(mlp, monkeypatch):
    class Elsewhere:
        accepts = ("cpu",)

        def prepare(self, module, example_inputs, threads):
            return Prepared(
                call=lambda: None, runtime="elsewhere", clock=lambda call, repeats: (0.25, 0.0)
            )

    monkeypatch.setitem(measuring.EXECUTORS, "eager", Elsewhere())
    found = measure(mlp, (torch.zeros(1, 8),))
    assert found.samples_s == (0.25,) * 12
    assert found.cpu_time_s == 0.0
    assert found.runtime == "elsewhere"
