from types import SimpleNamespace

import pytest
import torch
from growth_cifar import epochs_paid
from growth_cifar_runs import Settings, prune_plan
from growth_front import ALONE, FRONT
from growth_front import rows as front_rows
from growth_setup import distance, paired, shuffled, structure_of
from growth_steering import beyond, row

from growsearch.datasets import from_tensors
from growsearch.pruning import PruneConfig


def test_differences_are_of_the_same_seeds_alone():
    found = paired({0: 0.70, 1: 0.64, 2: 0.9}, {0: 0.68, 1: 0.66, 7: 0.1})
    assert found["pairs"] == 2
    assert found["difference"] == pytest.approx(0.0)
    # Differences of +.02 and -.02 have a deviation of .02 sqrt 2; two of them, its sqrt 2 th part.
    assert found["standard_error"] == pytest.approx(0.02)


def test_one_pair_has_no_standard_error():
    found = paired({0: 0.5}, {0: 0.4})
    assert found["difference"] == pytest.approx(0.1)
    assert found["standard_error"] is None


def test_a_distance_is_a_share_of_all_channels():
    assert distance({"a": 3, "b": 5}, {"a": 5, "b": 4}, {"a": 10, "b": 20}) == 3 / 30


def test_shuffled_labels_are_the_same_labels_on_other_images():
    data = from_tensors(torch.arange(80.0).view(40, 2), torch.arange(4).repeat(10))
    changed = shuffled(data, seed=0)
    assert torch.equal(changed.train.inputs, data.train.inputs)
    assert not torch.equal(changed.train.labels, data.train.labels)
    assert torch.equal(changed.train.labels.bincount(), data.train.labels.bincount())
    assert torch.equal(changed.validation.labels, data.validation.labels)


def test_a_run_ends_when_its_structure_is_final():
    seen = []

    def growing(options):
        for epoch, frozen in enumerate([False, False, True, True]):
            seen.append(epoch)
            options.listener.epoch(SimpleNamespace(frozen=frozen, widths={"a": epoch}))

    assert structure_of(growing) == {"a": 2}
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("epochs", [12, 16, 24, 60])
@pytest.mark.parametrize("macs", [0.2, 0.4, 0.5])
def test_pruning_down_takes_what_uniform_width_takes(epochs, macs):
    settings = Settings(
        network="resnet20",
        width=1.0,
        pixels=16,
        macs=macs,
        epochs=epochs,
        batch_size=64,
        learning_rate=0.1,
        train_images=20_000,
        test_images=10_000,
        channels_last=False,
    )
    before, after, over = prune_plan(settings)
    config = PruneConfig()
    # Shares of the full network's training MACs of an epoch, step by step.
    points, limits = (
        PruneConfig(over=over).points(10_000),
        config.limits(1.0, macs),
    )
    ends = (*points[1:], 10_000)
    shrinking = sum(
        limit * (end - start) / 10_000
        for limit, start, end in zip(limits, points, ends, strict=True)
    )
    judging = config.steps * config.importance_batches * 64 / 20_000
    assert before + after * shrinking + judging * sum(limits) / len(limits) == pytest.approx(
        macs * epochs, rel=0.005
    )


def test_uniform_width_gets_the_epochs_that_another_method_paid_for():
    costs = {"uniform": (100, 50.0), "default": (99, 60.0), "paper": (76, 44.0)}
    runs = [
        {"method": method, "seed": seed, "training_macs": macs, "cpu_s": seconds * (1 + seed)}
        for method, (macs, seconds) in costs.items()
        for seed in range(2)
    ]
    assert epochs_paid("uniform, MACs of paper", runs, 16) == 12
    assert epochs_paid("uniform, time of default", runs, 16) == 19
    assert epochs_paid("uniform, MACs of default", runs, 16) == 16
    assert epochs_paid("uniform, MACs of paper", runs[:4], 16) is None


def test_beyond_takes_two_standard_errors():
    assert beyond([0.30, 0.31, 0.29], [0.10, 0.11, 0.09])
    assert beyond([0.12, 0.2, 0.04], [0.10, 0.2, 0.0]) is False
    assert beyond([0.3], [0.1, 0.1]) is None


def _runs(steering, labels, widths):
    full = {"a": 10, "b": 10}
    return [
        {
            "steering": steering,
            "labels": labels,
            "seed": seed,
            "widths": dict(zip(full, pair, strict=True)),
            "full": full,
            "cpu_s": 1.0,
        }
        for seed, pair in enumerate(widths)
    ]


CHANCE = _runs("random order", "true", [(5, 5), (4, 6), (6, 4)])


def test_a_steering_passes_that_follows_the_labels_and_agrees_with_itself():
    true = _runs("learned, task", "true", [(9, 1), (9, 1), (9, 2)])
    null = _runs("learned, task", "shuffled", [(3, 7), (4, 6), (3, 7)])
    found = row("learned, task", [*CHANCE, *true, *null])
    assert found["passes"] is True
    assert found["between_seeds"]["mean"] == pytest.approx((0 + 1 + 1) / 3 / 20)


def test_a_steering_fails_that_the_seed_decides():
    true = _runs("learned, task", "true", [(5, 6), (4, 4), (6, 5)])
    null = _runs("learned, task", "shuffled", [(5, 6), (4, 4), (6, 5)])
    found = row("learned, task", [*CHANCE, *true, *null])
    assert found["labels_move_widths"] is False
    assert found["passes"] is False


def test_branches_stand_beside_their_own_budgets_while_others_have_not_run():
    front = {
        "method": FRONT,
        "seed": 0,
        "budget": None,
        "test_accuracy": [0.5, 0.6, 0.7],
        "epochs": [10, 12, 14],
    }
    alone = {
        "method": ALONE,
        "seed": 0,
        "budget": 0.4,
        "test_accuracy": 0.65,
        "macs": 40,
        "full_macs": 100,
    }
    (found,) = front_rows([front, alone], [0.1, 0.2, 0.4])
    assert (found["budget"], found["branch"], found["branch_epochs"]) == (0.4, [0.7], [14])
