"""Memory and time of a training step, counted by hand where they can be."""

import os
import time

import pytest
import torch
from standin import NAME, plugged_in
from torch import nn

from growsearch.datasets import from_tensors
from growsearch.errors import UsageError
from growsearch.training import AdamW, Recipe, TrainingOptions, task_of
from growsearch.training.peak_memory import PeakMemory
from growsearch.training.step_cost import measure_steps


def data(examples=400):
    """Of which a tenth each is for validation and test."""
    inputs = torch.randn(examples, 4, generator=torch.Generator().manual_seed(0))
    return task_of(from_tensors(inputs, torch.arange(examples) % 4))


def cost_of(recipe, *, model=None, task=None, steps=2, **options):
    model = nn.Linear(4, 4) if model is None else model
    task = data() if task is None else task
    return measure_steps(model, task, recipe, TrainingOptions(**options), steps=steps)


def test_parameters_gradients_and_optimizer_state_are_what_they_are_by_hand():
    sgd = cost_of(Recipe(epochs=2, batch_size=16))
    # 4 x 4 weights and 4 biases in float32; momentum is one more of each.
    assert (sgd.parameters, sgd.network_bytes, sgd.gradient_bytes) == (20, 80, 80)
    assert sgd.optimizer_bytes == 80
    adam = cost_of(Recipe(epochs=2, batch_size=16, optimizer=AdamW()))
    # Two moments of each, and a count of steps a tensor.
    assert adam.optimizer_bytes == 2 * 80 + 2 * 4


def test_buffers_are_of_the_network_and_have_no_gradient():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4))
    cost = cost_of(Recipe(epochs=2, batch_size=16), model=model)
    # 16 weights, scale and shift; mean, variance and a count in 64 bits.
    assert cost.gradient_bytes == 4 * (16 + 8)
    assert cost.network_bytes == 4 * (16 + 8) + 4 * 8 + 8


@pytest.mark.parametrize("examples", [16, 32])
def test_activations_are_what_the_backward_pass_needs(examples):
    cost = cost_of(Recipe(epochs=2, batch_size=examples))
    # Inputs, log-probabilities, labels in 64 bits, and the sum of the labels' weights.
    assert cost.activation_bytes == examples * (4 * 4 + 4 * 4 + 8) + 4
    assert cost.counted_bytes == 240 + cost.activation_bytes


def test_of_accumulated_batches_one_is_held_at_a_time():
    once = cost_of(Recipe(epochs=2, batch_size=16))
    twice = cost_of(Recipe(epochs=2, batch_size=16, accumulation=2))
    assert twice.activation_bytes == once.activation_bytes
    assert (twice.examples, once.examples) == (32, 16)


def test_an_epoch_is_its_steps_at_the_median_time(monkeypatch):
    ticks = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    cost = cost_of(Recipe(epochs=3, batch_size=16), steps=5)
    assert len(cost.steps_s) == 5
    assert cost.steps_per_epoch == 20
    assert cost.epochs == 3
    assert cost.epoch_s == 20 * cost.step_s == 20.0


def test_the_evaluation_after_an_epoch_is_no_part_of_a_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    task = data(40)
    judge = type(task).evaluate

    def slow(self, model):
        now[0] += 1000.0
        return judge(self, model)

    monkeypatch.setattr(type(task), "evaluate", slow)
    # 32 training examples: an epoch has two steps.
    cost = cost_of(Recipe(epochs=9, batch_size=16), task=task, steps=5)
    assert cost.steps_s == (0.0,) * 5


def test_a_run_of_one_step_is_told_by_that_step():
    cost = cost_of(Recipe(epochs=1, batch_size=320), steps=5)
    assert cost.steps_s == ()
    assert cost.step_s == cost.first_s > 0


def test_no_watch_is_left_behind_and_no_file_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "checkpoint.safetensors"
    cost_of(Recipe(epochs=2, batch_size=16), checkpoint=checkpoint)
    with pytest.raises(UsageError, match="not there"):
        cost_of(Recipe(epochs=2), device="cuda:7" if torch.cuda.is_available() else "cuda")
    assert list(tmp_path.iterdir()) == []
    assert torch._C._autograd._top_saved_tensors_default_hooks(False) is None


def test_on_another_device_the_same_is_counted():
    here = cost_of(Recipe(epochs=2, batch_size=16))
    with plugged_in():
        there = cost_of(Recipe(epochs=2, batch_size=16), device=NAME)
    assert there.device == f"{NAME}:0"
    assert (there.network_bytes, there.optimizer_bytes) == (80, 80)
    assert there.parameters == here.parameters
    assert there.activation_bytes >= here.activation_bytes


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux tells it")  # noqa: PTH110
def test_the_peak_of_a_process_sees_what_is_freed_again():
    peak = PeakMemory(torch.device("cpu"))
    torch.ones(50_000_000, dtype=torch.uint8)
    assert peak.bytes() >= 45_000_000
    assert PeakMemory(torch.device("cpu")).bytes() < 45_000_000
