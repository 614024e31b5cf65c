"""Several workers train the network that one would: plain, masked, growing, and after a crash."""

import dataclasses

import pytest
import shared_runs as runs
import torch
from torch import nn
from two_workers import together

from growsearch.errors import UsageError
from growsearch.growth import Budget
from growsearch.training.parallel.group import WorkerGroup


def assert_alike(found, wanted, *, tolerance=1e-4):
    for worker in found:
        assert not isinstance(worker, str), worker
        assert worker["macs"] == wanted["macs"]
        assert worker["accuracies"] == wanted["accuracies"]
        assert worker["names"] == wanted["names"]
        assert worker["losses"] == pytest.approx(wanted["losses"], rel=1e-4, abs=1e-5)
        assert list(worker["weights"]) == list(wanted["weights"])
        for name, value in wanted["weights"].items():
            torch.testing.assert_close(
                worker["weights"][name], value, rtol=tolerance, atol=tolerance
            )
    for name, value in found[0]["weights"].items():
        assert all(torch.equal(worker["weights"][name], value) for worker in found)


@pytest.mark.parametrize("size", [2, 3])
def test_workers_train_the_network_that_one_would_with_the_whole_batch(size, tmp_path):
    # 24 examples in shares of 12 or 8.
    found = together(runs.plain, tmp_path, size, {}, size=size)
    assert_alike(found, runs.plain(0, 1, {}))


def test_shares_of_unequal_size_count_by_their_examples(tmp_path):
    recipe = dataclasses.replace(runs.RECIPE, batch_size=23, clip_norm=0.5, label_smoothing=0.1)
    found = together(runs.plain, tmp_path, 2, {}, recipe)
    assert_alike(found, runs.plain(0, 1, {}, recipe))


def test_gradients_of_accumulated_batches_are_added_up_once_a_step(tmp_path):
    # 128 examples are 11 batches an epoch: 5 steps of two, and one that is left over.
    recipe = dataclasses.replace(runs.RECIPE, batch_size=11, accumulation=2, clip_norm=0.5)
    found = together(runs.counted, tmp_path, 2, recipe)
    assert_alike(found, runs.counted(0, 1, recipe))
    assert [worker["sums"] for worker in found] == [15, 15]


def test_the_averaged_weights_are_those_of_one_worker(tmp_path):
    recipe = dataclasses.replace(runs.RECIPE, ema=0.9)
    found = together(runs.plain, tmp_path, 2, {}, recipe)
    wanted = runs.plain(0, 1, {}, recipe)
    assert_alike(found, wanted)
    last = runs.plain(0, 1, {})["weights"]["0.weight"]
    assert not torch.allclose(wanted["weights"]["0.weight"], last, atol=1e-3)


def test_averages_of_norms_that_are_not_synchronised_are_the_first_workers(tmp_path):
    recipe = dataclasses.replace(runs.RECIPE, ema=0.9)
    first, second = together(runs.plain, tmp_path, 2, {"sync": False}, recipe)
    assert first["accuracies"] == second["accuracies"]
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name])


def test_averaged_and_accumulated_steps_go_on_from_a_checkpoint(tmp_path):
    recipe = dataclasses.replace(runs.RECIPE, batch_size=12, accumulation=2, ema=0.9)
    checkpoint = tmp_path / "run.safetensors"
    together(runs.killed, tmp_path / "first", 2, checkpoint, 8, recipe)
    resumed = together(runs.killed, tmp_path / "second", 2, checkpoint, None, recipe)
    whole = together(runs.killed, tmp_path / "whole", 2, tmp_path / "all.safetensors", None, recipe)
    assert [worker["resumed"] for worker in resumed] == [[1], [1]]
    assert resumed[0]["losses"] == whole[0]["losses"]
    for name, value in whole[0]["weights"].items():
        assert torch.equal(resumed[0]["weights"][name], value)


def test_accumulated_batches_in_float16_are_scaled_alike_on_all_workers(tmp_path):
    recipe = dataclasses.replace(
        runs.RECIPE, precision="float16", epochs=1, batch_size=12, accumulation=2
    )
    first, second = together(runs.counted, tmp_path, 2, recipe)
    wanted = runs.counted(0, 1, recipe)
    assert first["losses"] == second["losses"] == pytest.approx(wanted["losses"], rel=1e-2)


def test_a_task_of_its_own_loss_is_shared_and_outputs_that_are_no_tensor_are_refused(tmp_path):
    found = together(runs.weighted, tmp_path, 2)
    assert_alike(found, runs.weighted(0, 1))
    for outcome in together(runs.two_outputs, tmp_path / "two"):
        assert "outputs tuple for 12 examples; they must be one tensor" in outcome


def test_float16_is_scaled_alike_on_all_workers(tmp_path):
    recipe = dataclasses.replace(runs.RECIPE, precision="float16", epochs=1)
    first, second = together(runs.plain, tmp_path, 2, {}, recipe)
    wanted = runs.plain(0, 1, {}, recipe)
    assert first["losses"] == second["losses"] == pytest.approx(wanted["losses"], rel=1e-2)


