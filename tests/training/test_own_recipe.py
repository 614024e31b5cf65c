"""Lion, accumulation, moving averages and schedules; and a run that goes on with all of them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset, from_tensors
from growsearch.errors import UsageError
from growsearch.growth import Budget, GrowthConfig, grow
from growsearch.kinds import Learning, RecipeChoice, SparseCandidate, TrainingContext
from growsearch.kinds.sparse.training import train_sparse
from growsearch.training import (
    Adam,
    AdamW,
    Constant,
    Hook,
    Lion,
    OneCycle,
    OwnOptimizer,
    Recipe,
    TrainingOptions,
    examples_per_step,
    make_optimizer,
    plain,
    steps_per_epoch,
    task_of,
    train,
)
from growsearch.training.weight_average import WeightAverage
from search_spaces import search_space


def _data(examples: int = 100) -> Dataset:
    inputs = torch.randn(examples, 4, generator=torch.Generator().manual_seed(0))
    return from_tensors(inputs, (inputs.sum(dim=1) > 0).long())


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_lion_steps_as_algorithm_2_says() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    optimizer = Lion(beta1=0.9, beta2=0.99).over([{"params": [weight], "weight_decay": 0.5}], 0.1)
    weight.grad = torch.tensor([[2.0, -1.0]])
    optimizer.step()
    # Without momentum the sign of the gradient: w - 0.1 (sign(g) + 0.5 w).
    assert torch.allclose(weight, torch.tensor([[0.85, -1.8]]))
    assert torch.allclose(optimizer.state[weight]["exp_avg"], torch.tensor([[0.02, -0.01]]))
    weight.grad = torch.tensor([[-0.1, 1.0]])
    optimizer.step()
    # 0.9 m + 0.1 g is 0.018 - 0.01 > 0 and -0.009 + 0.1 > 0.
    assert torch.allclose(weight, torch.tensor([[0.85 - 0.1 * 1.425, -1.8 - 0.1 * 0.1]]))


@pytest.mark.parametrize("rule", [Lion(), Adam(), AdamW()])
def test_every_optimizer_learns(rule: Any) -> None:
    model = _model()
    recipe = Recipe(epochs=20, batch_size=10, learning_rate=0.01, optimizer=rule)
    history, _ = train(model, _data(), recipe, seed=0, forward_macs=48)
    assert history[-1].loss < 0.15 < history[0].loss


def test_an_optimizer_of_ones_own_is_made_with_groups_and_rate() -> None:
    recipe = Recipe(epochs=1, learning_rate=0.02, optimizer=OwnOptimizer(name="torch.optim:NAdam"))
    optimizer = make_optimizer(_model(), recipe)
    assert type(optimizer).__name__ == "NAdam"
    assert [group["weight_decay"] for group in optimizer.param_groups] == [5e-4, 0.0]
    for name, message in (
        ("torch.optim:Missing", "has no Missing"),
        ("torch.nn:Linear", "fails: TypeError"),
        ("builtins:dict", "makes a dict, no Optimizer"),
    ):
        wrong = Recipe(epochs=1, optimizer=OwnOptimizer(name=name))
        with pytest.raises(UsageError, match=message):
            make_optimizer(_model(), wrong)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("rule", [None, AdamW(), Lion()])
def test_accumulated_batches_take_the_step_of_one_batch_of_them_all(factor: int, rule: Any) -> None:
    whole, parts = _model(), _model()
    given = {"epochs": 2, "weight_decay": 0.0, "clip_norm": 0.5, "learning_rate": 0.01}
    given |= {} if rule is None else {"optimizer": rule}
    # 81 examples: 80 in either way, in the same order.
    size = 20
    one, many = (
        Recipe(batch_size=size, **given),
        Recipe(batch_size=size // factor, accumulation=factor, **given),
    )
    _, first = train(whole, _data(), one, seed=0, forward_macs=48)
    _, second = train(parts, _data(), many, seed=0, forward_macs=48)
    assert (first.step, first.training_macs) == (second.step, second.training_macs)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_batches_that_are_too_few_for_a_group_are_one() -> None:
    task = task_of(_data())
    recipe = Recipe(epochs=1, batch_size=40, accumulation=8)
    assert steps_per_epoch(task, recipe) == 1
    assert examples_per_step(task, recipe) == 80
    _, state = train(_model(), _data(), recipe, seed=0, forward_macs=1)
    assert state.training_macs == 3 * 80


def test_hooks_hear_of_a_step_once_and_of_each_batch() -> None:
    heard: list[tuple[str, int]] = []

    class Ear(Hook):
        def before_forward(self, state: Any, batch: Any) -> Any:
            heard.append(("batch", len(batch[1])))
            return batch

        def after_update(self, state: Any) -> None:
            heard.append(("step", state.batch_examples))

    recipe = Recipe(epochs=1, batch_size=20, accumulation=2)
    train(_model(), _data(), recipe, seed=0, forward_macs=1, options=TrainingOptions(hooks=[Ear()]))
    assert heard == [("batch", 20), ("batch", 20), ("step", 40)] * 2


class _Weights(Hook):
    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def after_update(self, state: Any) -> None:
        self.seen.append(next(state.model.parameters()).detach().clone())


def test_the_average_is_what_is_judged_and_kept() -> None:
    model, follow = _model(), _Weights()
    before = next(model.parameters()).detach().clone()
    recipe = Recipe(epochs=2, batch_size=20, ema=0.5)
    history, _ = train(
        model, _data(), recipe, seed=0, forward_macs=1, options=TrainingOptions(hooks=[follow])
    )
    wanted = before
    for step, weight in enumerate(follow.seen, start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * weight
    assert torch.allclose(next(model.parameters()), wanted, atol=1e-6)
    assert task_of(_data()).evaluate(model).accuracy == history[-1].accuracy
    assert not torch.equal(next(model.parameters()), follow.seen[-1])


def test_statistics_of_batch_norm_are_averaged_and_counters_are_not() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    plain_model = copy.deepcopy(model)
    recipe = {"epochs": 1, "batch_size": 20}
    train(model, _data(), Recipe(ema=0.9, **recipe), seed=0, forward_macs=1)
    train(plain_model, _data(), Recipe(**recipe), seed=0, forward_macs=1)
    assert not torch.equal(model[1].running_mean, plain_model[1].running_mean)
    assert torch.equal(model[1].num_batches_tracked, plain_model[1].num_batches_tracked)


@pytest.mark.parametrize("updater", ["static", "rigl", "granet"])
def test_masked_weights_stay_exactly_zero_in_the_average(updater: str, tmp_path: Path) -> None:
    images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
    data = from_tensors(images, torch.arange(4).repeat(10))
    candidate = SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.75,
        distribution="uniform",
        updater=updater,
        training=RecipeChoice(epochs=4, batch_size=8, ema=0.9, accumulation=2),
    )
    context = TrainingContext(learning=Learning(dataset=data), seed=0, run=tmp_path)
    done = train_sparse(candidate, context, TrainingOptions())
    weights = [w for w in done.model.parameters() if w.ndim > 1]
    zeros = sum(int((w == 0).sum()) for w in weights)
    assert zeros >= round(0.74 * sum(w.numel() for w in weights))


class _StopError(Exception):
    pass


@pytest.mark.parametrize(
    "given",
    [
        {"ema": 0.9},
        {"optimizer": Lion()},
        {"optimizer": Adam(), "accumulation": 2},
        {"optimizer": OwnOptimizer(name="torch.optim:RAdam"), "ema": 0.99, "accumulation": 3},
        {"schedule": OneCycle(), "warmup_epochs": 0, "label_smoothing": 0.1},
    ],
)
def test_a_run_that_was_cut_off_ends_as_it_would_have_bit_for_bit(
    given: dict[str, Any], tmp_path: Path
) -> None:
    recipe = Recipe(epochs=4, batch_size=10, learning_rate=0.01, **given)
    whole, cut = _model(), _model()
    history, _ = train(whole, _data(), recipe, seed=3, forward_macs=1)

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise _StopError

    options = TrainingOptions(checkpoint=tmp_path / "run.safetensors", on_epoch=stop)
    with pytest.raises(_StopError):
        train(cut, _data(), recipe, seed=3, forward_macs=1, options=options)
    again = _model()
    options = TrainingOptions(checkpoint=tmp_path / "run.safetensors")
    resumed, _ = train(again, _data(), recipe, seed=3, forward_macs=1, options=options)
    assert resumed == history
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    # A run that had ended gives the same once more.
    once_more = _model()
    train(once_more, _data(), recipe, seed=3, forward_macs=1, options=options)
    for a, b in zip(whole.parameters(), once_more.parameters(), strict=True):
        assert torch.equal(a, b)


class CountingSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["steps"] = self.state[parameter].get("steps", 0) + 1
        return super().step(closure)


def test_an_optimizer_whose_state_a_checkpoint_cannot_hold_is_refused(tmp_path: Path) -> None:
    class Rule:
        def over(self, groups: Any, learning_rate: float) -> Any:
            return CountingSGD(groups, lr=learning_rate)

    options = TrainingOptions(checkpoint=tmp_path / "run.safetensors")
    recipe = Recipe(epochs=1, optimizer=Rule())
    with pytest.raises(UsageError, match="CountingSGD keeps steps as a int"):
        train(_model(), _data(), recipe, seed=0, forward_macs=1, options=options)


def test_growth_refuses_what_surgery_does_not_carry_over() -> None:
    with pytest.raises(UsageError, match=r"ema: 0\.9 averages weights of one shape"):
        GrowthConfig(recipe=Recipe(epochs=4, ema=0.9))
    own = Recipe(epochs=4, optimizer=OwnOptimizer(name="torch.optim:RAdam"))
    with pytest.raises(UsageError, match="take sgd, adam, adamw or lion"):
        GrowthConfig(recipe=own)


@pytest.mark.parametrize("rule", [Lion(), Adam()])
def test_growth_moves_the_state_of_every_optimizer_with_the_weights(rule: Any) -> None:
    images = torch.eye(4).repeat(10, 1).view(40, 1, 2, 2)
    data = from_tensors(images, torch.arange(4).repeat(10))
    space = search_space("mlp-digits").for_data(data.input_shape, data.num_classes)
    recipe = Recipe(epochs=4, batch_size=11, learning_rate=0.01, optimizer=rule, accumulation=3)
    result = grow(
        space, data, budget=Budget(parameters=0.3), config=GrowthConfig(recipe=recipe), seed=0
    )
    assert result.cost <= result.limit


def test_schedules_give_the_rates_that_they_name() -> None:
    constant = Recipe(epochs=10, learning_rate=1.0, warmup_epochs=2, schedule=Constant())
    assert constant.learning_rate_at(0.1) < 1
    assert constant.learning_rate_at(0.2) == constant.learning_rate_at(1.0) == 1.0
    reference = torch.optim.lr_scheduler.OneCycleLR
    optimizer = torch.optim.SGD(_model().parameters(), lr=0.1)
    cycle = reference(optimizer, max_lr=0.5, total_steps=101, cycle_momentum=False)
    recipe = Recipe(epochs=1, learning_rate=0.5, warmup_epochs=0, schedule=OneCycle())
    for step in range(101):
        # torch rises over 0.3 x 101 - 1 steps of 100.
        share = step / 100
        if share > 0.31 or share < 0.01:
            assert recipe.learning_rate_at(share) == pytest.approx(
                optimizer.param_groups[0]["lr"], rel=0.02, abs=2e-4
            )
        optimizer.step()
        if step < 100:
            cycle.step()


def test_settings_of_before_are_written_as_before() -> None:
    assert {"accumulation", "ema"} & set(plain(Recipe(epochs=1))) == set()
    assert plain(Recipe(epochs=1, ema=0.9))["ema"] == 0.9
    assert plain(Recipe(epochs=1, accumulation=2))["accumulation"] == 2


@pytest.mark.parametrize("given", [{"ema": 1.0}, {"ema": 0.0}, {"accumulation": 0}])
def test_values_with_which_no_run_is_possible_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Recipe(epochs=1, **given)


def test_an_average_knows_only_numbers() -> None:
    assert WeightAverage(0.9).settings() == {"decay": 0.9}
