"""Pruning a trained network: the budget, what is kept, steps, resuming, and functions."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset, subset
from growsearch.errors import UsageError
from growsearch.growth import Budget
from growsearch.pruning import IMPORTANCES, Distillation, PruneConfig, prune
from growsearch.training import AdamW, Hook, InitialWeights, Recipe, TrainingOptions
from search_spaces import SearchSpace
from search_spaces.channel_groups import channel_groups
from search_spaces.families.residual_units import BasicResNetSpace
from search_spaces.module_space import module_space
from search_spaces.trace_groups import declare_traced_groups
from search_spaces.tracing.channel_removal import keep_channels

SHORT = Recipe(epochs=3, learning_rate=0.01)
# So little is learned that weights stay as they were.
STILL = Recipe(epochs=2, learning_rate=1e-12, weight_decay=0.0)
ALONE = Distillation(weight=0.0)


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_every_importance_comes_within_the_budget_and_keeps_what_was_learned(
    importance: str, space: SearchSpace, digits: Dataset, init: InitialWeights
) -> None:
    config = PruneConfig(recipe=SHORT, importance=importance, steps=2, over=0.5, init=init)
    result = prune(space, digits, budget=Budget(macs=0.4), config=config)
    assert 0.95 * result.limit <= result.macs <= result.limit <= 0.4 * result.full_macs
    assert result.history[-1].accuracy > 0.8
    assert sum(p.numel() for p in result.model.parameters()) == result.parameters
    built = space.build(result.architecture)
    built.load_state_dict(result.model.state_dict())
    assert result.history[0].detached > 0 or importance == "gates"
    assert result.history[-1].frozen


def test_what_is_left_has_the_trained_weights_of_its_channels(
    residual: nn.Module, digits: Dataset
) -> None:
    config = PruneConfig(
        recipe=STILL,
        importance="group-l2",
        steps=1,
        distillation=ALONE,
        calibration_batches=1,
        prune_layers=False,
    )
    before = copy.deepcopy(residual.state_dict())
    result = prune(residual, digits, budget=Budget(macs=0.5), config=config)
    assert all(torch.equal(v, before[k]) for k, v in residual.state_dict().items())
    wanted = copy.deepcopy(residual)
    declare_traced_groups(wanted, (torch.zeros(2, *digits.input_shape),))
    live = {name: torch.tensor(places) for name, places in result.history[-1].live.items()}
    keep_channels(wanted, channel_groups(wanted), live)
    found = result.model.state_dict()
    for name, value in wanted.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(value, found[name], atol=1e-6), name
    assert {"stem", "block.0"} == set(live)


def test_units_go_too_where_the_space_has_a_choice_of_them(digits: Dataset) -> None:
    space = BasicResNetSpace(
        name="tiny-units",
        description="for tests",
        most_units=(3, 2),
        base_width=4,
        input_shape=digits.input_shape,
        num_classes=10,
    )
    some = subset(digits, train=64, validation=32, test=32)
    config = PruneConfig(recipe=Recipe(epochs=1), importance="taylor", steps=1, distillation=ALONE)
    result = prune(space, some, budget=Budget(macs=0.15), config=config)
    assert sum(result.history[-1].depths.values()) < 5
    assert result.macs <= 0.15 * result.full_macs
    space.build(result.architecture).load_state_dict(result.model.state_dict())
    kept = dataclasses.replace(config, prune_layers=False, least_share=0.0)
    whole = prune(space, some, budget=Budget(macs=0.15), config=kept)
    assert sum(whole.history[-1].depths.values()) == 5


def test_frozen_layers_keep_their_width_and_are_named_with_their_share(
    residual: nn.Module, digits: Dataset
) -> None:
    residual.block[0].weight.requires_grad_(False)
    config = PruneConfig(recipe=STILL, steps=1, distillation=ALONE, prune_layers=False)
    with pytest.raises(UsageError, match=r"cannot be pruned: no channels of it may go.*is frozen"):
        prune(residual, digits, budget=Budget(macs=0.8), config=config)
    residual.block[0].weight.requires_grad_(True)
    residual.norm.weight.requires_grad_(False)
    result = prune(residual, digits, budget=Budget(macs=0.8), config=config)
    assert result.model.stem.out_channels == 8
    assert result.model.block[0].out_channels < 12
    assert list(result.kept.values()) == ["norm.weight is frozen (requires_grad is False)"]
    assert 0.1 < result.kept_share < 0.5


def test_shares_and_multiples_decide_widths(
    space: SearchSpace, digits: Dataset, init: InitialWeights
) -> None:
    config = PruneConfig(
        recipe=SHORT, shares={"hidden1": 0.5}, width_multiple=8, steps=2, init=init
    )
    result = prune(space, digits, budget=Budget(macs=0.3), config=config)
    widths = result.history[-1].widths
    assert widths["hidden1"] == 128
    assert widths["hidden0"] % 8 == 0
    other = dataclasses.replace(config, shares={"layer*": 0.5})
    with pytest.raises(UsageError, match=r"shares\.layer\*: no group .* hidden0, hidden1"):
        prune(space, digits, budget=Budget(macs=0.3), config=other)


def test_a_budget_below_what_least_share_allows_is_refused(
    space: SearchSpace, digits: Dataset, init: InitialWeights
) -> None:
    config = PruneConfig(recipe=SHORT, least_share=0.5, init=init)
    with pytest.raises(UsageError, match=r"budget\.macs: 0\.2 is below the narrowest network"):
        prune(space, digits, budget=Budget(macs=0.2), config=config)


def test_a_latency_is_met_on_the_device(
    space: SearchSpace, digits: Dataset, init: InitialWeights
) -> None:
    config = PruneConfig(recipe=SHORT, steps=2, init=init)
    budget = Budget(latency=0.6, device="wafer-cs2")
    result = prune(space, digits, budget=budget, config=config)
    assert result.latency is not None
    assert result.latency.checked_s <= result.limit
    assert result.latency.checked_s >= 0.9 * result.limit


class _StopError(Exception):
    pass


class _StopAfter(Hook):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, state: object) -> None:
        if state.epoch == self.epochs:  # type: ignore[attr-defined]
            raise _StopError

    def state(self) -> dict:
        return {}


@pytest.mark.parametrize(("importance", "stopped"), [("taylor", 1), ("random", 2), ("gates", 2)])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does_to_the_bit(
    importance: str, stopped: int, residual: nn.Module, digits: Dataset, tmp_path: Path
) -> None:
    config = PruneConfig(
        recipe=Recipe(epochs=4, learning_rate=0.01, optimizer=AdamW()),
        importance=importance,
        steps=3,
        over=0.7,
        distillation=Distillation(weight=0.3, features=0.1),
    )

    some = subset(digits, train=128, validation=32, test=32)
    # Traced once for all three runs.
    space = module_space(residual, some.input_shape, some.num_classes)

    def run(*hooks: Hook, checkpoint: Path | None = None) -> nn.Module:
        options = TrainingOptions(hooks=hooks, checkpoint=checkpoint)
        result = prune(space, some, budget=Budget(macs=0.4), config=config, options=options)
        return result.model

    whole = run(_StopAfter(99))
    path = tmp_path / "run.safetensors"
    with pytest.raises(_StopError):
        run(_StopAfter(stopped), checkpoint=path)
    again = run(_StopAfter(99), checkpoint=path)
    found = again.state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, found[name]), name


def test_the_optimizer_s_state_follows_what_is_left(residual: nn.Module, digits: Dataset) -> None:
    seen: list[tuple[int, ...]] = []

    class Look(Hook):
        def after_update(self, state: object) -> None:
            for name, parameter in state.model.named_parameters():  # type: ignore[attr-defined]
                entry = state.optimizer.state[parameter]  # type: ignore[attr-defined]
                if name == "block.0.weight":
                    assert entry["momentum_buffer"].shape == parameter.shape
                    seen.append(tuple(parameter.shape))

    config = PruneConfig(recipe=SHORT, importance="group-l2", steps=3, over=0.9, prune_layers=False)
    options = TrainingOptions(hooks=(Look(),))
    prune(residual, digits, budget=Budget(macs=0.4), config=config, options=options)
    assert len(set(seen)) > 1
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"importance": "luck"}, "importance: unknown 'luck'; valid: taylor, fisher"),
        ({"allocation": "luck"}, "allocation: unknown 'luck'; valid: knapsack, uniform"),
        ({"steps": 0}, "steps: 0 is below 1"),
        ({"importance": "gates", "steps": 1}, "give at least 2"),
        ({"over": 0.0}, r"over: 0\.0 is not in \(0, 1\]"),
        ({"least_share": 1.5}, "least_share"),
        ({"shares": {"a": 0.0}}, r"shares\.a"),
        ({"recipe": Recipe(epochs=2, ema=0.9)}, "ema: 0.9 averages weights"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PruneConfig(**fields)


def test_points_and_limits_are_spread_over_the_first_share() -> None:
    config = PruneConfig(steps=4, over=0.4)
    assert config.points(100) == (0, 10, 20, 30)
    assert config.limits(100.0, 6.25) == pytest.approx((50, 25, 12.5, 6.25))
    assert PruneConfig(steps=1).points(100) == (0,)
    assert PruneConfig(importance="gates", steps=2, over=0.5).points(100) == (25, 50)