def test_without_synchronised_norms_the_first_workers_statistics_count(tmp_path):
    first, second = together(runs.plain, tmp_path, 2, {"sync": False})
    whole = runs.plain(0, 1, {})
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name])
    assert not torch.allclose(first["weights"]["1.running_var"], whole["weights"]["1.running_var"])
    # Without norms there is nothing to synchronise.
    found = together(runs.plain, tmp_path / "none", 2, {"sync": False, "norm": False})
    assert_alike(found, runs.plain(0, 1, {"norm": False}))


@pytest.mark.parametrize("updater", ["rigl", "set"])
def test_masks_change_alike_on_all_workers(updater, tmp_path):
    found = together(runs.masked, tmp_path, 2, updater)
    wanted = runs.masked(0, 1, updater)
    assert_alike(found, wanted)
    for worker in found:
        for name, mask in wanted["masks"].items():
            assert torch.equal(worker["masks"][name], mask)


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        ("mlp-digits", {"norms": "transfer"}),
        ("resnet-digits", {"birth": "gradient"}),
    ],
)
def test_networks_grow_alike_on_all_workers(space, settings, tmp_path):
    budget = Budget(parameters=0.3)
    found = together(runs.growing, tmp_path, 2, space, settings, budget, None)
    wanted = runs.growing(0, 1, space, settings, budget, None)
    assert_alike(found, wanted, tolerance=1e-3)
    assert all(worker["live"] == wanted["live"] for worker in found)


def test_a_worker_that_dies_in_mid_epoch_costs_that_epoch_alone(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    # An epoch has 5 steps: this is in the second.
    broken = together(runs.killed, tmp_path / "first", 2, checkpoint, 8)
    assert broken[1] == "died"
    assert isinstance(broken[0], str)
    assert checkpoint.exists()
    resumed = together(runs.killed, tmp_path / "second", 2, checkpoint, None)
    whole = together(runs.killed, tmp_path / "whole", 2, tmp_path / "whole.safetensors", None)
    assert [worker["resumed"] for worker in resumed] == [[1], [1]]
    assert resumed[0]["losses"] == whole[0]["losses"]
    for name, value in whole[0]["weights"].items():
        assert torch.equal(resumed[0]["weights"][name], value)


def test_growth_of_several_workers_goes_on_with_another_number_of_them(tmp_path):
    checkpoint, budget = tmp_path / "run.safetensors", Budget(parameters=0.3)
    arguments = ("mlp-digits", {}, budget, checkpoint)
    found = together(runs.growing, tmp_path / "two", 2, *arguments)
    # All epochs are behind it: nothing is trained, and the same comes out.
    again = runs.growing(0, 1, *arguments)
    assert again["live"] == found[0]["live"]
    assert again["losses"] == found[0]["losses"]


def test_workers_that_decide_otherwise_end_the_run_with_the_epoch(tmp_path):
    for outcome in together(runs.differing, tmp_path, size=2):
        assert "after epoch 2 Stubborn 0: mask is not the same on all 2 workers" in outcome


def test_workers_with_other_networks_are_told_before_the_first_step(tmp_path):
    for outcome in together(runs.differing_layers, tmp_path, size=2):
        assert "after epoch 0 1.weight is not the same" in outcome


def test_what_stops_the_first_worker_stops_all(tmp_path):
    first, second = together(runs.refused_guard, tmp_path)
    assert first == "TimeoutError: the time is over"
    assert "the first worker ended" in second


def test_what_the_first_worker_meets_alone_all_raise(tmp_path):
    first, second = together(runs.failing_first, tmp_path)
    assert first == "OSError: the disk is full"
    assert "the first worker ended: OSError: the disk is full" in second


def test_layers_draw_apart_and_all_else_alike(tmp_path):
    first, second = together(runs.noise, tmp_path)
    assert torch.equal(first["inside"][0], first["inside"][1])
    assert not torch.equal(first["inside"][0], second["inside"][0])
    assert torch.equal(first["outside"], second["outside"])


def test_what_cannot_be_shared_is_refused_before_the_first_step(tmp_path):
    for outcome in together(runs.small_batches, tmp_path / "small"):
        assert "batch_size: 1 examples cannot be shared by 2 workers" in outcome
    for outcome in together(runs.compiled, tmp_path / "compiled"):
        assert "compile: on, but 2 workers" in outcome


def test_a_group_needs_a_process_group():
    with pytest.raises(UsageError, match="there is no process group"):
        WorkerGroup()


def test_the_norms_of_a_network_stay_of_their_own_type(tmp_path):
    found = together(runs.plain, tmp_path, 2, {})
    assert found[0]["names"].count(nn.BatchNorm2d.__name__) == 2
